package signaling_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerd/peerd/signaling"
)

// TestCall is what a call can do, in virtual time: two managers, real bytes,
// 20 ms each way.
func TestCall(t *testing.T) {
	for _, feature := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"answer: rings, is accepted, media starts at both ends", answered},
		{"answer: accepted without ringing", answeredAtOnce},
		{"answer: nothing starts before accept, whatever the path does", nothingBeforeAccept},
		{"answer: a stranger's callee keeps its SDP until accept", strangerAnswer},
		{"short authentication string: both ends compute the same, late reveal too", sameSAS},
		{"reject: declined at both ends", rejected},
		{"reject: busy said by the phone", busyByPhone},
		{"reject: the caller refuses a bad fingerprint by name", badFingerprint},
		{"cancel: while ringing", cancelled},
		{"cancel: crosses accept, both ends say cancelled", cancelCrossesAccept},
		{"cancel: crosses reject, both ends say the same", cancelCrossesReject},
		{"no answer: the caller gives up after 45 s of ringing", noAnswer},
		{"no answer: timeout crosses accept, both ends agree", noAnswerCrossesAccept},
		{"no answer: no ringing within 15 s is unreachable", noRinging},
		{"hang-up: by the caller", hangupByCaller},
		{"hang-up: by the callee", hangupByCallee},
		{"hang-up: by both at once", hangupByBoth},
		{"hold and resume: by either end", holdResume},
		{"candidates: trickle both ways before accept, in order", candidates},
		{"media: no path within 15 s of accept", noPath},
		{"lost peer: the path returns within 15 s", pathReturns},
		{"lost peer: the path stays away", pathStaysAway},
		{"lost peer: signalling breaks while ringing", streamBreaksRinging},
		{"lost peer: signalling breaks in a call, the call goes on", streamBreaksInCall},
		{"lost peer: path closed after signalling broke is a hang-up", closedAfterBreak},
		{"lost peer: path closed without a word", closedWithoutWord},
		{"lost peer: hang-up into a dead link ends after 2 s", hangupIntoDeadLink},
		{"late: requests after the end are refused", lateRequests},
		{"slow phone: events wait, the call does not", slowPhone},
		{"shutdown: both ends say so", shutdown},
	} {
		t.Run(feature.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { feature.run(t, newWorld(t, signaling.Config{})) })
		})
	}
}

func answered(t *testing.T, w *world) {
	begin := time.Now()
	out, in, _ := w.dial()
	if in.ID() != out.ID() || in.Peer() != "alice" || string(in.Offer().SDP) != "offer" {
		t.Errorf("the callee sees call %s by %s", in.ID(), in.Peer())
	}
	must(t, in.Ringing(answer))
	if r := next[signaling.RemoteRinging](t, out); string(r.Answer.SDP) != "answer" || string(r.Answer.Certificate) != "cert b" {
		t.Errorf("ringing shows %q", r.Answer)
	}
	if took := time.Since(begin); took != 2*delay {
		t.Errorf("call to ringing took %v, want one round trip", took)
	}
	next[signaling.SASReady](t, out)
	next[signaling.SASReady](t, in)
	must(t, in.Accept(signaling.Answer{}))
	if a := next[signaling.RemoteAccepted](t, out); string(a.Answer.SDP) != "answer" || string(a.Answer.Binding) != "bind b" {
		t.Errorf("accept shows %q", a.Answer)
	}
	silent(t, out, time.Second)
	out.PathUp()
	in.PathUp()
	next[signaling.Start](t, out)
	next[signaling.Start](t, in)
	silent(t, out, 24*time.Hour)
	if name := out.State().Name(); name != "active" {
		t.Errorf("the call is %s", name)
	}
}

func answeredAtOnce(t *testing.T, w *world) {
	out, in, _ := w.dial()
	if err := in.Accept(signaling.Answer{SDP: []byte("sdp")}); !errors.Is(err, signaling.ErrMalformed) {
		t.Errorf("accept without identity: %v", err)
	}
	must(t, in.Accept(answer))
	in.PathUp()
	out.PathUp()
	next[signaling.Start](t, in)
	next[signaling.RemoteAccepted](t, out)
	next[signaling.Start](t, out)
	next[signaling.SASReady](t, out)
	next[signaling.SASReady](t, in)
}

func nothingBeforeAccept(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, in.Ringing(answer))
	next[signaling.RemoteRinging](t, out)
	next[signaling.SASReady](t, out)
	next[signaling.SASReady](t, in)
	for _, c := range []*signaling.Call{out, in} {
		c.PathUp()
		c.PathLost()
		c.PathUp()
		silent(t, c, time.Second)
		if c.State().Started {
			t.Errorf("%s has started", c.Role())
		}
	}
	if err := out.Accept(answer); !errors.Is(err, signaling.ErrUnexpected) {
		t.Errorf("the caller accepts its own call: %v", err)
	}
	silent(t, out, time.Second)
}

func strangerAnswer(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, in.Ringing(signaling.Answer{Certificate: answer.Certificate, Binding: answer.Binding}))
	if r := next[signaling.RemoteRinging](t, out); len(r.Answer.SDP) != 0 || len(r.Answer.Binding) == 0 {
		t.Errorf("ringing shows %q", r.Answer)
	}
	next[signaling.SASReady](t, out)
	next[signaling.SASReady](t, in)
	must(t, in.Accept(answer))
	if a := next[signaling.RemoteAccepted](t, out); string(a.Answer.SDP) != "answer" {
		t.Errorf("accept shows %q", a.Answer)
	}
}

func sameSAS(t *testing.T, w *world) {
	seen := map[signaling.SAS]bool{}
	for _, early := range []bool{true, false} {
		out, in, _ := w.dial()
		if _, known := in.SAS(); known {
			t.Error("the callee knows the string before the reveal")
		}
		if early {
			must(t, in.Ringing(answer))
			next[signaling.RemoteRinging](t, out)
		} else {
			must(t, in.Ringing(signaling.Answer{}))
			next[signaling.RemoteRinging](t, out)
			must(t, in.Accept(answer))
			next[signaling.RemoteAccepted](t, out)
		}
		a, b := next[signaling.SASReady](t, out).SAS, next[signaling.SASReady](t, in).SAS
		if got, known := in.SAS(); a != b || got != b || !known {
			t.Errorf("alice reads %v, bob %v", a, b)
		}
		seen[a] = true
	}
	if len(seen) != 2 {
		t.Error("two calls have the same string")
	}
}

func rejected(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, in.Ringing(signaling.Answer{}))
	next[signaling.RemoteRinging](t, out)
	must(t, in.Reject(""))
	wantEnded(t, out, signaling.ReasonDeclined, true)
	wantLeft(t, in, signaling.ReasonDeclined)
}

func busyByPhone(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, in.Reject(signaling.ReasonBusy))
	wantEnded(t, out, signaling.ReasonBusy, true)
	wantLeft(t, in, signaling.ReasonBusy)
}

func badFingerprint(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, in.Ringing(answer))
	next[signaling.RemoteRinging](t, out)
	must(t, out.End(signaling.ReasonBadFingerprint))
	next[signaling.SASReady](t, out)
	wantLeft(t, out, signaling.ReasonBadFingerprint)
	next[signaling.SASReady](t, in)
	wantEnded(t, in, signaling.ReasonBadFingerprint, true)
	if err := out.End("bored"); err == nil {
		t.Error("a reason that is not on the list is taken")
	}
}

func cancelled(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, in.Ringing(signaling.Answer{}))
	next[signaling.RemoteRinging](t, out)
	must(t, out.Hangup())
	wantLeft(t, out, signaling.ReasonCancelled)
	wantEnded(t, in, signaling.ReasonCancelled, true)
}

func cancelCrossesAccept(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, out.Hangup())
	must(t, in.Accept(answer))
	wantLeft(t, out, signaling.ReasonCancelled)
	wantEnded(t, in, signaling.ReasonCancelled, true)
}

func cancelCrossesReject(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, out.Hangup())
	must(t, in.Reject(""))
	next[signaling.Stopping](t, out)
	wantEnded(t, out, signaling.ReasonDeclined, true)
	wantLeft(t, in, signaling.ReasonDeclined)
}

func noAnswer(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, in.Ringing(signaling.Answer{}))
	next[signaling.RemoteRinging](t, out)
	begin := time.Now()
	next[signaling.Stopping](t, out)
	if rang := time.Since(begin); rang != 45*time.Second {
		t.Errorf("it rang for %v", rang)
	}
	wantEnded(t, out, signaling.ReasonNoAnswer, false)
	wantEnded(t, in, signaling.ReasonNoAnswer, true)
}

func noAnswerCrossesAccept(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, in.Ringing(signaling.Answer{}))
	next[signaling.RemoteRinging](t, out)
	silent(t, out, 45*time.Second-delay/2)
	must(t, in.Accept(answer))
	wantLeft(t, out, signaling.ReasonNoAnswer)
	wantEnded(t, in, signaling.ReasonNoAnswer, true)
}

func noRinging(t *testing.T, w *world) {
	begin := time.Now()
	out, in, _ := w.dial()
	next[signaling.Stopping](t, out)
	if waited := time.Since(begin); waited != 15*time.Second {
		t.Errorf("waited %v for ringing", waited)
	}
	wantEnded(t, out, signaling.ReasonUnreachable, false)
	wantEnded(t, in, signaling.ReasonUnreachable, true)
}

func hangupByCaller(t *testing.T, w *world) {
	out, in, _ := w.talk()
	must(t, out.Hangup())
	wantLeft(t, out, signaling.ReasonHangup)
	wantEnded(t, in, signaling.ReasonHangup, true)
}

func hangupByCallee(t *testing.T, w *world) {
	out, in, _ := w.talk()
	begin := time.Now()
	must(t, in.Hangup())
	wantLeft(t, in, signaling.ReasonHangup)
	if took := time.Since(begin); took != 2*delay {
		t.Errorf("hang-up took %v, want one round trip", took)
	}
	wantEnded(t, out, signaling.ReasonHangup, true)
}

func hangupByBoth(t *testing.T, w *world) {
	out, in, _ := w.talk()
	must(t, out.Hangup())
	must(t, in.Hangup())
	wantLeft(t, out, signaling.ReasonHangup)
	wantLeft(t, in, signaling.ReasonHangup)
}

func holdResume(t *testing.T, w *world) {
	out, in, _ := w.talk()
	for _, ends := range [][2]*signaling.Call{{out, in}, {in, out}} {
		holder, held := ends[0], ends[1]
		must(t, holder.Hold(true))
		if err := holder.Hold(true); !errors.Is(err, signaling.ErrUnexpected) {
			t.Errorf("hold twice: %v", err)
		}
		if !next[signaling.RemoteHold](t, held).Held || held.State().Name() != "held" || holder.State().Name() != "held" {
			t.Error("hold is not seen at both ends")
		}
		must(t, holder.Hold(false))
		if next[signaling.RemoteHold](t, held).Held || held.State().Name() != "active" {
			t.Error("resume is not seen")
		}
	}
}

func candidates(t *testing.T, w *world) {
	out, in, _ := w.dial()
	for i := range 64 {
		must(t, out.SendCandidate([]byte{1, byte(i)}))
		must(t, in.SendCandidate([]byte{2, byte(i)}))
	}
	for i := range 64 {
		if got := next[signaling.RemoteCandidate](t, in).Candidate; !bytes.Equal(got, []byte{1, byte(i)}) {
			t.Fatalf("candidate %d is %v", i, got)
		}
		if got := next[signaling.RemoteCandidate](t, out).Candidate; !bytes.Equal(got, []byte{2, byte(i)}) {
			t.Fatalf("candidate %d is %v", i, got)
		}
	}
	if err := out.SendCandidate([]byte("one more")); !errors.Is(err, signaling.ErrFlood) {
		t.Errorf("candidate 65: %v", err)
	}
	if err := in.SendCandidate(nil); err == nil {
		t.Error("an empty candidate is sent")
	}
	silent(t, in, time.Second)
}

func noPath(t *testing.T, w *world) {
	out, in, _ := w.dial()
	must(t, in.Accept(answer))
	next[signaling.SASReady](t, in)
	begin := time.Now()
	wantLeft(t, in, signaling.ReasonMediaFailed)
	if took := time.Since(begin); took > 16*time.Second {
		t.Errorf("gave up after %v", took)
	}
	next[signaling.RemoteAccepted](t, out)
	next[signaling.SASReady](t, out)
	if e := endOf(t, out); e.Reason != signaling.ReasonMediaFailed { // its own timer runs out at the same moment
		t.Errorf("the caller's call ended with %s", e.Reason)
	}
}

func pathReturns(t *testing.T, w *world) {
	out, _, _ := w.talk()
	out.PathLost()
	silent(t, out, 14*time.Second)
	if name := out.State().Name(); name != "reconnecting" {
		t.Errorf("the call is %s", name)
	}
	out.PathUp()
	silent(t, out, time.Minute)
	if name := out.State().Name(); name != "active" {
		t.Errorf("the call is %s", name)
	}
}

func pathStaysAway(t *testing.T, w *world) {
	out, in, link := w.talk()
	link.Stall()
	out.PathLost()
	in.PathLost()
	begin := time.Now()
	wantLeft(t, out, signaling.ReasonLost)
	if took := time.Since(begin); took != 17*time.Second {
		t.Errorf("lost after %v, want 15 s and 2 s for the peer's word", took)
	}
	wantLeft(t, in, signaling.ReasonLost)
}

func streamBreaksRinging(t *testing.T, w *world) {
	out, in, link := w.dial()
	must(t, in.Ringing(signaling.Answer{}))
	next[signaling.RemoteRinging](t, out)
	link.Break()
	wantEnded(t, out, signaling.ReasonLost, false)
	wantEnded(t, in, signaling.ReasonLost, false)
}

func streamBreaksInCall(t *testing.T, w *world) {
	out, in, link := w.talk()
	link.Break()
	silent(t, out, time.Hour)
	silent(t, in, time.Hour)
	if !out.State().StreamDown || out.State().Name() != "active" {
		t.Errorf("the call is %v", out.State())
	}
	must(t, out.Hangup())
	wantEnded(t, out, signaling.ReasonHangup, false)
	in.PathLost()
	wantEnded(t, in, signaling.ReasonLost, false)
}

func closedAfterBreak(t *testing.T, w *world) {
	_, in, link := w.talk()
	link.Break()
	synctest.Wait()
	in.PathClosed()
	wantEnded(t, in, signaling.ReasonHangup, true)
}

func closedWithoutWord(t *testing.T, w *world) {
	out, in, _ := w.talk()
	begin := time.Now()
	out.PathClosed()
	wantLeft(t, out, signaling.ReasonLost)
	if took := time.Since(begin); took != 2*time.Second+2*delay {
		t.Errorf("ended after %v", took)
	}
	wantEnded(t, in, signaling.ReasonLost, true)
}

func hangupIntoDeadLink(t *testing.T, w *world) {
	out, _, link := w.talk()
	link.Stall()
	begin := time.Now()
	must(t, out.Hangup())
	wantLeft(t, out, signaling.ReasonHangup)
	if took := time.Since(begin); took != 2*time.Second {
		t.Errorf("ended after %v", took)
	}
}

func lateRequests(t *testing.T, w *world) {
	out, in, _ := w.talk()
	must(t, out.Hangup())
	wantLeft(t, out, signaling.ReasonHangup)
	wantEnded(t, in, signaling.ReasonHangup, true)
	for name, err := range map[string]error{
		"hang up": out.Hangup(), "hold": out.Hold(true), "candidate": out.SendCandidate([]byte("c")),
		"accept": in.Accept(answer), "ringing": in.Ringing(answer),
	} {
		if !errors.Is(err, signaling.ErrEnded) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
	out.PathUp()
	out.PathLost()
	out.PathClosed()
}

func slowPhone(t *testing.T, w *world) {
	out, in, _ := w.dial()
	for range 10 {
		must(t, out.SendCandidate([]byte("c")))
	}
	must(t, out.Hangup())
	wantLeft(t, out, signaling.ReasonCancelled) // although the callee's phone has read nothing yet
	for range 10 {
		next[signaling.RemoteCandidate](t, in)
	}
	wantEnded(t, in, signaling.ReasonCancelled, true)
}

func shutdown(t *testing.T, w *world) {
	out, in, _ := w.talk()
	closed := make(chan error)
	go func() { closed <- w.bob.Close() }()
	wantLeft(t, in, signaling.ReasonShutdown)
	wantEnded(t, out, signaling.ReasonShutdown, true)
	must(t, <-closed)
	must(t, w.bob.Close())
	if _, err := w.bob.Dial(nopStream{}, offer("")); !errors.Is(err, signaling.ErrClosed) {
		t.Errorf("dial after close: %v", err)
	}
}

// nopStream is a stream nobody is to use but for Reset.
type nopStream struct{ signaling.Stream }

func (nopStream) Peer() string { return "nobody" }
func (nopStream) Reset() error { return nil }
