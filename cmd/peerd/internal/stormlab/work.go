package stormlab

import (
	"time"

	"github.com/peerd/peerd/node/storm"
)

// work is a piece of work that waits for a server's processor.
type work struct {
	came     time.Duration
	deadline time.Duration // of who wants it
	cost     time.Duration
	client   uint32
	gen      uint16
	kind     kind
	class    storm.Class
	aux      uint8 // of a record: which
	stranger bool  // not one of the nodes
	fresh    bool  // there was no connection before
}

// pays is the class whose cost the gate took for it.
func (w *work) pays() storm.Class {
	if w.kind == evDial && w.class == storm.Presence {
		return storm.LogIn
	}
	return w.class
}

// lineLimit bounds the work that waits.
const lineLimit = 64

// work is a handshake, or a record of a baseline, that reaches a server.
func (s *sim) work(e *event) {
	if int(e.to) >= len(s.nodes) {
		return
	}
	p := &s.nodes[e.to]
	if !p.is(up) || p.server < 0 || !s.servers[p.server].open {
		return
	}
	v := &s.servers[p.server]
	n := &s.nodes[e.from]
	w := work{came: s.now, deadline: time.Duration(e.x) - s.model.RTT, client: e.from, gen: e.gen, kind: e.kind, class: storm.Class(e.aux)}
	switch e.kind {
	case evStore:
		w.cost, w.class = s.model.Put, storm.Presence
		if w.fresh = !s.connected(n, e.to); w.fresh {
			w.cost += s.model.LogIn
		}
	case evMoved:
		w.cost, w.class, w.stranger = s.model.InCall, storm.InCall, true
	default:
		if w.cost = s.model.LogIn; w.class != storm.Refresh {
			w.cost += s.model.Proof
		}
	}
	if s.policy == Ours && !s.off.Has(storm.AskFirst) && e.kind != evMoved && !s.unasked(v, &w) {
		s.at(s.way(), event{kind: evRefused, to: e.from, from: e.to, gen: e.gen})
		return
	}
	s.enqueue(v, w)
}

// unasked decides about a connection that nobody asked about.
func (s *sim) unasked(v *server, w *work) bool {
	var a storm.Answer[uint32]
	q := storm.Question[uint32]{From: w.client, Class: w.class, Prefix: s.prefix(w.client)}
	if s.recorder(v.id).Ask(s.now, &v.gate, &q, s.rng.Float64(), &a); a.Verdict == storm.Come {
		return true
	}
	v.spend(s, storm.LookUp, s.model.RefuseDial)
	return false
}

// enqueue has work wait for the processor.
func (s *sim) enqueue(v *server, w work) {
	w.cost = time.Duration(v.factor * float64(w.cost))
	if s.policy != Ours {
		v.offer(s, w.cost)
		v.fifo = append(v.fifo, w)
	} else if _, full := v.line.Push(w.class, w.deadline, w); full {
		s.tally.dropped++
	}
	if !v.working {
		s.next(v)
	}
}

// next has the processor begin the next piece of work.
func (s *sim) next(v *server) {
	w, ok := v.take(s)
	if v.working = ok; !ok {
		return
	}
	v.current = w
	s.tally.waited(s.now - w.came)
	done := event{kind: evDone, to: v.id, gen: s.nodes[v.id].gen}
	if s.shared != nil {
		s.spend(v.id, w.cost, done)
		return
	}
	s.at(w.cost, done)
}

func (v *server) take(s *sim) (work, bool) {
	if s.policy == Ours {
		return v.line.Pop(s.now, nil)
	}
	if v.head == len(v.fifo) {
		v.fifo, v.head = v.fifo[:0], 0
		return work{}, false
	}
	w := v.fifo[v.head]
	if v.head++; v.head > 1024 && v.head > len(v.fifo)/2 {
		v.fifo = v.fifo[:copy(v.fifo, v.fifo[v.head:])]
		v.head = 0
	}
	return w, true
}

// done is a piece of work finished.
func (s *sim) done(e *event) {
	p := &s.nodes[e.to]
	if p.gen != e.gen || !s.servers[p.server].open {
		return
	}
	v := &s.servers[p.server]
	w := v.current
	useful := w.cost
	if w.stranger && s.now <= w.deadline {
		s.tally.done = bump(s.tally.done, s.calmSecond(w.came))
	}
	if s.now > w.deadline || (!w.stranger && s.nodes[w.client].gen != w.gen) {
		s.tally.wasted++
		useful = 0
	}
	v.charge(s, w.cost, useful)
	if s.policy == Ours {
		s.recorder(v.id).Finished(s.now, &v.gate, w.pays(), w.cost)
	}
	switch {
	case w.kind == evMoved:
		s.relayed(v, &w)
	case !w.stranger:
		s.reply(v, &w)
	}
	s.next(v)
}

// reply tells the client that its work is done.
func (s *sim) reply(v *server, w *work) {
	n := &s.nodes[w.client]
	if n.gen != w.gen || n.is(hostile) {
		return
	}
	if w.kind == evGive {
		s.stored(v, w)
		return
	}
	e := event{to: w.client, from: v.id, gen: w.gen, x: int64(s.nodes[v.id].gen), kind: evStored}
	trips := 0
	switch {
	case w.kind == evDial:
		e.kind, trips = evConnected, s.model.DialTrips-1
	case w.fresh:
		trips, e.aux = naiveTrips-1, anew
	}
	v.clients = append(v.clients, w.client)
	s.at(s.way()+s.trips(trips), e)
}
