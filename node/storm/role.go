package storm

import "time"

// scarceFor is over how long a node remembers refusals.
const scarceFor = 10 * time.Second

// Role decides whether a node that others can reach serves. Servers are wanted
// where people are refused: need is read off the refusals, never off a ratio that
// somebody configured. Who serves stays a server until it ends: it may carry calls,
// and no load ever takes capacity away. The zero value is a node that has seen nothing.
type Role struct {
	refused, asked float32
	at             Moment
}

// Saw notes an answer, one's own or one heard of.
func (r *Role) Saw(now Moment, refused bool) {
	r.fade(now)
	r.asked++
	if refused {
		r.refused++
	}
}

func (r *Role) fade(now Moment) {
	left := 1 - float32(min(now-r.at, scarceFor))/float32(scarceFor)
	r.refused, r.asked, r.at = r.refused*left, r.asked*left, now
}

// Promote says, once a second, whether a reachable node that does not serve begins
// to: with a probability in proportion to the refusals it sees.
func (r *Role) Promote(now Moment, unit float64, off Options) bool {
	r.fade(now)
	return off.Has(Promotion) && r.asked > 0 && unit < float64(r.refused/r.asked)
}
