package stormlab

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/peerd/peerd/node/storm"
	"github.com/peerd/peerd/node/storm/trace"
)

// policy is what the nodes do.
type policy string

// The policies: this project's, a retry every five seconds, and exponential
// back-off with full jitter.
const (
	Ours       policy = "ours"
	FixedRetry policy = "fixed-retry"
	FullJitter policy = "full-jitter"
)

// PolicyNames lists the policies.
func PolicyNames() []string { return []string{string(Ours), string(FixedRetry), string(FullJitter)} }

func newSim(o Options, sc Scenario) *sim {
	s := &sim{
		model: o.Model, scenario: sc, policy: policy(o.Policy), off: o.off,
		rng:   rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15)),
		nodes: make([]node, max(o.Nodes, o.Model.Bootstrap+1)),
	}
	s.unit = s.rng.Float64
	s.shared = newProcessors(o.Model.Machine, len(s.nodes))
	if o.Trace != nil {
		s.trace, s.traced = trace.NewRecorder[uint32](o.Trace), o.Traced
	}
	s.gates[0], s.gates[1] = s.model.gate(1, s.off), s.model.gate(s.model.SlowFactor, s.off)
	s.joinerCfg = storm.DefaultJoinerConfig()
	s.joinerCfg.Copies, s.joinerCfg.Off = s.model.Records*s.model.Copies, s.off
	if s.policy != Ours {
		s.naive = make([]naive, len(s.nodes))
	}
	s.now = before - time.Minute
	s.populate()
	s.fillCaches()
	s.settle()
	s.strike()
	return s
}

// populate makes the nodes, and the servers among them.
func (s *sim) populate() {
	sc, m := &s.scenario, &s.model
	known := len(s.nodes) - int(sc.New*float64(len(s.nodes)))
	calm := m.calm(known)
	var ids []uint32
	for i := range s.nodes {
		n := &s.nodes[i]
		n.clear()
		for r := range n.records {
			n.records[r].key = s.rng.Uint32()
		}
		boot := i < m.Bootstrap
		n.set(fresh, i >= known)
		n.set(hostile, !boot && s.chance(sc.Attackers))
		can := boot || (!n.is(hostile) && s.chance(m.Able))
		n.set(able, can)
		n.set(public, can || s.chance(m.Public))
		n.set(serves, boot || can && (s.policy != Ours || !sc.Cold && !n.is(fresh) && s.chance(calm)))
		n.set(slow, !boot && s.chance(m.Slow))
		if boot {
			s.bootstrap = append(s.bootstrap, uint32(i))
		}
		if can {
			n.server = int32(len(ids))
			ids = append(ids, uint32(i))
		}
	}
	s.twice = slices.Concat(s.bootstrap, s.bootstrap)
	s.servers = make([]server, len(ids))
	s.insideAt = make([]int32, len(ids))
	for i := range s.insideAt {
		s.insideAt[i] = -1
	}
	s.keys = newKeyspace(ids, func(id uint32) uint32 { return s.nodes[id].records[0].key })
	if sc.Stay < 1 && !sc.Cold { // who was elsewhere when others learned of it
		s.portion(sc.Dead, elsewhere, func(n *node) bool { return n.is(serves) })
		s.portion(sc.Dead, elsewhere, func(n *node) bool { return n.is(able) && !n.is(serves) })
		s.portion(sc.Dead, elsewhere, func(n *node) bool { return !n.is(able) })
	}
	for left := sc.Office; left > 0; {
		if n := &s.nodes[s.rng.IntN(len(s.nodes))]; !n.is(able) && !n.is(office) {
			n.set(office, true)
			left--
		}
	}
}

// portion sets a flag of a share of those nodes, no bootstrap nodes, that ok chooses.
func (s *sim) portion(share float64, f flag, ok func(*node) bool) {
	var ids []uint32
	for i := s.model.Bootstrap; i < len(s.nodes); i++ {
		if ok(&s.nodes[i]) {
			ids = append(ids, uint32(i))
		}
	}
	s.rng.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	for _, id := range ids[:int(share*float64(len(ids))+0.5)] {
		s.nodes[id].set(f, true)
	}
}

func (s *sim) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

// fillCaches gives each node the servers it remembers. A dead entry is a node
// that does not exist: the old address of one that comes back elsewhere.
func (s *sim) fillCaches() {
	var old []uint32
	for i := range s.nodes {
		if n := &s.nodes[i]; n.is(serves) && !n.is(fresh) {
			old = append(old, uint32(i))
		}
	}
	for _, id := range old {
		s.open(id, &s.nodes[id])
		s.nodes[id].set(up, true)
	}
	if s.scenario.Cold {
		return
	}
	others := slices.Clone(old[s.model.Bootstrap:]) // the bootstrap nodes have a list of their own
	s.cached = min(s.model.Cache, len(others))
	s.cache = make([]uint32, s.cached*len(s.nodes))
	for i := range s.cache {
		k := i % s.cached // a part of a shuffle for each node: nobody is remembered twice
		swap := k + s.rng.IntN(len(others)-k)
		others[k], others[swap] = others[swap], others[k]
		s.cache[i] = s.remembered(others[k], s.scenario.Dead)
	}
	s.contacts = make([]uint32, s.model.Contacts*len(s.nodes))
	for i := range s.contacts {
		s.contacts[i] = s.remembered(s.rng.Uint32N(uint32(len(s.nodes))), s.model.Moved)
	}
	for _, id := range old { // who has long been in is known to all
		for range 16 {
			s.joined(before-time.Minute, id, old[s.rng.IntN(len(old))])
		}
	}
}

// remembered is a node as others remember it, or a ghost where that is out of date:
// because it comes back elsewhere, or in a scenario where few restart, by chance.
func (s *sim) remembered(id uint32, stale float64) uint32 {
	if s.nodes[id].is(elsewhere) || s.scenario.Stay == 1 && s.chance(stale) {
		return s.ghost()
	}
	return id
}

// ghost is a node that does not exist.
func (s *sim) ghost() uint32 { return uint32(len(s.nodes)) + s.rng.Uint32N(1<<30) }

// settle makes the overlay as it was before: everybody is in.
func (s *sim) settle() {
	if s.scenario.Cold {
		return
	}
	for i := range s.nodes {
		n, id := &s.nodes[i], uint32(i)
		if n.is(fresh | hostile) {
			continue
		}
		n.set(up, true)
		n.set(was, true)
		s.befriend(id, n)
		for _, p := range s.around(id, n) {
			if s.policy == Ours {
				n.entrust(p)
				s.known(p, id)
			} else {
				s.keepRecord(n, p, s.nodes[p].gen)
			}
		}
		for _, r := range n.rel {
			if r.server != nobody {
				s.known(r.server, id)
			}
		}
	}
}

// befriend gives a node the neighbours that it has after a while, and its relay.
func (s *sim) befriend(id uint32, n *node) {
	want := 1
	if s.policy == Ours {
		want = min(s.joinerCfg.Want, len(s.inside)-1)
	}
	for int(n.related) < want {
		if p := s.inside[s.rng.IntN(len(s.inside))]; p != id {
			s.relate(n, p, s.nodes[p].gen)
		}
	}
	if s.policy == Ours && !n.is(public) {
		n.listed[0], n.listed[1] = n.rel[0].server, n.rel[1].server
		n.set(onRelay, true)
	}
}

// entrust has a server have those of a node's records that it is near to.
func (n *node) entrust(server uint32) {
	for r := range n.records {
		k := &n.records[r]
		if i := slices.Index(k.near[:], server); i >= 0 {
			k.is[i] = given
			k.keep(server)
		}
	}
}

// known has a server tell a node of what happens.
func (s *sim) known(server, client uint32) {
	v := &s.servers[s.nodes[server].server]
	v.clients = append(v.clients, client)
}

// settled is how long a node that stays has been in, and twice that at most.
const settled = 6 * time.Minute

// settleJoiner brings the joiner of a node that stays to where the node is.
func (s *sim) settleJoiner(id uint32, n *node) {
	if s.policy != Ours {
		s.naive[id].state = naiveIn
		return
	}
	var due time.Duration
	at := before - settled - s.within(settled)
	n.from = at
	feed := func(ev storm.Event[uint32]) (find bool) {
		s.acts = s.recorder(id).Step(at, &n.joiner, &ev, s.unit, s.acts[:0])
		for _, a := range s.acts {
			find = find || a.Kind == storm.Find
			if a.Kind == storm.WaitUntil {
				due = a.At
			}
		}
		return find
	}
	peers := slices.Clone(s.around(id, n))
	s.recorder(id).Start(at, &n.joiner, &s.joinerCfg, s.book(id))
	feed(storm.Event[uint32]{Kind: storm.Started})
	for _, r := range n.rel {
		if r.server != nobody {
			feed(storm.Event[uint32]{Kind: storm.Connected, Peer: r.server})
		}
	}
	for find := true; ; find = feed(storm.Event[uint32]{Kind: storm.Tick}) {
		if find {
			feed(storm.Event[uint32]{Kind: storm.Found, Peers: peers})
			for _, p := range peers {
				feed(storm.Event[uint32]{Kind: storm.Stored, Peer: p})
			}
		}
		if at = due; at >= before {
			break
		}
	}
	s.queue.push(event{at: due, kind: evTick, to: id, gen: n.gen, x: int64(due)})
}
