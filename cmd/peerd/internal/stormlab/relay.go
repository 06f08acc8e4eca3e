package stormlab

import (
	"slices"

	"github.com/peerd/peerd/node/storm"
)

// A node that cannot be dialled names a relay in its records: a server that it is
// connected to and has a place on, and after a while a second one. Without one there is
// nothing to give to others.

// reserve has a node ask a neighbour for a place, if it needs one.
func (s *sim) reserve(id uint32, n *node) {
	if near := n.joiner.Neighbours(); !n.is(public|onRelay) && len(near) > 0 {
		s.at(s.trips(s.model.RelayTrips), event{kind: evRelay, to: id, from: near[0], gen: n.gen})
	}
}

// placed is a node that has a place on a relay. Its records name that one from now on.
func (s *sim) placed(e *event) {
	n, ok := s.present(e)
	if !ok || n.is(onRelay) || !s.connected(n, e.from) {
		return // who is gone will be missed, and another one asked
	}
	n.set(onRelay, true)
	if named := e.from == n.listed[0] || e.from == n.listed[1]; !named {
		n.renew()
	}
	n.listed[0], n.listed[1] = e.from, nobody
	s.wantSecond(e.to, n)
	s.step(e.to, &storm.Event[uint32]{Kind: storm.Changed})
	s.look(e.to)
}

// wantSecond has a node ask a second relay after a while.
func (s *sim) wantSecond(id uint32, n *node) {
	s.at(storm.Spread(storm.SecondRelay, s.rng.Float64()), event{kind: evSecond, to: id, gen: n.gen})
}

// takeSecond has a node get a place on a second relay, which its records name beside the
// first. Those that others have are of use until then.
func (s *sim) takeSecond(e *event) {
	n, ok := s.present(e)
	if !ok || !n.is(onRelay) || n.listed[1] != nobody {
		return
	}
	i := slices.IndexFunc(n.rel[:], func(r relation) bool { return r.server != n.listed[0] && s.lets(r) })
	if i < 0 {
		s.wantSecond(e.to, n)
		return
	}
	n.listed[1] = n.rel[i].server
	n.amend()
	s.step(e.to, &storm.Event[uint32]{Kind: storm.Changed})
}

// unrelayed has a node take a relay for gone. With a second one it is reachable all the
// time.
func (s *sim) unrelayed(id uint32, n *node, relay uint32) {
	i := slices.Index(n.listed[:2], relay)
	if i < 0 || !n.is(onRelay) {
		return
	}
	if other := n.listed[1-i]; other != nobody && n.neighbour(other) >= 0 {
		n.listed[0], n.listed[1] = other, nobody
		s.wantSecond(id, n)
		return
	}
	n.listed[0], n.listed[1] = relay, nobody // the records name it still
	n.set(onRelay, false)
}
