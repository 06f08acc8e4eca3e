//go:build cgo

package phone

import (
	"slices"
	"testing"
)

// TestGlare lets both call each other at once, again and again: each time one
// call goes on, with both users in it, under the id that each of them dialled.
func TestGlare(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	for round := 1; round <= 10; round++ {
		ids := [2]string{}
		dialled := make(chan error, 2)
		for i, p := range all {
			go func() {
				var err error
				ids[i], err = p.Dial(all[1-i].id.Name())
				dialled <- err
			}()
		}
		must(t, <-dialled)
		must(t, <-dialled)
		a, b := alice.in(ids[0], StateActive), bob.in(ids[1], StateActive)
		eventually(t, "words at both ends", func() bool {
			a, b = alice.in(ids[0], StateActive), bob.in(ids[1], StateActive)
			return len(a.SAS) == 4 && len(b.SAS) == 4
		})
		if !slices.Equal(a.SAS, b.SAS) {
			t.Errorf("round %d: they are in different calls: %q, %q", round, a.SAS, b.SAS)
		}
		if len(alice.liveOnes()) != 1 || len(bob.liveOnes()) != 1 {
			t.Errorf("round %d: %d and %d live calls", round, len(alice.liveOnes()), len(bob.liveOnes()))
		}
		if round == 1 {
			eventually(t, "both hear each other", func() bool {
				return alice.card.hears(bob.card.pitch) && bob.card.hears(alice.card.pitch)
			})
		}
		must(t, alice.Hangup(""))
		alice.ended(ids[0], "hangup", "local")
		bob.ended(ids[1], "hangup", "remote")
		if n, m := len(alice.Calls()), len(bob.Calls()); n != round || m != round {
			t.Errorf("round %d: histories of %d and %d calls", round, n, m)
			for _, c := range append(alice.Calls(), bob.Calls()...) {
				t.Logf("%s %s %s to %s, %s %s %s", c.ID[:8], c.Direction, c.State, c.Remote.Name, c.EndReason, c.EndedBy, c.Error)
			}
			t.FailNow()
		}
	}
}

func TestDialAnswersWhoRingsAlready(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	mine := alice.calls(bob)
	theirs := bob.ringing()
	if id := bob.calls(alice); id != theirs.ID {
		t.Errorf("bob dialled call %s while %s rang", id, theirs.ID)
	}
	alice.in(mine, StateActive)
}
