//go:build cgo

package phone

import (
	"testing"
)

func TestCallOutlivesTheSignallingStream(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	mine, theirs := alice.talk(bob)
	must(t, bob.node.Close()) // takes all connections of the overlay with it
	alice.card.forgetPlayed()
	bob.card.forgetPlayed()
	eventually(t, "both still hear each other", func() bool {
		return alice.card.hears(bob.card.pitch) && bob.card.hears(alice.card.pitch)
	})
	alice.in(mine, StateActive)
	must(t, alice.Hangup(""))
	alice.ended(mine, "hangup", "local")
	bob.ended(theirs, "hangup", "remote")
}

func TestPeerVanishes(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	mine, _ := alice.talk(bob)
	must(t, bob.node.Close())
	must(t, bob.engine.Close())
	alice.ended(mine, "hangup", "remote")
}

func TestPeerVanishesWhileItRings(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	mine := alice.calls(bob)
	bob.ringing()
	alice.in(mine, StateRinging) // before that he would be unreachable
	must(t, bob.node.Close())
	alice.ended(mine, "lost", "")
}

func TestShutdownTellsTheOtherEnd(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	mine, theirs := alice.talk(bob)
	must(t, bob.Close())
	alice.ended(mine, "shutdown", "remote")
	if open, _ := bob.card.streams(); open != 0 {
		t.Errorf("%d streams open after Close", open)
	}
	if err := bob.Answer(theirs); err == nil {
		t.Error("a closed phone answers")
	}
	if _, err := bob.Dial("alice"); err == nil {
		t.Error("a closed phone dials")
	}
}

func TestCalleeIsNotThere(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	must(t, bob.Close())
	mine := alice.calls(bob)
	c := alice.in(mine, StateEnded)
	if c.EndReason != "unreachable" && c.EndReason != "not_found" {
		t.Errorf("calling somebody who is off ended %q (%s)", c.EndReason, c.Error)
	}
}

func TestHangUpWhileDialling(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	for range 10 {
		mine := alice.calls(bob)
		must(t, alice.Hangup(mine))
		alice.ended(mine, "cancelled", "local")
	}
	eventually(t, "bob has no live call", func() bool { return len(bob.liveOnes()) == 0 })
}
