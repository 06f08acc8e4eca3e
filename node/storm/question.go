package storm

import "time"

// Question asks a server whether to come. It is all that a server learns before
// it has spent more than a datagram on the asker. P names a peer.
type Question[P comparable] struct {
	From   P
	Class  Class
	Prefix uint64 // of the asker's network address, hashed by the driver; 0 is unknown
	// Slot is what an earlier answer of this very server promised; 0 is nothing. The
	// driver has checked its MAC.
	Slot Moment
	// Serves: the asker will serve others once it is in.
	Serves bool
	// Ticket: the asker was here before, and the driver has checked its ticket.
	Ticket bool
	// Gift: it brings the record that it is about, and nobody connects for it. A question
	// to publish without one is of a node that lost its neighbours and comes again.
	Gift bool
	// Quiet: where there is no room for it, it has no answer.
	Quiet bool
}

// Pays is the class whose work a question is let in for: who comes again does all that a
// log-in does, however important.
func (q *Question[P]) Pays() Class {
	if q.Class == Presence && !q.Gift {
		return LogIn
	}
	return min(q.Class, Refresh)
}

// Verdict is the gist of an answer.
type Verdict uint8

// The verdicts.
const (
	// Silent: too many ask for all of them to be answered. Nothing is sent.
	Silent Verdict = iota
	// Wait: not now. Ask again at Slot, or ask whom the answer refers to.
	Wait
	// Come: room for this work is kept, from Delay on and for a while.
	Come
)

// MaxReferrals is how many peers one answer names at most.
const MaxReferrals = 8

// Answer is a server's answer to a Question. The driver owns it and may use it again.
type Answer[P comparable] struct {
	Verdict Verdict
	// Slot is the moment, on the server's clock, from which the asker has priority.
	// With Wait only; 0 promises nothing. On the wire it goes with a MAC.
	Slot Moment
	// Delay is how long to wait before coming, or before asking again: until the slot,
	// if there is one.
	Delay time.Duration
	// Referrals are N peers that are in and serve.
	Referrals [MaxReferrals]P
	N         uint8
	Uptime    time.Duration // of the server
	Load      float32       // of the server: 1 is all it gives
}
