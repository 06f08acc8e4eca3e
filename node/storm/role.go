package storm

import "time"

const (
	// scarceFor is over how long a node remembers refusals.
	scarceFor = 10 * time.Second
	// calmBefore is how long no refusal may have been seen before a server that
	// promoted itself steps down.
	calmBefore = 10 * time.Minute
)

// Role decides whether a node that others can reach serves. Servers are wanted
// where people are refused: need is read off the refusals, never off a ratio that
// somebody configured. The zero value is a node that has seen nothing.
type Role struct {
	refused, asked float32
	at             Moment
	lastRefusal    Moment
	seen           bool
}

// Saw notes an answer, one's own or one heard of.
func (r *Role) Saw(now Moment, refused bool) {
	r.fade(now)
	r.asked++
	if refused {
		r.refused++
		r.lastRefusal, r.seen = now, true
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

// Demote says, once a minute, whether a server that promoted itself stops: slowly,
// one in ten at a time, and never while refusals are seen or it is of use.
func (r *Role) Demote(now Moment, load, unit float64) bool {
	const idle = 0.02
	calm := !r.seen || now-r.lastRefusal > calmBefore
	return calm && load < idle && unit < 0.1
}
