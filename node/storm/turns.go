package storm

import "time"

// SecondRelay is the mean time until a second relay is asked, where one is lacking: by then
// whoever else came at the same time is in.
const SecondRelay = time.Minute

// Turns is who is pinged how often: of Holder pings one is of a server that holds records
// and is no neighbour, as of holders one may be missing, of neighbours none; of Relay pings
// one is of the relay through which alone others reach a node (0: it has no turn of its own).
type Turns struct{ Holder, Relay int }

// PingTurns are those of a node.
var PingTurns = Turns{Holder: 4, Relay: 2}

// Whom is whom the t-th ping is of: neighbours in turn, and now and then in place of one of
// them one of the holders, or the relay, nil where there is none. ok is false where there is
// nobody to be pinged.
func Whom[P any](k Turns, t int, neighbours, holders []P, relay *P) (whom P, ok bool) {
	relayed := relay != nil && k.Relay > 0
	held := 0 // pings of holders among the first t
	if len(holders) > 0 {
		held = t / k.Holder
	}
	switch {
	case len(holders) > 0 && (t%k.Holder == 0 || len(neighbours) == 0):
		if len(neighbours) == 0 {
			held = t
		}
		return holders[held%len(holders)], true
	case relayed && t%k.Relay == 1:
		return *relay, true
	case len(neighbours) == 0:
		return whom, false
	}
	others := held
	if relayed {
		others += (t + k.Relay - 1) / k.Relay
	}
	return neighbours[(t-others)%len(neighbours)], true
}
