package stormlab

import (
	"math"
	"slices"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// aheadFor is how long a search is of use that began before anybody wanted it.
const aheadFor = 5 * time.Second

// checks marks the last step of a search that only asks one of the holders whether
// they still are the closest ones.
const checks = 0x80

// seek has a node hear of the servers closest to the keys of its records, once there is
// something to give them: a search ahead of this tells, or a new one.
func (s *sim) seek(id uint32, n *node) {
	ahead := n.begun > 0 && s.now < n.begun+aheadFor
	switch {
	case !n.is(public | onRelay):
		return
	case n.walks == 0 && !ahead:
		s.search(id, n)
	case n.walks == 0:
		s.tellFound(id, n)
	}
	n.begun = 0
}

// search looks for the servers closest to the keys of a node's records, all at once.
func (s *sim) search(id uint32, n *node) {
	if s.policy != Ours {
		var took time.Duration
		for range s.model.Records {
			took = max(took, s.walk(s.hops(), s.model.Copies)+s.trips(1))
		}
		s.at(took, event{kind: evFound, to: id, gen: n.gen})
		return
	}
	for r := range s.model.Records {
		if n.records[r].whole() {
			s.walks(id, n, uint8(r)|checks, 1, 1)
		} else {
			s.walks(id, n, uint8(r), s.hops(), s.model.Copies)
		}
	}
}

// ahead begins such a search while the node is still being connected to the server that
// lets it in, and so knows nobody else. Where that one was asked, it has named the
// servers nearest to the first record, which are all where there are few.
func (s *sim) ahead(id uint32, n *node, named bool) {
	if n.walks > 0 || n.begun > 0 && s.now < n.begun+aheadFor {
		return
	}
	n.begun = s.now
	for r := range s.model.Records {
		steps := max(2, s.hops())
		if named && (r == 0 || len(s.inside) <= storm.MaxReferrals) {
			steps = max(1, s.hops()-1)
		}
		s.walks(id, n, uint8(r), steps, s.model.Copies)
	}
}

// walks begins the search for the holders of one record.
func (s *sim) walks(id uint32, n *node, r uint8, steps, each int) {
	if n.walks == 0 {
		n.walked = s.now
	}
	n.walks++
	s.at(s.walk(steps, each), event{kind: evNear, to: id, gen: n.gen, aux: r})
}

// walk is how long a search takes up to its last step: steps of one round trip, each of
// which asks several. It has servers answer them.
func (s *sim) walk(steps, each int) time.Duration {
	took := s.trips(steps - 1)
	for range s.model.Copies {
		if s.rng.Float64() < s.deadNow || s.answersLate() && s.chance(s.scenario.LateAnswers) {
			took += s.model.StepLimit
			break
		}
	}
	for range steps { // one pays for all
		if len(s.inside) > 0 {
			cost := s.model.LookUp * time.Duration(min(each, len(s.inside)))
			s.servers[s.nodes[s.inside[s.rng.IntN(len(s.inside))]].server].spend(s, storm.LookUp, cost)
		}
	}
	return took
}

// hops is the length of a search: each step comes some four bits closer.
func (s *sim) hops() int {
	return max(1, int(math.Ceil(math.Log2(float64(len(s.inside)+1))/4)))
}

// lastStep asks the servers closest to the key of a record. Those that lack it get it
// with the question.
func (s *sim) lastStep(e *event) {
	n, ok := s.present(e)
	if !ok {
		return
	}
	r := e.aux &^ checks
	k := &n.records[r]
	ends := s.now + s.trips(1)
	if s.nearest(e.to, k); e.aux&checks == 0 {
		for i, p := range k.near {
			if p == nobody {
				continue
			}
			there := s.way() + s.resends()
			ends = max(ends, s.now+there+s.way()+s.resends())
			if k.is[i] == lacking && n.is(public|onRelay) {
				k.is[i] = sent
				s.give(e.to, n, r, p, there, besideSearch)
			}
		}
	} else if !k.whole() {
		s.walks(e.to, n, r, 1+s.hops(), s.model.Copies)
	}
	n.walks--
	n.walked = max(n.walked, ends)
	s.tellFound(e.to, n)
}

// tellFound tells a node that waits for it what a search has ended with.
func (s *sim) tellFound(id uint32, n *node) {
	if n.walks == 0 && n.is(seeks) && n.is(public|onRelay) {
		s.at(max(0, n.walked-s.now), event{kind: evFound, to: id, gen: n.gen})
	}
}

// nearest notes the servers closest to the key of a node's record, but the node itself.
func (s *sim) nearest(id uint32, k *record) {
	old, was := k.near, k.is
	k.near, k.is = [maxCopies]uint32{nobody, nobody, nobody}, [maxCopies]copied{}
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
		if o := slices.Index(old[:], p); o >= 0 {
			k.is[i] = was[o]
		}
		i++
	}
}

// peers lists the servers that should hold a node's records, as it believes.
func (s *sim) peers(n *node) []uint32 {
	s.closest = s.closest[:0]
	for r := range n.records[:s.model.Records] {
		for _, p := range n.records[r].near {
			if p != nobody && !slices.Contains(s.closest, p) {
				s.closest = append(s.closest, p)
			}
		}
	}
	return s.closest
}

// around looks for them now.
func (s *sim) around(id uint32, n *node) []uint32 {
	for r := range n.records[:s.model.Records] {
		s.nearest(id, &n.records[r])
	}
	return s.peers(n)
}

// answersLate says that servers that are late are so now.
func (s *sim) answersLate() bool {
	return s.scenario.LateAnswers > 0 && s.now >= before && s.now < before+s.scenario.LoadFor
}
