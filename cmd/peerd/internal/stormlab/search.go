package stormlab

import (
	"math"
	"slices"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// search looks for the servers closest to the keys of a node's records, all at once:
// some steps of one round trip each, and at the end those found have to answer. A
// search before the first log-in has gone on beside the dial.
func (s *sim) search(id uint32, n *node) {
	var took time.Duration
	for range s.model.Records {
		walk := s.trips(s.hops())
		for range s.model.Copies {
			if s.rng.Float64() < s.deadNow || s.answersLate() && s.chance(s.scenario.LateAnswers) {
				walk += s.model.StepLimit
				break
			}
		}
		took = max(took, walk)
		for range s.hops() { // a step asks several; here one pays for all
			if len(s.inside) > 0 {
				cost := s.model.LookUp * time.Duration(min(s.model.Copies, len(s.inside)))
				s.servers[s.nodes[s.inside[s.rng.IntN(len(s.inside))]].server].spend(s, storm.LookUp, cost)
			}
		}
	}
	if s.scenario.Cold && len(s.inside) < s.model.Few {
		took += s.model.Sparse
	}
	if n.begun > 0 {
		took = max(0, took-(s.now-n.begun))
		n.begun = 0
	}
	s.at(took, event{kind: evFound, to: id, gen: n.gen})
}

// hops is the length of a search: each step comes some four bits closer.
func (s *sim) hops() int {
	return max(1, int(math.Ceil(math.Log2(float64(len(s.inside)+1))/4)))
}

// around returns the servers closest to the keys of a node's records, but the node
// itself, and notes them.
func (s *sim) around(id uint32, n *node) []uint32 {
	s.closest = s.closest[:0]
	for r := range n.records[:s.model.Records] {
		k := &n.records[r]
		var room [3 * maxCopies]uint32
		i, look := 0, maxCopies+1
		if s.answersLate() {
			look = len(room) // who does not answer is passed over
		}
		for _, p := range s.keys.closest(k.key, look, room[:0]) {
			if p == id || i == maxCopies || s.nodes[p].is(late) && s.answersLate() {
				continue
			}
			k.near[i] = p
			if i++; !slices.Contains(s.closest, p) {
				s.closest = append(s.closest, p)
			}
		}
		for ; i < maxCopies; i++ {
			k.near[i] = nobody
		}
	}
	return s.closest
}

// lacks says that a server has one record and should have another, too: the policy,
// which knows holders and not records, takes it for done.
func (n *node) lacks(peer uint32) bool {
	has, should := false, false
	for r := range n.records {
		held := slices.Contains(n.records[r].held[:], peer)
		has = has || held
		should = should || !held && slices.Contains(n.records[r].near[:], peer)
	}
	return has && should
}

// shouldHold says that a server is one of those that should have a record.
func (n *node) shouldHold(peer uint32) bool {
	return slices.Contains(n.records[0].near[:], peer) || slices.Contains(n.records[1].near[:], peer)
}

// answersLate says that servers that are late are so now.
func (s *sim) answersLate() bool {
	return s.scenario.LateAnswers > 0 && s.now >= before && s.now < before+s.scenario.LoadFor
}

// keepRecord notes that a server has the node's record, which names the relays
// of this moment.
func (s *sim) keepRecord(n *node, peer uint32, epoch uint16) {
	s.relate(n, peer, epoch)
	if s.now >= before {
		s.tally.stored = bump(s.tally.stored, s.second()/60)
	}
	for r := range n.records {
		k := &n.records[r]
		if slices.Contains(k.near[:], peer) && !slices.Contains(k.held[:], peer) {
			k.held[int(k.next)%len(k.held)] = peer
			k.next++
		}
	}
	for i := range n.rel {
		n.listed[i] = n.rel[i].server
	}
	n.set(moved, false)
}
