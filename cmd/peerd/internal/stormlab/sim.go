package stormlab

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/peerd/peerd/node/storm"
	"github.com/peerd/peerd/node/storm/trace"
)

// kind says what an event is.
type kind uint8

const (
	evStart     kind = iota // a node starts
	evTick                  // a joiner's timer; x is the moment asked for
	evAsk                   // a question reaches a server; x is the slot shown
	evAnswer                // an answer reaches a node; x is its index
	evDial                  // a handshake reaches a server; x is the client's deadline
	evConnected             // a node is connected
	evRefused               // a node's handshake was refused
	evStore                 // a record reaches a server; x is the client's deadline
	evStored                // an acknowledgement reaches a node
	evDone                  // a server's processor has finished a piece of work
	evFound                 // a search has ended
	evLost                  // a node notices that a neighbour is gone
	evProven                // a node is proven to be reachable
	evDown                  // a node dies
	evRole                  // a node considers serving
	evLoad                  // others ask a server
	evAttack                // a hostile node acts
	evSample                // the truth is looked at
	evCall                  // a relayed call looks for another relay; x is its deadline
	evMoved                 // a relayed call reaches its new relay
	evRead                  // a third node reads a node's record
	evTurn                  // a process's turn on a shared processor ends; x is how long it was
	evRang                  // a third node's call to a node has rung, or would have
	evNothing               // processor time that nobody waits for
	evStranger              // a stranger comes when it was told to
	evGrown                 // a node hears that servers came near one that it is connected to
)

// storage of a run's time before the storm: moments count from here.
const before = 1000 * time.Second

// nobody is a node that is not there.
const nobody = math.MaxUint32

// node is one node: the policy's state, and what the simulator knows to be true.
type node struct {
	joiner  storm.Joiner[uint32]
	role    storm.Role
	from    time.Duration // of its start, or of losing what it had
	backAt  time.Duration // when it was first back after from; -1 is not yet
	readAt  time.Duration // when a third node finds its record; 0 is not yet known
	lost    time.Duration // since when it is not back, for those who were; -1 is back
	begun   time.Duration // of a search beside a dial; 0 is none
	hears   time.Duration // when it hears that servers came near a neighbour; 0 is nothing
	told    time.Duration // when the last search ended: it has asked whom it found
	rel     [8]relation   // servers that let it in, as the node believes
	listed  [8]uint32     // relays that the record names
	records [maxRecords]record
	server  int32 // index in servers; -1 is none
	gen     uint16
	related uint8
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
	held [4]uint32         // servers that have it
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
	able                     // it can be dialled
	serves                   // it serves, or will when it starts
	slow                     // its work takes longer
	moved                    // its old record names an old address
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

// besideSearch marks a question of the class that it is added to as one that went
// with the search: it takes no time of its own. It marks a record that is given
// without a question, too.
const besideSearch = 0x80

// sentAgain marks a question that had no answer the first time.
const sentAgain = 0x40

func (n *node) is(f flag) bool { return n.flags&f != 0 }
func (n *node) set(f flag, on bool) {
	if n.flags &^= f; on {
		n.flags |= f
	}
}

// sim is one run.
type sim struct {
	model    Model
	scenario Scenario
	policy   policy
	off      storm.Options
	rng      *rand.Rand
	unit     func() float64
	now      time.Duration
	queue    queue

	nodes     []node
	naive     []naive
	servers   []server
	cache     []uint32 // all caches, one after the other, of cached servers each
	cached    int
	contacts  []uint32 // likewise
	bootstrap []uint32
	twice     []uint32 // the bootstrap nodes, twice
	inside    []uint32 // nodes that serve and are known to the overlay
	insideAt  []int32  // their places, by server; -1 is outside
	keys      *keyspace
	gates     [2]storm.GateConfig
	joinerCfg storm.JoinerConfig

	answers []storm.Answer[uint32]
	unused  []int32
	acts    []storm.Action[uint32]
	closest []uint32
	calls   []call
	waiting []uint32 // counted nodes that are not back
	watched []uint32 // nodes whose being logged out is watched
	deadNow float64  // share of the servers that just died, for searches

	tally tally

	shared *processors // that all nodes share; nil: each has its own

	trace  *trace.Recorder[uint32] // of the node traced; may be nil
	traced uint32
}

func (s *sim) at(d time.Duration, e event) {
	e.at = s.now + d
	s.queue.push(e)
}

// way is how long one datagram travels.
func (s *sim) way() time.Duration {
	return time.Duration((0.25 + 0.5*s.rng.Float64()) * float64(s.model.RTT))
}

func (s *sim) isLost() bool { return s.model.Loss > 0 && s.rng.Float64() < s.model.Loss }

// resends is what losses cost something that is sent again until it arrives.
func (s *sim) resends() time.Duration {
	var d time.Duration
	for s.isLost() {
		d += s.model.Resend
	}
	return d
}

// trips is how long n round trips take, one after the other.
func (s *sim) trips(n int) (d time.Duration) {
	for range n {
		d += s.way() + s.way() + s.resends()
	}
	return d
}

// run goes through all events up to the horizon.
func (s *sim) run(ctx context.Context, progress func(at time.Duration, back int)) error {
	end := before + s.scenario.Horizon
	for i := 0; len(s.queue.heap) > 0; i++ {
		e := s.queue.pop()
		if e.at > end {
			break
		}
		if i&0xffff == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if progress != nil {
				progress(max(0, e.at-before), s.tally.back)
			}
		}
		s.now = e.at
		s.handle(&e)
		if s.settled() {
			break
		}
	}
	s.now = min(max(s.now, before), end)
	s.finish()
	return nil
}

// settled says that nothing of interest is to come.
func (s *sim) settled() bool {
	sc := &s.scenario
	if s.tally.missing > 0 || sc.Echo || sc.RollFor > 0 || sc.Stay > 0 || s.now < s.tally.settleAt {
		return false
	}
	// All were back once. They must be still, some time later.
	done := s.tally.settleAt > 0 && s.relapsed() == 0
	s.tally.settleAt = s.now + settleFor
	return done
}

// settleFor is how long a run goes on after all are back.
const settleFor = 10 * time.Second

// relapsed counts the nodes that were back and are not.
func (s *sim) relapsed() int {
	count := 0
	for i := range s.nodes {
		if n := &s.nodes[i]; n.is(counted) && n.backAt >= 0 && n.is(up) && !s.isBack(n) {
			count++
		}
	}
	return count
}

// handle has an event happen, after the processor time that it takes.
func (s *sim) handle(e *event) {
	if cost := s.takes(e); cost > 0 {
		s.spend(e.to, cost, *e)
		return
	}
	s.happen(e)
}

func (s *sim) happen(e *event) {
	switch e.kind {
	case evStart:
		s.start(e.to)
	case evTick:
		s.tick(e)
	case evAsk:
		s.asked(e)
	case evAnswer:
		s.answered(e)
	case evDial, evStore, evMoved:
		s.work(e)
	case evConnected, evRefused, evStored, evLost, evFound, evGrown:
		s.heard(e)
	case evDone:
		s.done(e)
	case evProven:
		s.proven(e)
	case evDown:
		s.rolled(e.to)
	case evRole:
		s.consider(e)
	case evLoad:
		s.load(e)
	case evAttack:
		s.attack(e)
	case evSample:
		s.sample()
	case evCall:
		s.seekRelay(e)
	case evStranger:
		s.comes(e)
	case evRead:
		s.read(e)
	case evTurn:
		s.turnEnds(e)
	case evRang:
		s.rang(e)
	case evNothing:
	}
}

// step gives a joiner an event and does what it says.
func (s *sim) step(id uint32, ev *storm.Event[uint32]) {
	n := &s.nodes[id]
	s.acts = s.recorder(id).Step(s.now, &n.joiner, ev, s.unit, s.acts[:0])
	for i := range s.acts {
		s.do(id, n, &s.acts[i])
	}
}

func (s *sim) do(id uint32, n *node, a *storm.Action[uint32]) {
	e := event{to: a.Peer, from: id, gen: n.gen, aux: uint8(a.Class)}
	switch a.Kind {
	case storm.Ask:
		e.kind, e.x = evAsk, int64(a.Slot)
		if a.Class == storm.LogIn {
			s.attempt(n, a.Peer)
		}
		if a.Class == storm.Presence && n.told > 0 && s.now < n.told+time.Second && n.shouldHold(a.Peer) {
			e.aux |= besideSearch
			s.at(0, e)
		} else {
			d := s.way()
			if s.isLost() {
				e.aux |= sentAgain
				d += s.model.Resend
			}
			s.at(d, e)
		}
	case storm.Dial:
		if len(n.joiner.Neighbours()) == 0 {
			n.begun = s.now
			s.dials(n)
		}
		e.kind, e.x = evDial, int64(s.now+s.joinerCfg.Handshake)
		if !s.off.Has(storm.AskFirst) && a.Class == storm.LogIn {
			s.attempt(n, a.Peer)
		}
		s.at(s.way()+s.resends(), e)
	case storm.Store:
		e.kind, e.x = evStore, int64(s.now+s.joinerCfg.Store)
		s.at(s.way()+s.resends(), e)
	case storm.Find:
		s.search(id, n)
	case storm.WaitUntil:
		s.queue.push(event{at: a.At, kind: evTick, to: id, gen: n.gen, x: int64(a.At)})
	}
}

// attempt counts a node's try to log in at peer.
func (s *sim) attempt(n *node, peer uint32) {
	if !n.is(counted) {
		return
	}
	s.tally.attempts++
	s.tally.asked = bump(s.tally.asked, s.second())
	if int(peer) < s.model.Bootstrap {
		s.tally.toBootstrap++
	}
}

// dials counts a node's connection to log in.
func (s *sim) dials(n *node) {
	if n.is(counted) {
		s.tally.dials++
	}
}

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

// heard gives a node what has come back to it.
func (s *sim) heard(e *event) {
	n := &s.nodes[e.to]
	if n.gen != e.gen || !n.is(up) {
		return
	}
	if s.policy != Ours {
		s.naiveHeard(e)
		return
	}
	ev := storm.Event[uint32]{Peer: e.from}
	switch e.kind {
	case evConnected:
		ev.Kind = storm.Connected
		s.relate(n, e.from, uint16(e.x))
		s.acquaint(e.from, e.to)
		s.enter(e.to, n)
	case evRefused:
		ev.Kind = storm.Refused
	case evStored:
		ev.Kind = storm.Stored
		s.keepRecord(n, e.from, uint16(e.x))
		s.acquaint(e.from, e.to)
	case evLost:
		ev.Kind = storm.Lost
		s.others(e.to, n, e.from)
		if n.server >= 0 {
			s.recorder(e.to).Left(s.now, &s.servers[n.server].gate, e.from)
		}
	case evFound:
		ev.Kind = storm.Found
		ev.Peers, n.told = s.around(e.to, n), s.now
		for _, p := range ev.Peers {
			if n.lacks(p) {
				s.at(s.way()+s.resends(), event{
					kind: evStore, to: p, from: e.to, gen: n.gen, aux: besideSearch, x: int64(s.now + s.joinerCfg.Store),
				})
			}
		}
	case evGrown:
		ev.Kind = storm.Grown
		n.hears = 0
	default:
		return
	}
	s.step(e.to, &ev)
	s.look(e.to)
}

// acquaint has two connected servers name each other.
func (s *sim) acquaint(a, b uint32) {
	i, k := s.nodes[a].server, s.nodes[b].server
	if i >= 0 && k >= 0 && s.servers[i].open && s.servers[k].open {
		s.joined(s.now, a, b)
		s.joined(s.now, b, a)
	}
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

// answersLate says that servers that are late are so now.
func (s *sim) answersLate() bool {
	return s.scenario.LateAnswers > 0 && s.now >= before && s.now < before+s.scenario.LoadFor
}

// shouldHold says that a server is one of those that should have a record.
func (n *node) shouldHold(peer uint32) bool {
	return slices.Contains(n.records[0].near[:], peer) || slices.Contains(n.records[1].near[:], peer)
}

// relate notes that a server has let the node in.
func (s *sim) relate(n *node, peer uint32, epoch uint16) {
	for i := range n.rel {
		if n.rel[i].server == peer {
			n.rel[i].epoch = epoch
			return
		}
	}
	place := int(n.related) % len(n.rel)
	for i := range n.rel { // a dead one first
		if !s.lets(n.rel[i]) {
			place = i
			break
		}
	}
	n.rel[place] = relation{peer, epoch}
	n.related++
}

// lets says that a server runs and is the incarnation that let somebody in.
func (s *sim) lets(r relation) bool {
	if r.server == nobody {
		return false
	}
	p := &s.nodes[r.server]
	return p.is(up) && p.gen == r.epoch
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

// tick is a joiner's timer.
func (s *sim) tick(e *event) {
	n := &s.nodes[e.to]
	if n.gen != e.gen || !n.is(up) {
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
