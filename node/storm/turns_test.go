package storm

import "testing"

// TestAllTakeTurnsInBeingPinged: however many there are, nobody is left out, and the relay
// comes every other time.
func TestAllTakeTurnsInBeingPinged(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	relay := "r"
	for neighbours := range len(all) {
		for holders := range len(all) - neighbours {
			for _, through := range []*string{nil, &relay} {
				count := make(map[string]int)
				const ticks = 400
				for i := range ticks {
					if p, ok := Whom(PingTurns, i, all[:neighbours], all[neighbours:neighbours+holders], through); ok {
						count[p]++
					}
				}
				for _, p := range all[:neighbours+holders] {
					if count[p] < ticks/PingTurns.Holder/(neighbours+holders)-1 {
						t.Errorf("%d neighbours, %d holders, relay %v: %s was pinged %d times", neighbours, holders, through != nil, p, count[p])
					}
				}
				if through != nil && neighbours > 0 && count[relay] != ticks/PingTurns.Relay {
					t.Errorf("the relay was pinged %d times", count[relay])
				}
			}
		}
	}
}
