package stormlab

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Machine is a machine whose processors all nodes share, as processes of it: what a
// node does takes processor time, and waits for it. The zero value is none: each node
// has a processor for itself, and only what servers do takes time.
//
// The start and the call are measured on processes (TestSoakSteps in test/storm), the
// rest are estimates from benchmarks: docs/storm-processes.md says which is which. None
// is chosen so that a storm comes out right.
type Machine struct {
	Processors int
	Turn       time.Duration // of one process, before the next one's
	Start      time.Duration // from the start of a process until it asks its first question
	Ask        time.Duration // a question: made, sent, its answer read
	Connect    time.Duration // a connection, at the end that dials
	Proof      time.Duration // being dialled back
	Give       time.Duration // a record given, at the end that gives
	Call       time.Duration // a call that shows that a node is back, at each end
	Calls      int           // of these, at a time
}

// OnMachine is the model of a machine with so many processors: the work of DefaultModel,
// and the network that a machine has in itself, without delay and loss.
func OnMachine(processors int) Model {
	m := DefaultModel()
	m.RTT, m.Loss, m.Slow, m.Reader = 200*time.Microsecond, 0, 0, 0
	m.StartIn = 100 * time.Millisecond
	m.Machine = Machine{
		Processors: processors, Turn: 3 * time.Millisecond,
		Start: 25 * time.Millisecond, Ask: 60 * time.Microsecond, Connect: 1500 * time.Microsecond,
		Proof: 900 * time.Microsecond, Give: 100 * time.Microsecond, Call: 22 * time.Millisecond, Calls: 2 * processors,
	}
	return m
}

// steps are the times of a model of a machine, by the names under which they are set.
func (m *Model) steps() map[string]*time.Duration {
	p := &m.Machine
	return map[string]*time.Duration{
		"start": &p.Start, "ask": &p.Ask, "connect": &p.Connect, "accept": &m.LogIn, "dial-back": &m.Proof, "dialled-back": &p.Proof,
		"give": &p.Give, "put": &m.Put, "answer": &m.Refusal, "call": &p.Call,
	}
}

// StepNames lists what SetStep takes.
func StepNames() []string {
	var m Model
	return slices.Sorted(maps.Keys(m.steps()))
}

// SetStep sets what a step takes of the processor of the machine at hand.
func (m *Model) SetStep(name, takes string) error {
	step := m.steps()[name]
	if step == nil {
		return fmt.Errorf("no step is called %q: there are %s", name, strings.Join(StepNames(), ", "))
	}
	d, err := time.ParseDuration(takes)
	if err != nil || d < 0 || d > time.Minute {
		return fmt.Errorf("step %s takes a time such as 1.2ms, not %q", name, takes)
	}
	*step = d
	return nil
}

// processors are those of a machine while it runs. A process does one thing after the
// other; those that have something to do take turns.
type processors struct {
	Machine
	jobs  [][]job // of each node, the first one first
	turns places  // on the processors
	calls places

	spent time.Duration // by all
}

// places are for some nodes at a time; others wait in turn.
type places struct {
	free    int
	waiting []uint32
}

// next has the first one that waits take a free place.
func (p *places) next() (id uint32, ok bool) {
	if p.free == 0 || len(p.waiting) == 0 {
		return 0, false
	}
	id = p.waiting[0]
	p.waiting = p.waiting[1:]
	p.free--
	return id, true
}

// job is processor time to be spent before something happens.
type job struct {
	left time.Duration
	then event
}

func newProcessors(m Machine, nodes int) *processors {
	if m.Processors == 0 {
		return nil
	}
	return &processors{Machine: m, jobs: make([][]job, nodes), turns: places{free: m.Processors}, calls: places{free: m.Calls}}
}

// takes is the processor time that an event takes of the node to which it happens.
func (s *sim) takes(e *event) time.Duration {
	if s.shared == nil || int(e.to) >= len(s.nodes) {
		return 0
	}
	m := &s.shared.Machine
	switch e.kind {
	case evStart:
		s.nodes[e.to].from = s.now // its time counts from the process's start
		return m.Start
	case evAsk, evGive:
		return s.model.Refusal
	case evAnswer, evGave:
		if e.aux&besideSearch != 0 { // counted with the search
			return 0
		}
		return m.Ask
	case evConnected:
		if len(s.nodes[e.to].joiner.Neighbours()) == 0 {
			return m.Connect + m.Proof
		}
		return m.Connect
	case evStored:
		if e.aux == anew {
			return m.Connect + m.Give
		}
		return m.Give
	case evFound:
		return m.Ask * time.Duration(s.model.Records*s.model.Copies*s.hops())
	default:
		return 0
	}
}

// anew marks a record that was given on a connection made for it.
const anew = 1

// spend has a node's process spend processor time before something happens.
func (s *sim) spend(id uint32, cost time.Duration, then event) {
	p := s.shared
	p.spent += cost
	p.jobs[id] = append(p.jobs[id], job{cost, then})
	if len(p.jobs[id]) == 1 {
		p.turns.waiting = append(p.turns.waiting, id)
		s.giveTurns()
	}
}

// giveTurns has idle processors work.
func (s *sim) giveTurns() {
	p := s.shared
	for id, ok := p.turns.next(); ok; id, ok = p.turns.next() {
		d := min(p.jobs[id][0].left, p.Turn)
		s.at(d, event{kind: evTurn, to: id, x: int64(d)})
	}
}

// turnEnds is the end of a process's turn.
func (s *sim) turnEnds(e *event) {
	p := s.shared
	p.turns.free++
	first := &p.jobs[e.to][0]
	first.left -= time.Duration(e.x)
	done, then := first.left <= 0, first.then
	if done {
		p.jobs[e.to] = p.jobs[e.to][1:]
	}
	if len(p.jobs[e.to]) > 0 {
		p.turns.waiting = append(p.turns.waiting, e.to)
	}
	s.giveTurns()
	if done {
		s.happen(&then)
	}
}

// callSoon has a third node call one that should be back, when its turn comes.
func (s *sim) callSoon(id uint32) {
	s.shared.calls.waiting = append(s.shared.calls.waiting, id)
	s.callNext()
}

func (s *sim) callNext() {
	p := s.shared
	for id, ok := p.calls.next(); ok; id, ok = p.calls.next() {
		n := &s.nodes[id]
		n.readAt = s.now
		if third := s.third(id); third != nobody {
			s.spend(third, p.Call, event{kind: evNothing})
		}
		s.spend(id, p.Call, event{kind: evRang, to: id, gen: n.gen})
	}
}

// third is any other node that is in.
func (s *sim) third(id uint32) uint32 {
	for range 8 {
		if k := s.rng.Uint32N(uint32(len(s.nodes))); k != id && s.nodes[k].backAt >= 0 {
			return k
		}
	}
	return nobody
}

// rang is the end of such a call: the node was back when it was placed, or is called again.
func (s *sim) rang(e *event) {
	n := &s.nodes[e.to]
	s.shared.calls.free++
	s.callNext()
	switch {
	case n.gen != e.gen || !n.is(up):
	case s.isBack(n):
		s.isIn(n, n.readAt)
	default:
		s.at(sampleEvery, event{kind: evRead, to: e.to, gen: n.gen})
	}
}
