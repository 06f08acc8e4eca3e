package trace

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// Recorder stands between one node and its policy. Its methods call the policy's of
// the same name and write down what went in and what came out. A nil Recorder only
// calls. It is safe for concurrent use, as far as the policy's parts are.
type Recorder[P comparable] struct {
	mu      sync.Mutex
	out     io.Writer
	err     error
	entries int
	numbers map[P]uint32
}

// NewRecorder begins a trace. Each line is one Write. It ends at an error, which Err
// returns, or with a million entries.
func NewRecorder[P comparable](out io.Writer) *Recorder[P] {
	r := &Recorder[P]{out: out, numbers: make(map[P]uint32)}
	r.line(header{Format: format, Version: Version})
	return r
}

// Err is why the trace ended early: the error of a write, or nil.
func (r *Recorder[P]) Err() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// write adds an entry, which fill completes: there peers get their numbers.
func (r *Recorder[P]) write(e entry, fill func(*entry)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || r.entries == maxEntries {
		return
	}
	r.entries++
	if fill != nil {
		fill(&e)
	}
	r.line(e)
}

func (r *Recorder[P]) line(v any) {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = r.out.Write(append(text, '\n'))
	}
	r.err = err
}

// number of a peer; 0 is nobody.
func (r *Recorder[P]) number(p P) uint32 {
	var nobody P
	n, known := r.numbers[p]
	if !known && p != nobody {
		n = uint32(len(r.numbers) + 1)
		r.numbers[p] = n
	}
	return n
}

func (r *Recorder[P]) list(peers []P) []uint32 {
	var numbers []uint32
	for _, p := range peers {
		numbers = append(numbers, r.number(p))
	}
	return numbers
}

// Start is Joiner.Start.
func (r *Recorder[P]) Start(now storm.Moment, j *storm.Joiner[P], cfg *storm.JoinerConfig, book storm.Book[P]) {
	j.Start(cfg, book)
	if r == nil {
		return
	}
	config, err := changes(*cfg, storm.DefaultJoinerConfig())
	r.fail(err)
	r.write(entry{At: now, Do: doStart, Config: config, Without: without(cfg.Off)}, func(e *entry) {
		e.Cached, e.Near, e.Bootstrap = r.list(book.Cached), r.list(book.Near), r.list(book.Bootstrap)
	})
}

// Step is Joiner.Step.
func (r *Recorder[P]) Step(now storm.Moment, j *storm.Joiner[P], ev *storm.Event[P], unit func() float64, out []storm.Action[P]) []storm.Action[P] {
	if r == nil {
		return j.Step(now, ev, unit, out)
	}
	var drawn []float64
	before := len(out)
	out = j.Step(now, ev, func() float64 {
		drawn = append(drawn, unit())
		return drawn[len(drawn)-1]
	}, out)
	r.write(entry{At: now, Do: eventName(ev.Kind), Drawn: drawn}, func(e *entry) {
		e.Peer, e.Peers = r.number(ev.Peer), r.list(ev.Peers)
		if ev.Answer != nil {
			a := r.answer(ev.Answer)
			e.Answer = &a
		}
		for _, a := range out[before:] {
			e.Decided = append(e.Decided, r.action(&a))
		}
	})
	return out
}

func (r *Recorder[P]) action(a *storm.Action[P]) decision {
	d := decision{Do: actionName(a.Kind), Peer: r.number(a.Peer), Slot: a.Slot, At: a.At}
	if a.Kind == storm.Ask || a.Kind == storm.Offer || a.Kind == storm.Dial || a.Kind == storm.Store {
		d.Class = &a.Class
	}
	return d
}

// answer leaves out what a silent gate left in the answer's other fields.
func (r *Recorder[P]) answer(a *storm.Answer[P]) decision {
	d := decision{Do: name(a.Verdict, verdictNames())}
	if a.Verdict != storm.Silent {
		d.Slot, d.Delay, d.Uptime, d.Load = a.Slot, a.Delay, a.Uptime, a.Load
		d.Refer = r.list(a.Referrals[:a.N])
	}
	return d
}

// Open is Gate.Open.
func (r *Recorder[P]) Open(now storm.Moment, g *storm.Gate[P], cfg *storm.GateConfig) {
	g.Open(now, cfg)
	if r == nil {
		return
	}
	config, err := changes(*cfg, storm.DefaultGateConfig())
	r.fail(err)
	r.write(entry{At: now, Do: doOpen, Config: config, Without: without(cfg.Off)}, nil)
}

// fail ends the trace.
func (r *Recorder[P]) fail(err error) {
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err = err
	}
}

// Ask is Gate.Ask.
func (r *Recorder[P]) Ask(now storm.Moment, g *storm.Gate[P], q *storm.Question[P], unit float64, a *storm.Answer[P]) {
	g.Ask(now, q, unit, a)
	if r == nil {
		return
	}
	class := q.Class
	r.write(entry{
		At: now, Do: doAsked, Class: &class, Prefix: shorten(q.Prefix), Slot: q.Slot, Serves: q.Serves, Ticket: q.Ticket, Gift: q.Gift, Quiet: q.Quiet,
		Drawn: []float64{unit},
	}, func(e *entry) {
		e.Peer = r.number(q.From)
		e.Decided = []decision{r.answer(a)}
	})
}

// shorten keeps the lowest bits of a network's hash, and that there is one.
func shorten(prefix uint64) uint64 {
	if prefix == 0 {
		return 0
	}
	return prefix&(1<<prefixBits-1) | 1<<prefixBits
}

// Spent is Gate.Spent.
func (r *Recorder[P]) Spent(now storm.Moment, g *storm.Gate[P], c storm.Class, cost time.Duration) {
	if g.Spent(now, c, cost); r != nil {
		r.write(entry{At: now, Do: doSpent, Class: &c, Cost: cost}, nil)
	}
}

// Finished is Gate.Finished.
func (r *Recorder[P]) Finished(now storm.Moment, g *storm.Gate[P], c storm.Class, cost time.Duration) {
	if g.Finished(now, c, cost); r != nil {
		r.write(entry{At: now, Do: doFinished, Class: &c, Cost: cost}, nil)
	}
}

// Missed is Gate.Missed.
func (r *Recorder[P]) Missed(now storm.Moment, g *storm.Gate[P], c storm.Class) {
	if g.Missed(now, c); r != nil {
		r.write(entry{At: now, Do: doMissed, Class: &c}, nil)
	}
}

// Joined is Gate.Joined.
func (r *Recorder[P]) Joined(now storm.Moment, g *storm.Gate[P], p P, serves bool) {
	if g.Joined(now, p, serves); r != nil {
		r.write(entry{At: now, Do: doJoined, Serves: serves}, func(e *entry) { e.Peer = r.number(p) })
	}
}

// Left is Gate.Left.
func (r *Recorder[P]) Left(now storm.Moment, g *storm.Gate[P], p P) {
	if g.Left(p); r != nil {
		r.write(entry{At: now, Do: doLeft}, func(e *entry) { e.Peer = r.number(p) })
	}
}

// Saw is Role.Saw.
func (r *Recorder[P]) Saw(now storm.Moment, role *storm.Role, refused bool) {
	if role.Saw(now, refused); r != nil {
		r.write(entry{At: now, Do: doSaw, Refused: refused}, nil)
	}
}

// Promote is Role.Promote.
func (r *Recorder[P]) Promote(now storm.Moment, role *storm.Role, unit float64, off storm.Options) bool {
	yes := role.Promote(now, unit, off)
	if r != nil {
		e := entry{At: now, Do: doPromote, Without: without(off), Drawn: []float64{unit}}
		if yes {
			e.Decided = []decision{{Do: serve}}
		}
		r.write(e, nil)
	}
	return yes
}
