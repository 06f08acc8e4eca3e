//go:build cgo

package phone

import (
	"testing"
)

func TestStrangerGetsTheMemorySafeDecoder(t *testing.T) {
	t.Parallel()
	all := strangers(t, 2, nil)
	alice, bob := all[0], all[1]
	alice.knows(bob)
	mine := alice.calls(bob)
	theirs := bob.ringing()
	if !theirs.Remote.Stranger || theirs.Remote.Name != "alice" {
		t.Errorf("bob is called by %+v", theirs.Remote)
	}
	if c, _ := alice.Call(mine); c.Path != "" || len(c.SAS) != 0 {
		t.Errorf("a stranger learned more than that it rings: %+v", c)
	}
	must(t, bob.Answer(""))
	alice.in(mine, StateActive)
	eventually(t, "both hear each other", func() bool {
		return alice.card.hears(bob.card.pitch) && bob.card.hears(alice.card.pitch)
	})
	if bob.strangers.Load() != 1 || bob.known.Load() != 0 {
		t.Errorf("bob decoded with %d memory-safe and %d other decoders", bob.strangers.Load(), bob.known.Load())
	}
	if alice.strangers.Load() != 0 || alice.known.Load() != 1 {
		t.Errorf("alice decoded with %d memory-safe and %d other decoders", alice.strangers.Load(), alice.known.Load())
	}
	must(t, bob.Hangup(""))
	alice.ended(mine, "hangup", "remote")
}

func TestStrangerBecomesAContactWhileItRings(t *testing.T) {
	t.Parallel()
	all := strangers(t, 2, nil)
	alice, bob := all[0], all[1]
	alice.knows(bob)
	mine := alice.calls(bob)
	bob.ringing()
	bob.knows(alice)
	eventually(t, "bob's node knows alice's device", func() bool {
		return len(bob.node.Presence(alice.id.Account()).Devices) > 0
	})
	must(t, bob.Answer(""))
	alice.in(mine, StateActive)
	if bob.known.Load() != 1 || bob.strangers.Load() != 0 {
		t.Errorf("bob decoded with %d memory-safe and %d other decoders", bob.strangers.Load(), bob.known.Load())
	}
}
