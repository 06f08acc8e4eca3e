package stormlab

import (
	"time"

	"github.com/peerd/peerd/node/storm"
)

// server is the part of a node that serves.
type server struct {
	id      uint32
	open    bool // it answers
	working bool
	current work
	gate    storm.Gate[uint32]
	line    storm.Line[work]
	fifo    []work // the baselines' queue
	head    int
	factor  float64
	clients []uint32

	linkAt time.Duration // datagrams that may still arrive, and when that was counted
	link   float64
	calls  time.Duration // up to when the load of calls is accounted for
	since  time.Duration // it serves
	grown  time.Duration // not before this its clients hear of another new server

	second  int // of the figures below
	busy    time.Duration
	useful  time.Duration
	offered time.Duration
	crowded bool // the second before was, too
}

// open has a node serve from now on.
func (s *sim) open(id uint32, n *node) {
	v := &s.servers[n.server]
	v.flush(s)
	clear(v.clients)
	cfg := &s.gates[0]
	if v.factor = 1; n.is(slow) {
		v.factor, cfg = s.model.SlowFactor, &s.gates[1]
	}
	*v = server{
		id: id, open: true, factor: v.factor, clients: v.clients[:0], line: storm.NewLine[work](lineLimit, s.off),
		link: s.model.Link / 100, linkAt: s.now, calls: s.now, since: s.now, second: s.second(),
	}
	s.recorder(id).Open(s.now, &v.gate, cfg)
	s.keys.set(id, true)
	if s.insideAt[n.server] < 0 {
		s.insideAt[n.server] = int32(len(s.inside))
		s.inside = append(s.inside, id)
	}
	if s.now >= before {
		s.grows(id, n)
	}
}

// down has a node die.
func (s *sim) down(id uint32) {
	n := &s.nodes[id]
	n.set(up, false)
	n.hears, n.begun, n.walks = 0, 0, 0
	n.set(onRelay|seeks, false)
	n.forget()
	n.gen++
	for i := range n.rel { // nobody knows it any more
		n.rel[i].server = nobody
	}
	if n.server < 0 || !s.servers[n.server].open {
		return
	}
	v := &s.servers[n.server]
	v.open, v.working = false, false
	s.keys.set(id, false)
	if i := s.insideAt[n.server]; i >= 0 {
		last := s.inside[len(s.inside)-1]
		s.inside[i] = last
		s.insideAt[s.nodes[last].server] = i
		s.inside = s.inside[:len(s.inside)-1]
		s.insideAt[n.server] = -1
	}
	for _, c := range v.clients {
		s.noticeLoss(c, id)
	}
	s.dropRelayed(id)
}

// arrives says that a datagram gets through the server's link, and brings the load
// of calls up to now.
func (v *server) arrives(s *sim) bool {
	v.link = min(v.link+(s.now-v.linkAt).Seconds()*s.model.Link, s.model.Link/100)
	v.linkAt = s.now
	if share := s.scenario.CallLoad; share > 0 {
		cost := share * s.model.Capacity * float64(min(s.now-v.calls, 100*time.Millisecond))
		v.spend(s, storm.InCall, time.Duration(cost/v.factor))
		v.calls = s.now
	}
	if v.link < 1 {
		return false
	}
	v.link--
	return true
}

// spend is work that was not asked for.
func (v *server) spend(s *sim, c storm.Class, cost time.Duration) {
	cost = time.Duration(v.factor * float64(cost))
	if s.policy == Ours {
		s.recorder(v.id).Spent(s.now, &v.gate, c, cost)
	}
	v.charge(s, cost, cost)
	if s.shared != nil {
		s.spend(v.id, cost, event{kind: evNothing})
	}
}

// second counts from the storm on, and before it downwards from 0.
func (s *sim) second() int { return int(s.now/time.Second) - int(before/time.Second) }

// charge counts processor time.
func (v *server) charge(s *sim, busy, useful time.Duration) {
	if sec := s.second(); sec != v.second {
		v.flush(s)
		v.second = sec
	}
	v.busy += busy
	v.useful += useful
}

// offer counts work that somebody wants done.
func (v *server) offer(s *sim, cost time.Duration) {
	v.charge(s, 0, 0)
	v.offered += cost
}

// flush ends a second of a server's figures.
func (v *server) flush(s *sim) {
	capacity := time.Duration(s.model.Capacity * float64(time.Second))
	crowded := v.offered > 2*capacity
	if v.second >= 0 && (v.busy > 0 || v.offered > 0) {
		s.tally.second(v.second, float64(v.busy)/float64(capacity), int(v.id) < s.model.Bootstrap)
		if crowded && v.crowded {
			s.tally.usefulWork += v.useful
			s.tally.usefulMost += capacity
		}
	}
	v.crowded = crowded
	v.busy, v.useful, v.offered = 0, 0, 0
}
