package overlay

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// TestAllTakeTurnsInBeingPinged: however many there are, nobody is left out, and the relay
// comes every other time.
func TestAllTakeTurnsInBeingPinged(t *testing.T) {
	all := []peer.ID{"a", "b", "c", "d", "e", "f", "g", "h"}
	for neighbours := range len(all) {
		for holders := range len(all) - neighbours {
			for _, relay := range []peer.ID{"", "r"} {
				var r round
				count := make(map[peer.ID]int)
				const ticks = 400
				for range ticks {
					count[r.next(all[:neighbours], all[neighbours:neighbours+holders], relay)]++
				}
				for _, p := range all[:neighbours+holders] {
					if count[p] < ticks/holderEvery/(neighbours+holders)-1 {
						t.Errorf("%d neighbours, %d holders, relay %q: %s was pinged %d times", neighbours, holders, relay, p, count[p])
					}
				}
				if relay != "" && neighbours > 0 && count[relay] != ticks/relayEvery {
					t.Errorf("the relay was pinged %d times", count[relay])
				}
			}
		}
	}
}

// TestStrainedNodeIsPatient: who was kept waiting itself waits longer for neighbours, and
// no longer once it is not.
func TestStrainedNodeIsPatient(t *testing.T) {
	var w watched
	if w.late(20 * time.Millisecond); w.strained() != 0 {
		t.Errorf("a timer that is hardly late: %v", w.strained())
	}
	w.late(time.Second)
	if w.late(300 * time.Millisecond); w.strained() != 500*time.Millisecond {
		t.Errorf("a second late, and less a second later: %v", w.strained())
	}
	for range 10 {
		w.late(0)
	}
	if w.strained() > 10*time.Millisecond {
		t.Errorf("ten seconds later: %v", w.strained())
	}
}
