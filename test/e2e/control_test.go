package e2e_test

import (
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
)

// settle is what sound that is on its way may take: the playout buffer, and a
// machine that is busy with other tests.
const settle = 500 * time.Millisecond

func TestCallIsHeldAndResumed(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := connect(t, a, b)
	b.AwaitPlayed(t, talk/2)
	a.Run(t, 0, "hold")
	a.AwaitCall(t, "it is held here", func(c harness.Call) bool { return c.ID == out.ID && c.State == "held" && c.Held })
	b.AwaitCall(t, "it is held there", func(c harness.Call) bool { return c.ID == in.ID && c.State == "held" && c.ByRemote })
	held := time.Now()
	b.AwaitPlayed(t, b.Played(t)+talk/2)
	resume := time.Now()
	a.Run(t, 0, "resume")
	a.AwaitState(t, "outgoing", "active")
	b.AwaitState(t, "incoming", "active")
	resumed := time.Now()
	b.AwaitPlayed(t, b.Played(t)+talk/2)
	a.AwaitPlayed(t, b.Played(t))
	over := time.Now()
	a.Run(t, 0, "hangup")
	call.Call(0)
	for _, d := range []*harness.Daemon{a, b} {
		heard := d.Heard(t)
		heard.Audible(t, d.Name()+" before the hold", heard.Start.Add(settle), held.Add(-settle))
		heard.Silent(t, d.Name()+" on hold", held.Add(settle), resume)
		heard.Audible(t, d.Name()+" after the hold", resumed.Add(settle), over)
	}
}

func TestMicrophoneIsMutedAndUnmuted(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, _ := connect(t, a, b)
	b.AwaitPlayed(t, talk/2)
	a.Run(t, 0, "mute")
	a.AwaitCall(t, "it is muted", func(c harness.Call) bool { return c.ID == out.ID && c.Muted })
	muted := time.Now()
	b.AwaitPlayed(t, b.Played(t)+talk/2)
	unmute := time.Now()
	a.Run(t, 0, "unmute")
	unmuted := time.Now()
	b.AwaitPlayed(t, b.Played(t)+talk/2)
	over := time.Now()
	a.Run(t, 0, "hangup")
	call.Call(0)
	heard := b.Heard(t)
	heard.Silent(t, "bob while alice is muted", muted.Add(settle), unmute)
	heard.Audible(t, "bob when alice is back", unmuted.Add(settle), over)
	a.Heard(t).Audible(t, "alice while she is muted", muted.Add(settle), unmute)
}

func TestDigitsArePressedAndHeardAtTheOtherEnd(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := connect(t, a, b)
	a.Run(t, 0, "dtmf", "1590#*")
	b.AwaitCall(t, "the digits arrive", func(c harness.Call) bool { return c.ID == in.ID && c.Digits == "1590#*" })
	b.Run(t, 0, "dtmf", "7D")
	a.AwaitCall(t, "digits go the other way", func(c harness.Call) bool { return c.ID == out.ID && c.Digits == "7D" })
	if res := a.Run(t, 2, "dtmf", "12x"); res.Stderr == "" {
		t.Error("a key that no phone has is refused without a word")
	}
	a.Run(t, 0, "hangup")
	call.Call(0)
}
