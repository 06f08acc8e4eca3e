package e2e_test

import (
	"testing"

	"github.com/peerd/peerd/test/harness"
)

func TestSecondIncomingCallRingsAndIsRejectedWhileTheFirstGoesOn(t *testing.T) {
	t.Parallel()
	phones := online(t, alice(), bob(), carol())
	a, b, c := phones[0], phones[1], phones[2]
	acquaint(t, a, b)
	acquaint(t, c, b)
	first, _, in := connect(t, a, b)
	second, _, waiting := ring(t, c, b)
	b.Run(t, 0, "reject", waiting.ID)
	second.Call(4)
	b.AwaitPlayed(t, talk)
	b.Run(t, 0, "hangup", in.ID)
	first.Call(0)
	b.Heard(t).Is(t, aliceSays())
	c.NeverPlayed(t)
}

func TestSecondIncomingCallIsAnsweredAndTheFirstHeld(t *testing.T) {
	t.Parallel()
	phones := online(t, alice(), bob(), carol())
	a, b, c := phones[0], phones[1], phones[2]
	acquaint(t, a, b)
	acquaint(t, c, b)
	first, out, in := connect(t, a, b)
	second, _, waiting := ring(t, c, b)
	b.Run(t, 0, "answer", waiting.ID)
	a.AwaitCall(t, "the first call is held by the other end", func(call harness.Call) bool {
		return call.ID == out.ID && call.ByRemote
	})
	awaitSound(t, b, waiting.ID)
	b.AwaitPlayed(t, talk) // of the second call: the recording began anew
	c.Run(t, 0, "hangup")
	second.Call(0)
	ended(t, b, waiting.ID, "answered", "hangup", "remote")
	a.Run(t, 0, "hangup")
	first.Call(0)
	ended(t, b, in.ID, "answered", "hangup", "remote")
	b.Heard(t).Is(t, carolSays())
}

func TestBothCallEachOtherAndTalkInOneCall(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	fromA := a.Go(t, "call", "bob", "--json")
	fromB := b.Go(t, "call", "alice", "--json")
	isTalk := func(c harness.Call) bool { return c.State == "active" && c.AudioMS != nil }
	a.AwaitCall(t, "alice hears bob", isTalk)
	b.AwaitCall(t, "bob hears alice", isTalk)
	a.AwaitPlayed(t, talk)
	b.AwaitPlayed(t, talk)
	a.Run(t, 0, "hangup")
	fromA.Call(0)
	fromB.Call(0)
	for _, d := range []*harness.Daemon{a, b} {
		for _, c := range d.Calls() {
			if c.State != "ended" || c.Outcome != "answered" {
				t.Errorf("at %s a call is left: %+v", d.Name(), c)
			}
		}
	}
	a.Heard(t).Is(t, bobSays())
	b.Heard(t).Is(t, aliceSays())
}
