package stormlab

import (
	"slices"
	"time"
)

// A node is back when a third node, chosen at random, finds its record at one of
// the live servers closest to its key, and a call to what the record says rings.

const sampleEvery = 250 * time.Millisecond

// logOut is how long a node that stayed up may be out.
const logOut = 5 * time.Second

// isBack looks at the truth.
func (s *sim) isBack(n *node) bool {
	return n.is(up) && s.rings(n) && s.isFound(n)
}

// rings says that the record names a way to the node that works.
func (s *sim) rings(n *node) bool {
	if n.is(public) {
		return !n.is(moved)
	}
	for _, r := range n.rel {
		if s.lets(r) && slices.Contains(n.listed[:], r.server) {
			return true
		}
	}
	return false
}

// isFound says that live servers close to the keys of all records have them.
func (s *sim) isFound(n *node) bool {
	var room [32]uint32
	for r := range n.records[:s.model.Records] {
		near := s.keys.closest(n.records[r].key, min(s.breadth(), len(room)), room[:0])
		if !slices.ContainsFunc(n.records[r].held[:], func(id uint32) bool { return id != nobody && slices.Contains(near, id) }) {
			return false
		}
	}
	return true
}

// breadth is how many servers a reader asks for a record. In a storm it has just come
// back itself, and looks further: who holds the record was closer a moment ago.
func (s *sim) breadth() int {
	if s.scenario.Stay < 1 && s.now >= before && s.now < before+s.model.Young {
		return s.model.Wide
	}
	return s.model.Breadth
}

// readIn is how long a third node takes to find a record that is there, if all have
// just come back themselves.
func (s *sim) readIn() time.Duration {
	if s.scenario.Stay == 1 {
		return 0
	}
	return time.Duration(s.rng.ExpFloat64() * float64(s.model.Reader))
}

// look notes whether a node is back.
func (s *sim) look(id uint32) {
	n := &s.nodes[id]
	if !n.is(counted) || n.backAt >= 0 || !s.isBack(n) {
		return
	}
	if n.readAt == 0 {
		n.readAt = s.now + s.readIn()
		s.at(n.readAt-s.now, event{kind: evRead, to: id, gen: n.gen})
	}
	if s.shared == nil && s.now >= n.readAt {
		s.isIn(n, s.now)
	}
}

// read is a third node's turn to look for a node.
func (s *sim) read(e *event) {
	switch {
	case s.nodes[e.to].gen != e.gen:
	case s.shared != nil:
		s.callSoon(e.to)
	default:
		s.look(e.to)
	}
}

// isIn notes that a node was back at a moment.
func (s *sim) isIn(n *node, at time.Duration) {
	n.backAt = at
	s.tally.back++
	s.tally.missing--
	s.tally.times = append(s.tally.times, float32((at - n.from).Seconds()))
}

// sample looks at all that wait to be back, and at those that stayed.
func (s *sim) sample() {
	left := s.waiting[:0]
	for _, id := range s.waiting {
		n := &s.nodes[id]
		if s.look(id); n.backAt < 0 {
			left = append(left, id)
		}
	}
	s.waiting = left
	if s.watched == nil {
		s.watch()
	}
	for _, id := range s.watched {
		s.guard(&s.nodes[id])
	}
	s.tally.series = append(s.tally.series, float32(s.tally.back))
	s.tally.open = append(s.tally.open, float32(len(s.inside)))
	every := sampleEvery
	if s.now > before+10*time.Minute {
		every = 10 * time.Second
	}
	if s.scenario.Kill > 0 && s.now > before+30*time.Second {
		s.deadNow = 0
	}
	s.at(every, event{kind: evSample})
}

// mostWatched bounds the nodes whose being logged out is watched.
const mostWatched = 5000

func (s *sim) watch() {
	s.watched = []uint32{}
	for i := range s.nodes {
		if s.nodes[i].is(stayed) {
			s.watched = append(s.watched, uint32(i))
		}
	}
	s.rng.Shuffle(len(s.watched), func(i, k int) { s.watched[i], s.watched[k] = s.watched[k], s.watched[i] })
	s.watched = s.watched[:min(len(s.watched), mostWatched)]
}

// guard counts a node that stayed up and was out for too long.
func (s *sim) guard(n *node) {
	switch {
	case !n.is(stayed) || s.isBack(n):
		n.lost = -1
	case n.lost < 0:
		n.lost = s.now
	case s.now-n.lost > logOut:
		s.tally.loggedOut++
		n.set(stayed, false) // count it once
	}
}
