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
	evStore                 // a baseline's record reaches a server; x is the client's deadline
	evStored                // a server has a node's records, as the node has heard
	evNear                  // the last step of a search goes out; aux is the record
	evGive                  // a question that a record goes with reaches a server; aux is the gift
	evGave                  // its answer reaches the node; x is its index, or came
	evRelay                 // a node has a place on a relay
	evSecond                // a node asks a second relay
	evDone                  // a server's processor has finished a piece of work
	evFound                 // a search has ended
	evPing                  // a node pings a server that was gone
	evLost                  // a node notices that a neighbour or a holder is gone
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
	case evNear:
		s.lastStep(e)
	case evGive:
		s.offered(e)
	case evGave:
		s.gave(e)
	case evSecond:
		s.takeSecond(e)
	case evRelay:
		s.placed(e)
	case evPing:
		s.pings(e)
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
