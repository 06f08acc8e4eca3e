package stormlab

import (
	"math"
	"slices"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// naive is a node of the baselines. It knows the same peers as ours, dials one at
// a time without asking, and its servers work off whatever comes in turn.
type naive struct {
	seq   uint32 // of the timer that counts
	tries uint8
	state naiveState
	left  [maxHolders]uint32 // servers that shall still take a record
}

type naiveState uint8

const (
	naiveDialling naiveState = iota
	naiveWaiting
	naiveSearching
	naiveStoring
	naiveIn
)

const (
	naiveTimeout = 5 * time.Second
	naiveBase    = time.Second
	naiveCap     = time.Minute
	naiveAgain   = time.Minute
	naiveTrips   = 2 // until a record is stored where there was no connection: handshake, put
)

func (s *sim) naiveStart(id uint32) {
	s.naive[id] = naive{}
	s.naiveDial(id)
}

// naiveTimer sets the one timer of a node.
func (s *sim) naiveTimer(id uint32, d time.Duration) {
	v := &s.naive[id]
	v.seq++
	s.at(d, event{kind: evTick, to: id, gen: s.nodes[id].gen, x: int64(v.seq)})
}

func (s *sim) naiveDial(id uint32) {
	n, v := &s.nodes[id], &s.naive[id]
	v.state = naiveDialling
	peer := s.bootstrap[s.rng.IntN(len(s.bootstrap))]
	if book := s.book(id); len(book.Cached) > 0 && v.tries%8 != 7 {
		peer = book.Cached[s.rng.IntN(len(book.Cached))]
	}
	s.attempt(n, peer)
	s.dials(n)
	s.at(s.way()+s.resends(), event{
		kind: evDial, to: peer, from: id, gen: n.gen, aux: uint8(storm.LogIn), x: int64(s.now + naiveTimeout),
	})
	s.naiveTimer(id, naiveTimeout)
}

// naiveTick is a time-out, or the end of a wait.
func (s *sim) naiveTick(e *event) {
	v := &s.naive[e.to]
	if int64(v.seq) != e.x {
		return
	}
	switch v.state {
	case naiveDialling:
		v.tries = min(v.tries+1, 64)
		v.state = naiveWaiting
		s.naiveTimer(e.to, s.naiveWait(v))
	case naiveWaiting:
		s.naiveDial(e.to)
	case naiveSearching, naiveStoring:
		v.tries = min(v.tries+1, 64)
		v.state = naiveSearching
		s.search(e.to, &s.nodes[e.to])
		s.naiveTimer(e.to, naiveTimeout+s.naiveWait(v))
	case naiveIn: // look whether others are closer by now
		v.state = naiveSearching
		s.search(e.to, &s.nodes[e.to])
		s.naiveTimer(e.to, naiveTimeout+s.naiveWait(v))
	}
}

// naiveWait is the wait after a failure.
func (s *sim) naiveWait(v *naive) time.Duration {
	if s.policy == FixedRetry {
		return naiveBase
	}
	most := float64(naiveBase) * math.Exp2(float64(min(v.tries, 10)))
	return time.Duration(s.rng.Float64() * min(most, float64(naiveCap)))
}

// naiveHeard takes what comes back to a node.
func (s *sim) naiveHeard(e *event) {
	n, v := &s.nodes[e.to], &s.naive[e.to]
	switch e.kind {
	case evConnected:
		s.relate(n, e.from, uint16(e.x))
		s.enter(e.to, n)
		if v.state == naiveDialling || v.state == naiveWaiting {
			v.state, v.tries = naiveSearching, 0
			s.search(e.to, n)
			s.naiveTimer(e.to, naiveTimeout)
		}
	case evFound:
		s.naiveStore(e.to, n, v)
	case evStored:
		s.keepRecord(n, e.from, uint16(e.x))
		s.naiveStored(e.to, v, e.from)
	case evLost:
		s.naiveOthers(e.to, n, e.from)
		if v.state == naiveIn {
			s.naiveDial(e.to)
		}
	default:
	}
	s.look(e.to)
}

// keepRecord notes that a server has the node's record, which names the relays
// of this moment.
func (s *sim) keepRecord(n *node, peer uint32, epoch uint16) {
	s.relate(n, peer, epoch)
	if s.now >= before {
		s.tally.stored = bump(s.tally.stored, s.second()/60)
	}
	for r := range n.records {
		if k := &n.records[r]; slices.Contains(k.near[:], peer) {
			k.keep(peer)
		}
	}
	for i := range n.rel {
		n.listed[i] = n.rel[i].server
	}
	n.set(moved, false)
}

func (s *sim) naiveStore(id uint32, n *node, v *naive) {
	if v.state != naiveSearching {
		return
	}
	v.state = naiveStoring
	for i := range v.left {
		v.left[i] = nobody
	}
	for i, p := range s.around(id, n) {
		v.left[i] = p
		s.at(s.way()+s.resends(), event{
			kind: evStore, to: p, from: id, gen: n.gen, aux: uint8(storm.Presence), x: int64(s.now + naiveTimeout),
		})
	}
	s.naiveTimer(id, naiveTimeout)
}

func (s *sim) naiveStored(id uint32, v *naive, by uint32) {
	done := true
	for i := range v.left {
		if v.left[i] == by {
			v.left[i] = nobody
		}
		done = done && v.left[i] == nobody
	}
	if done && v.state == naiveStoring {
		v.state, v.tries = naiveIn, 0
		s.naiveTimer(id, naiveAgain)
	}
}

// naiveLoss has a node notice after a while that a neighbour is gone.
func (s *sim) naiveLoss(client uint32, n *node, id uint32) {
	for _, r := range n.rel {
		if r.server == id {
			d := s.model.Detect + s.within(s.model.PingEvery)
			s.at(d, event{kind: evLost, to: client, from: id, gen: n.gen})
			return
		}
	}
}

// naiveOthers has the remaining dead neighbours of a node be noticed soon: whoever
// loses one asks after the others at once.
func (s *sim) naiveOthers(id uint32, n *node, first uint32) {
	for i := range n.rel {
		if r := n.rel[i]; r.server != nobody && r.server != first && !s.lets(r) {
			s.at(s.model.RTT, event{kind: evLost, to: id, from: r.server, gen: n.gen})
		}
		if n.rel[i].server == first && !s.lets(n.rel[i]) {
			n.rel[i].server = nobody
		}
	}
}
