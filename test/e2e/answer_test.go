package e2e_test

import (
	"slices"
	"testing"

	"github.com/peerd/peerd/test/harness"
)

func TestCallIsAnsweredAndBothHearEachOther(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := connect(t, a, b, "--for", talk.String())
	told := call.Call(0)
	ended(t, a, out.ID, "answered", "hangup", "local")
	ended(t, b, in.ID, "answered", "hangup", "remote")
	if told.ID != out.ID || told.Outcome != "answered" || told.Path == "" || told.RingMS == nil || told.AudioMS == nil {
		t.Errorf("peerd call tells %+v", told)
	}
	if told.DurationS < talk.Seconds()-0.1 || told.DurationS > talk.Seconds()+2 {
		t.Errorf("the call took %.2f s, asked for were %v", told.DurationS, talk)
	}
	a.Heard(t).Is(t, bobSays())
	b.Heard(t).Is(t, aliceSays())
}

func TestCallRingsAtBothEndsUntilItIsAnswered(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := ring(t, a, b)
	if out.RingMS == nil || *out.RingMS <= 0 {
		t.Errorf("ring_ms at the caller is %v", out.RingMS)
	}
	if in.Remote.Stranger || in.Remote.Name != "alice" {
		t.Errorf("at the callee it rings from %+v", in.Remote)
	}
	a.NeverPlayed(t)
	b.NeverPlayed(t)
	b.Run(t, 0, "answer", in.ID)
	awaitSound(t, b, in.ID)
	awaitSound(t, a, out.ID)
	b.Run(t, 0, "hangup")
	call.Expect(0)
}

func TestCallIsAnsweredByItself(t *testing.T) {
	t.Parallel()
	opt := bob()
	opt.Answer = "auto"
	a, b := pair(t, alice(), opt)
	a.Go(t, "call", "bob", "--for", talk.String(), "--json").Call(0)
	b.AwaitState(t, "incoming", "ended")
	a.Heard(t).Is(t, bobSays())
	b.Heard(t).Is(t, aliceSays())
}

func TestEchoNodeSendsBackWhatItHears(t *testing.T) {
	t.Parallel()
	a, _ := pair(t, alice(), harness.Options{Name: "bob", Answer: "echo"})
	call := a.Go(t, "call", "bob", "--for", talk.String(), "--json").Call(0)
	if call.Outcome != "answered" {
		t.Errorf("the call is %+v", call)
	}
	a.Heard(t).Is(t, aliceSays())
}

func TestStrangerCallsAndIsMarkedAsOne(t *testing.T) {
	t.Parallel()
	phones := online(t, alice(), bob())
	a, b := phones[0], phones[1]
	a.Run(t, 0, "contacts", "add", "bob", b.Link) // and bob knows nothing of alice
	call := a.Go(t, "call", "bob", "--for", talk.String(), "--json")
	in := b.AwaitState(t, "incoming", "ringing")
	if !in.Remote.Stranger {
		t.Errorf("it rings from %+v, who is in nobody's contacts", in.Remote)
	}
	b.Run(t, 0, "answer")
	call.Call(0)
	a.Heard(t).Is(t, bobSays())
	b.Heard(t).Is(t, aliceSays())
}

func TestCallByLinkNeedsNoContact(t *testing.T) {
	t.Parallel()
	opt := bob()
	opt.Answer = "auto"
	phones := online(t, alice(), opt)
	call := phones[0].Go(t, "call", phones[1].Link, "--for", talk.String(), "--json").Call(0)
	if call.Outcome != "answered" {
		t.Errorf("the call is %+v", call)
	}
	phones[1].Heard(t).Is(t, aliceSays())
}

func TestAuthenticationWordsAreTheSameAtBothEnds(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := connect(t, a, b)
	hasWords := func(id string) func(harness.Call) bool {
		return func(c harness.Call) bool { return c.ID == id && len(c.SAS) > 0 }
	}
	mine := a.AwaitCall(t, "words at the caller", hasWords(out.ID)).SAS
	theirs := b.AwaitCall(t, "words at the callee", hasWords(in.ID)).SAS
	if len(mine) != 4 || !slices.Equal(mine, theirs) {
		t.Errorf("words are %v and %v", mine, theirs)
	}
	a.Run(t, 0, "hangup")
	call.Expect(0)
}

func TestCallsAreInTheHistoryOfBothEnds(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := connect(t, a, b)
	a.Run(t, 0, "hangup")
	call.Expect(0)
	b.AwaitEnd(t, in.ID)
	for _, end := range []struct {
		phone   *harness.Daemon
		id, dir string
	}{{a, out.ID, "outgoing"}, {b, in.ID, "incoming"}} {
		var shown harness.Call
		end.phone.Read(t, &shown, "calls", "show", end.id)
		if shown.Direction != end.dir || shown.Outcome != "answered" || shown.EndReason != "hangup" {
			t.Errorf("calls show at %s: %+v", end.phone.Name(), shown)
		}
		end.phone.Stop(t)
		end.phone.Restart(t)
		var kept []harness.Call
		end.phone.Read(t, &kept, "calls")
		if len(kept) != 1 || kept[0].ID != end.id || kept[0].Outcome != "answered" {
			t.Errorf("calls at %s after a restart: %+v", end.phone.Name(), kept)
		}
	}
}
