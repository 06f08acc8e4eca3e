package stormlab

import (
	"math"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// loadEvery is the grain of the load that others offer.
const loadEvery = 5 * time.Millisecond

// Others ask, too, before and after: calmLoad times what a server can do, from
// calmBefore the storm on.
const (
	calmLoad   = 0.5
	calmBefore = 5 * time.Second
)

// load has others ask a server to log in, far more than it can serve.
func (s *sim) load(e *event) {
	p := &s.nodes[e.to]
	if p.gen != e.gen {
		return
	}
	v := &s.servers[p.server]
	times := calmLoad
	if s.now >= before && s.now < before+s.scenario.LoadFor {
		times = s.scenario.Load
	}
	mean := times * s.model.Capacity * float64(loadEvery) / (v.factor * float64(s.model.LogIn+s.model.Proof))
	for range s.poisson(mean) {
		s.tally.offered = bump(s.tally.offered, s.calmSecond(s.now))
		s.stranger(v, nobody, s.rng.Uint64()|1)
	}
	s.at(loadEvery, event{kind: evLoad, to: e.to, gen: e.gen})
}

// calmSecond is the place of a moment in the tallies of calm load.
func (s *sim) calmSecond(at time.Duration) int { return int((at - before + calmBefore) / time.Second) }

// recovered is how long after the end of the load the overlay is back to normal, by
// itself: from then on, each second, of the log-ins offered at calmLoad nineteen
// twentieths of the usual share are done. -1 is never.
func (s *sim) recovered() float64 {
	t, first := &s.tally, int(calmBefore/time.Second)
	end := first + int(s.scenario.LoadFor/time.Second)
	if s.scenario.Load == 0 || len(t.done) < end {
		return 0
	}
	share := func(from, to int) float64 {
		offered, done := 0, 0
		for i := from; i < min(to, len(t.offered), len(t.done)); i++ {
			offered, done = offered+t.offered[i], done+t.done[i]
		}
		return float64(done) / max(float64(offered), 1)
	}
	usual, last := share(0, first), min(len(t.offered), len(t.done))-1
	for i := last - 1; i >= end; i-- { // the last second is cut off
		if share(i, i+1) < 0.95*usual {
			if i == last-1 {
				return -1
			}
			return float64(i + 1 - end)
		}
	}
	return 0
}

// stranger asks a server for a log-in, and comes if it may.
func (s *sim) stranger(v *server, from uint32, prefix uint64) bool {
	if s.policy == Ours && s.off.Has(storm.AskFirst) {
		var a storm.Answer[uint32]
		q := storm.Question[uint32]{From: from, Class: storm.LogIn, Prefix: prefix}
		if !s.ask(v, &q, &a) || a.Verdict != storm.Come {
			return false
		}
		if a.Delay > 0 {
			s.at(a.Delay, event{kind: evStranger, to: v.id, from: from, gen: s.nodes[v.id].gen})
			return true
		}
	}
	w := s.strange(from)
	if s.policy == Ours && !s.off.Has(storm.AskFirst) {
		q := storm.Question[uint32]{From: from, Class: storm.LogIn, Prefix: prefix}
		var a storm.Answer[uint32]
		if s.recorder(v.id).Ask(s.now, &v.gate, &q, s.rng.Float64(), &a); a.Verdict != storm.Come {
			v.spend(s, storm.LookUp, s.model.RefuseDial)
			return false
		}
	}
	s.enqueue(v, w)
	return true
}

// strange is the log-in of somebody who is not one of the nodes.
func (s *sim) strange(from uint32) work {
	return work{
		came: s.now, deadline: s.now + 3*time.Second, cost: s.model.LogIn + s.model.Proof, client: from,
		kind: evDial, class: storm.LogIn, stranger: true,
	}
}

// comes has a stranger come when it was told to.
func (s *sim) comes(e *event) {
	if p := &s.nodes[e.to]; p.gen == e.gen && s.servers[p.server].open {
		s.enqueue(&s.servers[p.server], s.strange(e.from))
	}
}

// poisson draws a number of events; large means as a normal.
func (s *sim) poisson(mean float64) int {
	if mean > 30 {
		return max(0, int(mean+math.Sqrt(mean)*s.rng.NormFloat64()+0.5))
	}
	n, p := 0, s.rng.Float64()
	for limit := math.Exp(-mean); p > limit; n++ {
		p *= s.rng.Float64()
	}
	return n
}

// attack is one act of a hostile node: it asks under a new name, comes when told
// to, and also when not.
func (s *sim) attack(e *event) {
	n := &s.nodes[e.to]
	if n.gen != e.gen || len(s.inside) == 0 {
		return
	}
	v := &s.servers[s.nodes[s.inside[s.rng.IntN(len(s.inside))]].server]
	if !s.stranger(v, nobody-1-s.rng.Uint32N(1<<20), s.prefix(e.to)) && s.policy == Ours {
		v.spend(s, storm.LookUp, s.model.RefuseDial)
	}
	gap := time.Duration(s.rng.ExpFloat64() / s.scenario.AttackRate * float64(time.Second))
	s.at(gap, event{kind: evAttack, to: e.to, gen: e.gen})
}

// prefix is a node's network, as a gate sees it.
func (s *sim) prefix(id uint32) uint64 {
	switch n := &s.nodes[id]; {
	case n.is(hostile):
		return uint64(1 + int(id)%max(1, s.scenario.Prefixes))
	case n.is(office) && !s.scenario.NoNAT:
		return 1 << 40
	}
	return uint64(id)*0x9e3779b97f4a7c15 | 1
}

// call is one call between two nodes that stay, through a relay or not.
type call struct {
	relay    uint32 // nobody: direct
	deadline time.Duration
	dropped  bool
}

const (
	relayedShare = 0.15                    // of the calls
	pathLost     = 2500 * time.Millisecond // after which the phones look for another relay
	callEnds     = 15 * time.Second        // after which they give up
	relayRetry   = 500 * time.Millisecond
)

// startCalls has some of those who stay talk to each other.
func (s *sim) startCalls() {
	if s.scenario.Calls == 0 || len(s.inside) == 0 {
		return
	}
	talking := 0
	for i := range s.nodes {
		if n := &s.nodes[i]; n.is(stayed) && !n.is(serves) && talking < int(s.scenario.Calls*float64(len(s.nodes))) {
			n.set(talks, true)
			talking++
		}
	}
	for range talking / 2 {
		c := call{relay: nobody}
		if s.chance(relayedShare) {
			c.relay = s.inside[s.rng.IntN(len(s.inside))]
		}
		s.calls = append(s.calls, c)
	}
}

// dropRelayed has the calls through a relay that died look for another one.
func (s *sim) dropRelayed(id uint32) {
	for i := range s.calls {
		if s.calls[i].relay == id {
			s.calls[i].relay, s.calls[i].deadline = nobody, s.now+callEnds
			s.at(pathLost, event{kind: evCall, to: uint32(i)})
		}
	}
}

// seekRelay is one try to find another relay.
func (s *sim) seekRelay(e *event) {
	c := &s.calls[e.to]
	if c.relay != nobody || c.dropped {
		return
	}
	if s.now > c.deadline {
		c.dropped = true
		s.tally.callsDropped++
		return
	}
	s.at(relayRetry, *e)
	if len(s.inside) == 0 {
		return
	}
	p := s.inside[s.rng.IntN(len(s.inside))]
	if s.policy == Ours && s.off.Has(storm.AskFirst) {
		var a storm.Answer[uint32]
		q := storm.Question[uint32]{From: nobody, Class: storm.InCall}
		if !s.ask(&s.servers[s.nodes[p].server], &q, &a) || a.Verdict != storm.Come {
			return
		}
	}
	s.at(s.way()+s.model.RTT, event{kind: evMoved, to: p, from: e.to, x: int64(c.deadline)})
}

// relayed is a call that has its new relay.
func (s *sim) relayed(v *server, w *work) {
	if c := &s.calls[w.client]; c.relay == nobody && s.now <= c.deadline {
		c.relay = v.id
	}
}
