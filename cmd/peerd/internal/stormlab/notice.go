package stormlab

import (
	"slices"
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

// noticeGrowth has a client hear of it when it pings that neighbour or holder next.
func (s *sim) noticeGrowth(client, id uint32) {
	n := &s.nodes[client]
	in, known := s.nextPing(n, id)
	if at := s.now + in; known && n.is(up) && (n.hears == 0 || at < n.hears) {
		n.hears = at
		s.at(in, event{kind: evGrown, to: client, gen: n.gen})
	}
}

// nextPing is when a node pings a server next, if it does.
func (s *sim) nextPing(n *node, id uint32) (in time.Duration, known bool) {
	var room [len(n.rel) + maxHolders]uint32
	near := room[:0]
	for _, r := range n.rel {
		if r.server != nobody {
			near = append(near, r.server)
		}
	}
	held := near[len(near):]
	for r := range n.records {
		for i, p := range n.records[r].near {
			if n.records[r].is[i] != lacking && !slices.Contains(near, p) && !slices.Contains(held, p) {
				held = append(held, p)
			}
		}
	}
	if !slices.Contains(near, id) && !slices.Contains(held, id) {
		return 0, false
	}
	every, phase := s.model.PingEvery, n.from%s.model.PingEvery
	t := int((s.now-phase)/every) + 1
	var relay *uint32
	if n.is(onRelay) {
		relay = &n.listed[0]
	}
	for ; ; t++ {
		if whom, _ := storm.Whom(s.model.Turns, t, near, held, relay); whom == id {
			return time.Duration(t)*every + phase - s.now, true
		}
	}
}

// noticeLoss has a node notice with the next ping that a neighbour or a holder is gone.
func (s *sim) noticeLoss(client, id uint32) {
	n := &s.nodes[client]
	if !n.is(up) {
		return
	}
	if s.policy != Ours {
		s.naiveLoss(client, n, id)
		return
	}
	if in, known := s.nextPing(n, id); known {
		s.at(in, event{kind: evPing, to: client, from: id, gen: n.gen})
	}
}

// pings is a ping of a server that is gone: it has no answer, or one that tells that it
// is another incarnation. Then all others are pinged, as they may be gone, too.
func (s *sim) pings(e *event) {
	n, ok := s.present(e)
	if !ok {
		return
	}
	doubt, lost := s.model.Doubt, s.model.Detect
	if s.nodes[e.from].is(up) {
		doubt, lost = s.model.RTT, s.model.RTT
	}
	s.at(lost, event{kind: evLost, to: e.to, from: e.from, gen: e.gen})
	if e.aux != alone {
		s.pingOthers(e.to, n, e.from, doubt)
	}
}

// alone is the aux of a ping that has no other follow.
const alone = 1

// pingOthers has a node ping, after a while, those of its neighbours and holders that are
// gone, but one.
func (s *sim) pingOthers(id uint32, n *node, first uint32, in time.Duration) {
	ping := func(server uint32) {
		if server != first && server != nobody {
			s.at(in, event{kind: evPing, to: id, from: server, gen: n.gen, aux: alone})
		}
	}
	for r := range n.records {
		k := &n.records[r]
		for i, p := range k.near {
			if k.is[i] != lacking && !s.nodes[p].is(up) {
				ping(p)
			}
		}
	}
	for _, r := range n.rel {
		if !s.lets(r) {
			ping(r.server)
		}
	}
}

// loses has a node take a server for gone. It says what that one was. What came to be a
// neighbour or holder since the ping, and is gone as well, has its turn soon.
func (s *sim) loses(id uint32, n *node, server uint32) (kind storm.EventKind, news bool) {
	kind, news = storm.Unstored, n.holder(server, func(c copied) bool { return c != lacking })
	if i := n.neighbour(server); i >= 0 {
		if s.lets(n.rel[i]) {
			return kind, false // the node has been there again since
		}
		kind, news = storm.Lost, true
		n.rel[i].server = nobody
		s.unrelayed(id, n, server)
		if n.server >= 0 {
			s.recorder(id).Left(s.now, &s.servers[n.server].gate, server)
		}
	}
	for r := range n.records {
		k := &n.records[r]
		for i, p := range k.near {
			if p == server {
				k.is[i] = lacking
			}
		}
	}
	if news {
		s.pingOthers(id, n, server, s.model.PingEvery)
	}
	return kind, news
}

// acquaint has two connected servers name each other.
func (s *sim) acquaint(a, b uint32) {
	i, k := s.nodes[a].server, s.nodes[b].server
	if i >= 0 && k >= 0 && s.servers[i].open && s.servers[k].open {
		s.joined(s.now, a, b)
		s.joined(s.now, b, a)
	}
}
