package stormlab

import (
	"time"

	"github.com/peerd/peerd/node/storm"
)

// nearby is how many of the servers closest to a new one it connects to.
const nearby = 4

// grows has the clients of the servers closest to a new one hear of it with their
// next pong of that server: neighbours are pinged in turn.
func (s *sim) grows(id uint32, n *node) {
	if s.policy != Ours || !s.off.Has(storm.Notice) {
		return
	}
	var room [nearby + 1]uint32
	for _, p := range s.keys.closest(n.records[0].key, nearby+1, room[:0]) {
		v := &s.servers[s.nodes[p].server]
		if p == id || s.now < v.grown {
			continue
		}
		v.grown = s.now + s.model.PingEvery
		for _, c := range v.clients {
			s.noticeGrowth(c, p)
		}
	}
}

// noticeGrowth has a client hear of it when it pings that neighbour next.
func (s *sim) noticeGrowth(client, id uint32) {
	n := &s.nodes[client]
	if !n.is(up) {
		return
	}
	known, place := 0, -1
	for _, r := range n.rel {
		if r.server == id {
			place = known
		}
		if r.server != nobody {
			known++
		}
	}
	if place < 0 {
		return
	}
	every, phase := s.model.PingEvery, n.from%s.model.PingEvery
	turn := int((s.now - phase) / every) // of the last ping
	at := time.Duration(turn+1+(place-(turn+1)%known+known)%known)*every + phase
	if n.hears == 0 || at < n.hears {
		n.hears = at
		s.at(at-s.now, event{kind: evGrown, to: client, gen: n.gen})
	}
}

// noticeLoss has a node notice after a while that a neighbour is gone.
func (s *sim) noticeLoss(client, id uint32) {
	n := &s.nodes[client]
	if !n.is(up) {
		return
	}
	for _, r := range n.rel {
		if r.server == id {
			d := s.model.Detect + s.within(s.model.PingEvery)
			s.at(d, event{kind: evLost, to: client, from: id, gen: n.gen})
			return
		}
	}
}

// others has the remaining dead neighbours of a node be noticed soon: whoever
// loses one asks after the others at once.
func (s *sim) others(id uint32, n *node, first uint32) {
	for i := range n.rel {
		if r := n.rel[i]; r.server != nobody && r.server != first && !s.lets(r) {
			s.at(s.model.RTT, event{kind: evLost, to: id, from: r.server, gen: n.gen})
		}
		if n.rel[i].server == first && !s.lets(n.rel[i]) {
			n.rel[i].server = nobody
		}
	}
}

// acquaint has two connected servers name each other.
func (s *sim) acquaint(a, b uint32) {
	i, k := s.nodes[a].server, s.nodes[b].server
	if i >= 0 && k >= 0 && s.servers[i].open && s.servers[k].open {
		s.joined(s.now, a, b)
		s.joined(s.now, b, a)
	}
}
