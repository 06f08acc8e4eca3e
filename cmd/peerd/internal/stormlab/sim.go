package stormlab

import (
	"context"
	"math"
	"math/rand/v2"
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
	evServe                 // a node begins to serve
	evDown                  // a node dies
	evRole                  // a node considers serving
	evLoad                  // others ask a server
	evAttack                // a hostile node acts
	evSample                // the truth is looked at
	evCall                  // a relayed call looks for another relay; x is its deadline
	evMoved                 // a relayed call reaches its new relay
)

// storage of a run's time before the storm: moments count from here.
const before = 100 * time.Second

// nobody is a node that is not there.
const nobody = math.MaxUint32

// node is one node: the policy's state, and what the simulator knows to be true.
type node struct {
	joiner  storm.Joiner[uint32]
	role    storm.Role
	from    time.Duration // of its start, or of losing what it had
	backAt  time.Duration // when it was first back after from; -1 is not yet
	lost    time.Duration // since when it is not back, for those who were; -1 is back
	rel     [4]relation   // servers that let it in, as the node believes
	hold    [4]relation   // servers that have its record
	listed  [4]uint32     // relays that the record names
	key     uint32
	server  int32 // index in servers; -1 is none
	gen     uint16
	held    uint8
	related uint8
	flags   flag
}

// relation is with one incarnation of a server.
type relation struct {
	server uint32
	epoch  uint16
}

type flag uint16

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
)

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
	cache     []uint32 // all caches, one after the other
	contacts  []uint32 // likewise
	bootstrap []uint32
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

func (s *sim) handle(e *event) {
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
	case evConnected, evRefused, evStored, evLost, evFound:
		s.heard(e)
	case evDone:
		s.done(e)
	case evServe:
		s.serve(e)
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
		if !s.isLost() {
			s.at(s.way(), e)
		}
	case storm.Dial:
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

// search looks for the servers closest to a node's key: some steps of one round
// trip each, some of them to servers that have just died.
func (s *sim) search(id uint32, n *node) {
	var took time.Duration
	for range s.hops() {
		took += s.way() + s.way() + s.resends()
		if s.rng.Float64() < s.deadNow {
			took += s.model.Resend
		}
		if len(s.inside) > 0 {
			s.servers[s.nodes[s.inside[s.rng.IntN(len(s.inside))]].server].spend(s, storm.LookUp, s.model.LookUp)
		}
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
		s.enter(e.to, n)
	case evRefused:
		ev.Kind = storm.Refused
	case evStored:
		ev.Kind = storm.Stored
		s.keepRecord(n, e.from, uint16(e.x))
	case evLost:
		ev.Kind = storm.Lost
		s.others(e.to, n, e.from)
	case evFound:
		ev.Kind = storm.Found
		s.closest = s.around(e.to, n, storm.DefaultJoinerConfig().Copies)
		ev.Peers = s.closest
	default:
		return
	}
	s.step(e.to, &ev)
	s.look(n)
}

// around returns the servers closest to a node's key, but the node itself.
func (s *sim) around(id uint32, n *node, want int) []uint32 {
	s.closest = s.keys.closest(n.key, want+1, s.closest[:0])
	for i, p := range s.closest {
		if p == id {
			s.closest = append(s.closest[:i], s.closest[i+1:]...)
			break
		}
	}
	return s.closest[:min(want, len(s.closest))]
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
	place := -1
	for i := range n.hold {
		if n.hold[i].server == peer {
			place = i
		}
	}
	if place < 0 {
		place = int(n.held) % len(n.hold)
		n.held++
	}
	n.hold[place] = relation{peer, epoch}
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
			s.at(700*time.Millisecond, event{kind: evLost, to: id, from: r.server, gen: n.gen})
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
	n.from = s.now
	if n.server >= 0 && n.is(serves) && (s.off.Has(storm.ServeFirst) || int(id) < s.model.Bootstrap) &&
		(!s.scenario.Cold || int(id) < s.model.Bootstrap) && !n.is(fresh) {
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
	s.look(n)
}

// book is what a node knows when it starts.
func (s *sim) book(id uint32) storm.Book[uint32] {
	b := storm.Book[uint32]{Bootstrap: s.bootstrap}
	if int(id) < s.model.Bootstrap { // they know each other
		return b
	}
	if c := s.model.Cache; !s.scenario.Cold && !s.nodes[id].is(fresh) {
		b.Cached = s.cache[int(id)*c : (int(id)+1)*c : (int(id)+1)*c]
		c = s.model.Contacts
		b.Near = s.contacts[int(id)*c : (int(id)+1)*c : (int(id)+1)*c]
	}
	return b
}

// enter is called when a node is in. Who can be dialled may serve from now on.
func (s *sim) enter(id uint32, n *node) {
	if n.server < 0 || s.servers[n.server].open {
		return
	}
	if n.is(serves) {
		s.at(s.model.WarmUp, event{kind: evServe, to: id, gen: n.gen})
		return
	}
	s.at(0, event{kind: evRole, to: id, gen: n.gen})
}

// consider is a reachable node's moment, once a second, to begin to serve.
func (s *sim) consider(e *event) {
	n := &s.nodes[e.to]
	if n.gen != e.gen || !n.is(up) || s.servers[n.server].open || s.policy != Ours {
		return
	}
	if s.recorder(e.to).Promote(s.now, &n.role, s.rng.Float64(), s.off) {
		n.set(serves, true)
		s.at(s.model.WarmUp, event{kind: evServe, to: e.to, gen: n.gen})
		return
	}
	if s.now < before+time.Minute || s.scenario.Stay > 0 && s.now < before+2*time.Minute {
		s.at(time.Second, event{kind: evRole, to: e.to, gen: n.gen})
	}
}

func (s *sim) serve(e *event) {
	n := &s.nodes[e.to]
	if n.gen == e.gen && n.is(up) && !s.servers[n.server].open {
		s.open(e.to, n)
		// Whoever let it in names it from now on.
		for _, r := range n.rel {
			if s.lets(r) {
				s.joined(s.now, r.server, e.to)
			}
		}
	}
}
