package stormlab

import (
	"github.com/peerd/peerd/node/storm"
)

// A node that cannot be dialled names a relay in its records: a server that it is
// connected to and has a place on. Without one there is nothing to give to others.

// reserve has a node ask a neighbour for a place, if it needs one.
func (s *sim) reserve(id uint32, n *node) {
	if near := n.joiner.Neighbours(); !n.is(public|onRelay) && len(near) > 0 {
		s.at(s.trips(s.model.RelayTrips), event{kind: evRelay, to: id, from: near[0], gen: n.gen})
	}
}

// placed is a node that has a place on a relay. Its records name that one from now on.
func (s *sim) placed(e *event) {
	n := &s.nodes[e.to]
	if n.gen != e.gen || !n.is(up) || n.is(onRelay) || !s.connected(n, e.from) {
		return // who is gone will be missed, and another one asked
	}
	n.set(onRelay, true)
	if n.listed[0] != e.from {
		n.listed[0] = e.from
		n.renew()
	}
	s.step(e.to, &storm.Event[uint32]{Kind: storm.Changed})
	s.look(e.to)
}
