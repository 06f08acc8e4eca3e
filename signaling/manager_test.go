package signaling_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerd/peerd/signaling"
	"github.com/peerd/peerd/signaling/signalingtest"
)

// TestManyCalls is how calls get on with each other, and with peers that do
// not play by the rules. Bob is the one tested; he has room for three calls.
func TestManyCalls(t *testing.T) {
	for _, feature := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"second incoming call: is offered while the first goes on", secondIncoming},
		{"busy: one call more than there is room for", oneTooMany},
		{"busy: a caller whose candidates cross the refusal still reads why", busyCrossesCandidates},
		{"admit: a refusal is told by its reason", admitRefuses},
		{"glare: the lower call id goes on at both ends, whoever dials first", glare},
		{"glare: the winning call is recognised when its offer comes late", glareLateOffer},
		{"glare: one of several own calls wins, the same at both ends", glareSeveral},
		{"glare: equal call ids end both", glareEqual},
		{"glare: an accepted call is no rival", glareAccepted},
		{"duplicate: a call id is used once", duplicateID},
		{"answer: what ringing carried is not sent again", saidOnce},
		{"late and duplicate messages are dropped, the call goes on", duplicates},
		{"later version: unknown fields and types are skipped", unknownFields},
		{"later version: refused in words, before and in a call", futureVersion},
		{"later version: an unknown reason still ends the call", unknownReason},
		{"bad peer: oversized, garbage, empty and wrong first messages", badFirst},
		{"bad peer: garbage in a call ends it, another call goes on", garbageInCall},
		{"bad peer: a false reveal ends the call", falseReveal},
		{"bad peer: an answer that changes ends the call", changedAnswer},
		{"bad peer: sends no offer", noOffer},
		{"bad peer: closes before the offer", closesEarly},
		{"bad peer: floods messages and candidates", floods},
		{"bad peer: stops reading", stopsReading},
		{"bad peer: never reads, however much there is to say", neverReads},
		{"bad peer: opens streams without end", opensStreams},
		{"close: does not wait for a peer or a phone that is gone", closeIsBounded},
	} {
		t.Run(feature.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				feature.run(t, newWorld(t, signaling.Config{MaxCalls: 3, Admit: admit}))
			})
		})
	}
}

// admit refuses one caller by name.
func admit(inv signaling.Invitation) signaling.EndReason {
	if inv.Peer == "unwanted" {
		return signaling.ReasonDeclined
	}
	return ""
}

func secondIncoming(t *testing.T, w *world) {
	out, in, _ := w.talk()
	out2, in2, _ := w.dial()
	if in2.State().Name() != "offered" || in.State().Name() != "active" {
		t.Errorf("the calls are %s and %s", in.State().Name(), in2.State().Name())
	}
	must(t, in.Hold(true))
	next[signaling.RemoteHold](t, out)
	must(t, in2.Accept(answer))
	next[signaling.RemoteAccepted](t, out2)
	must(t, in.Hangup())
	wantEnded(t, out, signaling.ReasonHangup, true)
	next[signaling.SASReady](t, out2)
	if out2.State().Phase != signaling.PhaseLive {
		t.Error("the end of one call ends the other")
	}
}

func oneTooMany(t *testing.T, w *world) {
	first, firstIn, _ := w.dial()
	w.dial()
	w.dial()
	_, a, b := signalingtest.NewLink(delay, "alice", "bob")
	arrived := listen(w.bob, b)
	out, err := w.alice.Dial(a, offer(""))
	must(t, err)
	wantEnded(t, out, signaling.ReasonBusy, true)
	w.wantRefused(nil, <-arrived, signaling.ErrBusy, signaling.ReasonBusy)
	if _, err := w.bob.Dial(b, offer("")); !errors.Is(err, signaling.ErrBusy) {
		t.Errorf("dial without room: %v", err)
	}
	must(t, first.Hangup())
	wantLeft(t, first, signaling.ReasonCancelled)
	wantEnded(t, firstIn, signaling.ReasonCancelled, true)
	w.dial() // there is room again
}

func busyCrossesCandidates(t *testing.T, w *world) {
	_, a, b := signalingtest.NewLink(delay, "unwanted", "bob")
	listen(w.bob, b)
	out, err := w.alice.Dial(a, offer(""))
	must(t, err)
	silent(t, out, delay+delay/2) // the refusal is on its way, bob's stream is closed
	must(t, out.SendCandidate([]byte("late")))
	wantEnded(t, out, signaling.ReasonDeclined, true)
}

func admitRefuses(t *testing.T, w *world) {
	_, a, b := signalingtest.NewLink(delay, "unwanted", "bob")
	arrived := listen(w.bob, b)
	must(t, signaling.WriteMessage(a, rawOffer()))
	w.wantRefused(a, <-arrived, nil, signaling.ReasonDeclined)
}

func duplicateID(t *testing.T, w *world) {
	peer, arrived := w.raw()
	must(t, signaling.WriteMessage(peer, rawOffer()))
	first := <-arrived
	must(t, first.err)
	second, again := w.raw()
	must(t, signaling.WriteMessage(second, rawOffer()))
	w.wantRefused(second, <-again, signaling.ErrDuplicate, signaling.ReasonProtocolError)
	if s := first.call.State(); s.Phase != signaling.PhaseLive {
		t.Errorf("the first call is %v", s)
	}
}

// rawCall is a call between a hand-written caller and bob.
func (w *world) rawCall(offer signaling.Message) (*signalingtest.End, *signaling.Call) {
	w.t.Helper()
	peer, arrived := w.raw()
	must(w.t, signaling.WriteMessage(peer, offer))
	got := <-arrived
	must(w.t, got.err)
	return peer, got.call
}

func duplicates(t *testing.T, w *world) {
	peer, in := w.rawCall(rawOffer())
	hold, resume := signaling.Message{Type: signaling.TypeHold}, signaling.Message{Type: signaling.TypeResume}
	for _, m := range []signaling.Message{rawOffer(), hold, resume, {Type: signaling.TypeRinging}, {Type: signaling.TypeAccept}} {
		must(t, signaling.WriteMessage(peer, m))
	}
	silent(t, in, time.Second)
	must(t, in.Accept(answer))
	for _, m := range []signaling.Message{hold, hold, resume, resume} {
		must(t, signaling.WriteMessage(peer, m))
	}
	if !next[signaling.RemoteHold](t, in).Held || next[signaling.RemoteHold](t, in).Held {
		t.Error("hold and resume come in the wrong order")
	}
	silent(t, in, time.Second)
}

func saidOnce(t *testing.T, w *world) {
	peer, in := w.rawCall(rawOffer())
	must(t, in.Ringing(answer))
	must(t, in.Accept(answer))
	ringing, err := signaling.ReadMessage(peer)
	must(t, err)
	accept, err := signaling.ReadMessage(peer)
	must(t, err)
	if len(ringing.Nonce) == 0 || len(ringing.SDP) == 0 {
		t.Errorf("ringing carries %#v", ringing)
	}
	if accept.Type != signaling.TypeAccept || len(accept.Nonce)+len(accept.Certificate)+len(accept.Binding)+len(accept.SDP) > 0 {
		t.Error("accept says again what ringing said")
	}
}

// frame puts a length before a body.
func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func unknownFields(t *testing.T, w *world) {
	peer, in := w.rawCall(rawOffer())
	for _, body := range []string{`{"v":1,"type":"video","frames":[1,2]}`, `{"v":1,"type":"candidate","candidate":"Yw==","shade":{"of":"blue"}}`} {
		_, err := peer.Write(frame(body))
		must(t, err)
	}
	if got := next[signaling.RemoteCandidate](t, in); string(got.Candidate) != "c" {
		t.Errorf("candidate %q", got.Candidate)
	}
}

func futureVersion(t *testing.T, w *world) {
	peer, arrived := w.raw()
	_, err := peer.Write(frame(`{"v":2,"type":{"kind":"offer"},"call_id":7}`))
	must(t, err)
	got := <-arrived
	if got.err == nil || !strings.Contains(got.err.Error(), "the peer speaks version 2, this end version 1") {
		t.Errorf("not in words: %v", got.err)
	}
	w.wantRefused(peer, got, signaling.ErrUnsupportedVersion, signaling.ReasonUnsupportedVersion)
	peer, in := w.rawCall(rawOffer())
	_, err = peer.Write(frame(`{"v":9}`))
	must(t, err)
	if e := wantEnded(t, in, signaling.ReasonUnsupportedVersion, false); !strings.Contains(e.Detail, "version 9") {
		t.Errorf("detail %q", e.Detail)
	}
	if m, err := signaling.ReadMessage(peer); err != nil || m.Reason != signaling.ReasonUnsupportedVersion || !strings.Contains(m.Text, "version 9") {
		t.Errorf("the peer is told %s %q, %v", m.Reason, m.Text, err)
	}
}

func unknownReason(t *testing.T, w *world) {
	peer, in := w.rawCall(rawOffer())
	must(t, signaling.WriteMessage(peer, signaling.Message{Type: signaling.TypeEnd, Reason: "moved", Text: "gone\x1b[31m\nhome"}))
	if e := wantEnded(t, in, signaling.ReasonHangup, true); e.Detail != "gone[31mhome" {
		t.Errorf("detail %q is not made safe for a terminal", e.Detail)
	}
}

func badFirst(t *testing.T, w *world) {
	for _, bad := range []struct {
		name  string
		bytes []byte
		cause error
	}{
		{"oversized", []byte{0, 1, 0, 1}, signaling.ErrTooLarge},
		{"four gigabytes", []byte{255, 255, 255, 255}, signaling.ErrTooLarge},
		{"empty", frame(""), signaling.ErrMalformed},
		{"garbage", frame("\x00\xffhello"), signaling.ErrMalformed},
		{"no object", frame(`[1]`), signaling.ErrMalformed},
		{"an offer of nothing", frame(`{"v":1,"type":"offer"}`), signaling.ErrMalformed},
		{"accept first", frame(`{"v":1,"type":"accept"}`), signaling.ErrUnexpected},
	} {
		peer, arrived := w.raw()
		_, err := peer.Write(bad.bytes)
		must(t, err)
		t.Log(bad.name)
		w.wantRefused(peer, <-arrived, bad.cause, signaling.ReasonProtocolError)
		w.bobLog.lines = nil
	}
}

func garbageInCall(t *testing.T, w *world) {
	_, other, _ := w.talk()
	peer, in := w.rawCall(rawOffer())
	_, err := peer.Write(frame("garbage"))
	must(t, err)
	wantEnded(t, in, signaling.ReasonProtocolError, false)
	if m, err := signaling.ReadMessage(peer); err != nil || m.Reason != signaling.ReasonProtocolError {
		t.Errorf("the peer is told %s, %v", m.Reason, err)
	}
	silent(t, other, time.Minute)
	if lines := w.bobLog.all(); len(lines) != 0 { // the reason and its detail are the phone's to log, once
		t.Errorf("logged %q", lines)
	}
}

func falseReveal(t *testing.T, w *world) {
	peer, in := w.rawCall(rawOffer())
	must(t, in.Ringing(answer))
	must(t, signaling.WriteMessage(peer, signaling.Message{Type: signaling.TypeReveal, Nonce: make([]byte, signaling.NonceSize)}))
	wantEnded(t, in, signaling.ReasonProtocolError, false)
	if _, known := in.SAS(); known {
		t.Error("a false reveal gives a string")
	}
	early := rawOffer()
	early.CallID = lowID
	peer, in = w.rawCall(early)
	must(t, signaling.WriteMessage(peer, signaling.Message{Type: signaling.TypeReveal, Nonce: nonce}))
	wantEnded(t, in, signaling.ReasonProtocolError, false) // before the callee's nonce is fixed
}

func changedAnswer(t *testing.T, w *world) {
	for _, second := range []signaling.Message{
		{Type: signaling.TypeAccept, SDP: []byte("other")},
		{Type: signaling.TypeAccept, Certificate: []byte("other"), Binding: answer.Binding, Nonce: nonce},
		{Type: signaling.TypeAccept, Certificate: answer.Certificate, Binding: answer.Binding, Nonce: make([]byte, 32)},
	} {
		_, a, peer := signalingtest.NewLink(delay, "alice", "mallory")
		out := mustDial(t, w.alice, a, "")
		ringing := signaling.Message{
			Type: signaling.TypeRinging, Certificate: answer.Certificate, Binding: answer.Binding, Nonce: nonce, SDP: answer.SDP,
		}
		must(t, signaling.WriteMessage(peer, ringing))
		must(t, signaling.WriteMessage(peer, second))
		next[signaling.RemoteRinging](t, out)
		next[signaling.SASReady](t, out)
		wantEnded(t, out, signaling.ReasonProtocolError, false)
	}
	_, a, peer := signalingtest.NewLink(delay, "alice", "mallory")
	out := mustDial(t, w.alice, a, "")
	must(t, signaling.WriteMessage(peer, signaling.Message{Type: signaling.TypeAccept, SDP: answer.SDP}))
	wantEnded(t, out, signaling.ReasonProtocolError, false) // an accept without identity
}

func noOffer(t *testing.T, w *world) {
	_, arrived := w.raw()
	begin := time.Now()
	got := <-arrived
	if took := time.Since(begin); took != 10*time.Second {
		t.Errorf("waited %v for an offer", took)
	}
	w.wantRefused(nil, got, signalingtest.ErrReset, signaling.ReasonLost)
}

func closesEarly(t *testing.T, w *world) {
	peer, arrived := w.raw()
	_, err := peer.Write([]byte{0, 0})
	must(t, err)
	must(t, peer.Close())
	w.wantRefused(nil, <-arrived, io.ErrUnexpectedEOF, signaling.ReasonLost)
}

func floods(t *testing.T, w *world) {
	for i, m := range []signaling.Message{{Type: signaling.TypeCandidate, Candidate: []byte("c")}, {Type: signaling.TypeHold}} {
		o := rawOffer()
		o.CallID = strings.Replace(lowID, "1", fmt.Sprint(i), 1)
		peer, in := w.rawCall(o)
		for range 1025 {
			if signaling.WriteMessage(peer, m) != nil {
				break // bob has hung up on the flood
			}
		}
		count := 0
		for ev := range in.Events() {
			count++
			if e, ok := ev.(signaling.Ended); ok && e.Reason != signaling.ReasonProtocolError {
				t.Errorf("a flood of %s ended with %s", m.Type, e.Reason)
			}
		}
		if count > 65 {
			t.Errorf("a flood of %s gave %d events", m.Type, count)
		}
	}
}

// stopsReading is a peer that falls silent with a few messages on their way:
// after 10 s the stream is given up, the call is not.
func stopsReading(t *testing.T, w *world) {
	_, in := w.rawCall(rawOffer())
	must(t, in.Accept(answer))
	in.PathUp()
	next[signaling.Start](t, in)
	for range 30 {
		must(t, in.SendCandidate(make([]byte, signaling.MaxCandidate)))
	}
	silent(t, in, 10*time.Second-time.Millisecond)
	if in.State().StreamDown {
		t.Error("given up before 10 s")
	}
	silent(t, in, time.Hour)
	if s := in.State(); !s.StreamDown || s.Name() != "active" {
		t.Errorf("the call is %v", s)
	}
}

func neverReads(t *testing.T, w *world) {
	_, in := w.rawCall(rawOffer())
	big := answer
	big.SDP = make([]byte, signaling.MaxSDP)
	must(t, in.Accept(big))
	in.PathUp()
	next[signaling.Start](t, in)
	for i := 0; !in.State().StreamDown; i++ {
		if i > 100_000 {
			t.Fatal("a peer that never reads is written to without end")
		}
		must(t, in.Hold(i%2 == 0))
		synctest.Wait()
	}
	silent(t, in, time.Hour) // the path is up, so the call goes on
	must(t, in.Hangup())
	wantEnded(t, in, signaling.ReasonHangup, false)
}

// opensStreams is a stranger with any number of names whose streams carry no
// offer: the newest have room, and those we know have room of their own.
func opensStreams(t *testing.T, w *world) {
	var silent []<-chan arrival
	for i := range 64 {
		_, _, b := signalingtest.NewLink(delay, fmt.Sprint("mallory", i), "bob")
		silent = append(silent, listen(w.bob, b))
		synctest.Wait() // they come in this order
	}
	begin := time.Now()
	_, a, b := signalingtest.NewLink(delay, "stranger", "bob")
	arrived := listen(w.bob, b)
	if got := <-silent[0]; !errors.Is(got.err, signaling.ErrRefused) || time.Since(begin) > 0 {
		t.Errorf("the oldest stream was displaced after %v: %v", time.Since(begin), got.err)
	}
	mustDial(t, w.alice, a, "")
	if got := <-arrived; got.err != nil {
		t.Errorf("the newest stream's offer: %v", got.err)
	}
	if lines := w.bobLog.all(); len(lines) > 0 {
		t.Errorf("a flood is logged: %q", lines)
	}
	for _, arrived := range silent[1:] {
		if <-arrived; time.Since(begin) < 9*time.Second {
			t.Fatalf("one more was displaced, after %v", time.Since(begin))
		}
	}
}

// TestStrangersTakeNoRoomOfThoseWeKnow: a caller we know, whose offer takes its
// time, is not displaced by a flood of streams.
func TestStrangersTakeNoRoomOfThoseWeKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, signaling.Config{Known: func(peer string) bool { return peer == "alice" }})
		_, a, b := signalingtest.NewLink(delay, "alice", "bob")
		arrived := listen(w.bob, b)
		synctest.Wait()
		for range 200 {
			w.raw()
			synctest.Wait()
		}
		mustDial(t, w.alice, a, "")
		if got := <-arrived; got.err != nil {
			t.Errorf("alice does not get through: %v", got.err)
		}
	})
}

func closeIsBounded(t *testing.T, w *world) {
	_, _, link := w.talk() // nobody reads the events of this call's end
	_, pending := w.raw()
	link.Stall()
	synctest.Wait()
	begin := time.Now()
	must(t, w.bob.Close())
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("close took %v", took)
	}
	if got := <-pending; got.call != nil {
		t.Error("a call after close")
	}
	_, more := w.raw()
	if got := <-more; !errors.Is(got.err, signaling.ErrRefused) {
		t.Errorf("incoming after close: %v", got.err)
	}
}
