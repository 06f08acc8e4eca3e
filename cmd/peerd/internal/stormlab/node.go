package stormlab

import (
	"slices"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// node is one node: the policy's state, and what the simulator knows to be true.
type node struct {
	joiner  storm.Joiner[uint32]
	role    storm.Role
	from    time.Duration // of its start, or of losing what it had
	backAt  time.Duration // when it was first back after from; -1 is not yet
	readAt  time.Duration // when a third node finds its record; 0 is not yet known
	lost    time.Duration // since when it is not back, for those who were; -1 is back
	begun   time.Duration // of a search that nobody has wanted yet; 0 is none
	walked  time.Duration // when the last search has all its answers
	hears   time.Duration // when it hears that servers came near a neighbour; 0 is nothing
	rel     [8]relation   // servers that let it in, as the node believes
	listed  [8]uint32     // relays that the record names: one or two, but the baselines name all
	records [maxRecords]record
	server  int32 // index in servers; -1 is none
	gen     uint16
	related uint8
	walks   uint8 // of the search under way, one for each record
	version uint8 // of what the records say
	flags   flag
}

const (
	maxRecords = 2
	maxCopies  = 3
	maxHolders = maxRecords * maxCopies
)

// record is one record of a node.
type record struct {
	key  uint32
	near [maxCopies]uint32 // servers that should have it, as the node believes
	is   [maxCopies]copied // what became of it there, as the node believes
	held [4]uint32         // servers that have it as it is
	next uint8             // place in held
}

// clear makes n a node that has never been in.
func (n *node) clear() {
	n.server, n.backAt, n.lost = -1, -1, -1
	for i := range n.rel {
		n.rel[i].server, n.listed[i] = nobody, nobody
	}
	for r := range n.records {
		k := &n.records[r]
		k.near = [maxCopies]uint32{nobody, nobody, nobody}
		k.held = [4]uint32{nobody, nobody, nobody, nobody}
	}
}

// relation is with one incarnation of a server.
type relation struct {
	server uint32
	epoch  uint16
}

type flag uint32

const (
	up      flag = 1 << iota // it runs
	public                   // it can be dialled
	able                     // it can, and can serve
	serves                   // it serves, or will when it starts
	slow                     // its work takes longer
	moved                    // its old record names an old address
	onRelay                  // it has a place on the relay that its record names
	seeks                    // it waits for a search to end
	counted                  // its time counts
	stayed                   // it did not restart
	was                      // it was back before
	fresh                    // nobody knew it
	hostile
	late // its answers come late
	office
	talks
	elsewhere // it comes back at another address
	delayed   // it comes back late
)

func (n *node) is(f flag) bool { return n.flags&f != 0 }

func (n *node) set(f flag, on bool) {
	if n.flags &^= f; on {
		n.flags |= f
	}
}

// relate notes that a server has let the node in.
func (s *sim) relate(n *node, peer uint32, epoch uint16) {
	if i := n.neighbour(peer); i >= 0 {
		n.rel[i].epoch = epoch
		return
	}
	place := n.neighbour(nobody)
	if place < 0 { // a dead one first, unless it is a relay that is yet to be missed
		place = slices.IndexFunc(n.rel[:], func(r relation) bool {
			return !s.lets(r) && r.server != n.listed[0] && r.server != n.listed[1]
		})
	}
	if place < 0 {
		place = int(n.related) % len(n.rel)
	}
	n.rel[place] = relation{peer, epoch}
	n.related++
}

// neighbour is the place of a server among those that let the node in; -1 is none.
func (n *node) neighbour(server uint32) int {
	return slices.IndexFunc(n.rel[:], func(r relation) bool { return r.server == server })
}

// lets says that a server runs and is the incarnation that let somebody in.
func (s *sim) lets(r relation) bool {
	if r.server == nobody {
		return false
	}
	p := &s.nodes[r.server]
	return p.is(up) && p.gen == r.epoch
}

func (s *sim) connected(n *node, peer uint32) bool {
	i := n.neighbour(peer)
	return i >= 0 && s.lets(n.rel[i])
}

// present is the node that an event happens to, if it is still the one that it was meant for.
func (s *sim) present(e *event) (n *node, ok bool) {
	n = &s.nodes[e.to]
	return n, n.gen == e.gen && n.is(up)
}

// tick is a joiner's timer.
func (s *sim) tick(e *event) {
	if _, ok := s.present(e); !ok {
		return
	}
	if s.policy != Ours {
		s.naiveTick(e)
		return
	}
	s.step(e.to, &storm.Event[uint32]{Kind: storm.Tick})
}

// start has a node begin.
func (s *sim) start(id uint32) {
	n := &s.nodes[id]
	n.set(up, true)
	if n.readAt = 0; s.shared == nil {
		n.from = s.now
	}
	if s.policy == Ours { // what it stored before may lead to it, by luck: that does not count
		n.set(moved, false)
		n.renew()
	}
	boot := int(id) < s.model.Bootstrap
	if n.is(serves) && (boot || s.off.Has(storm.ServeFirst) && !s.scenario.Cold && !n.is(fresh|elsewhere)) {
		s.open(id, n)
	}
	if n.is(hostile) {
		s.at(0, event{kind: evAttack, to: id, gen: n.gen})
		return
	}
	if s.policy != Ours {
		s.naiveStart(id)
	} else {
		s.recorder(id).Start(s.now, &n.joiner, &s.joinerCfg, s.book(id))
		s.step(id, &storm.Event[uint32]{Kind: storm.Started})
	}
	s.look(id)
}

// book is what a node knows when it starts.
func (s *sim) book(id uint32) storm.Book[uint32] {
	b := storm.Book[uint32]{Bootstrap: s.bootstrap}
	if int(id) < s.model.Bootstrap { // they know each other
		return b
	}
	first := s.rng.IntN(len(s.bootstrap)) // each node begins with another one
	b.Bootstrap = s.twice[first : first+len(s.bootstrap)]
	if c := s.cached; !s.scenario.Cold && !s.nodes[id].is(fresh) {
		b.Cached = s.cache[int(id)*c : (int(id)+1)*c : (int(id)+1)*c]
		c = s.model.Contacts
		b.Near = s.contacts[int(id)*c : (int(id)+1)*c : (int(id)+1)*c]
	}
	return b
}

// enter is called when a node is in. Who can be dialled may serve once that is proven.
func (s *sim) enter(id uint32, n *node) {
	if n.server >= 0 && !s.servers[n.server].open {
		s.at(s.trips(s.model.ProofTrips), event{kind: evProven, to: id, gen: n.gen})
	}
}

// proven has a node serve at once where servers are few, or every node that can does.
func (s *sim) proven(e *event) {
	n := &s.nodes[e.to]
	switch {
	case n.gen != e.gen || !n.is(up) || s.servers[n.server].open:
	case s.policy != Ours || len(s.inside) < s.model.Few:
		s.serve(e.to, n)
	default:
		s.at(s.within(s.model.Look), event{kind: evRole, to: e.to, gen: n.gen})
	}
}

// consider is a reachable node's moment, once a second, to begin to serve.
func (s *sim) consider(e *event) {
	n := &s.nodes[e.to]
	if n.gen != e.gen || !n.is(up) || s.servers[n.server].open || s.policy != Ours {
		return
	}
	if len(s.inside) < s.model.Few || s.recorder(e.to).Promote(s.now, &n.role, s.rng.Float64(), s.off) {
		s.serve(e.to, n)
		return
	}
	if s.now < before+time.Minute || s.scenario.Stay > 0 && s.now < before+2*time.Minute {
		s.at(s.model.Look, event{kind: evRole, to: e.to, gen: n.gen})
	}
}

// serve has a node serve. Whoever let it in names it from now on.
func (s *sim) serve(id uint32, n *node) {
	n.set(serves, true)
	s.open(id, n)
	for _, r := range n.rel {
		if s.lets(r) {
			s.acquaint(r.server, id)
		}
	}
}
