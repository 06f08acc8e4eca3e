package stormlab

import (
	"time"

	"github.com/peerd/peerd/node/storm"
)

// asked is a question that reaches a server.
func (s *sim) asked(e *event) {
	if int(e.to) >= len(s.nodes) {
		return // a dead entry of a cache
	}
	p := &s.nodes[e.to]
	if !p.is(up) || p.server < 0 || !s.servers[p.server].open {
		if i, ok := s.direct(e, p); ok {
			s.at(s.way(), event{kind: evAnswer, to: e.from, from: e.to, gen: e.gen, x: int64(i)})
			return
		}
		s.askAgain(e)
		return
	}
	class := e.aux &^ sentAgain
	q := s.question(e.from, storm.Class(class), time.Duration(e.x))
	i := s.answer()
	if !s.ask(&s.servers[p.server], &q, &s.answers[i]) || s.isLost() {
		s.unused = append(s.unused, i)
		s.askAgain(e)
		return
	}
	s.at(s.lateBy(p)+s.way(), event{kind: evAnswer, to: e.from, from: e.to, gen: e.gen, aux: class, x: int64(i)})
}

// question is what a node asks.
func (s *sim) question(from uint32, class storm.Class, slot time.Duration) storm.Question[uint32] {
	n := &s.nodes[from]
	return storm.Question[uint32]{
		From: from, Class: class, Prefix: s.prefix(from), Slot: slot,
		Serves: n.is(able), Ticket: !s.scenario.Cold && !n.is(fresh) && !n.is(hostile),
	}
}

// lateBy is how late a server's answer is.
func (s *sim) lateBy(p *node) time.Duration {
	if !p.is(late) || !s.answersLate() {
		return 0
	}
	return time.Duration(s.rng.Float64() * float64(s.scenario.LateBy))
}

// direct is the answer of a node that does not serve, and can be reached: it names the
// servers that it is connected to.
func (s *sim) direct(e *event, p *node) (answer int32, ok bool) {
	if s.policy != Ours || !p.is(up) || !p.is(public) || storm.Class(e.aux&^sentAgain) != storm.LogIn || s.isLost() {
		return 0, false
	}
	a := storm.Answer[uint32]{Verdict: storm.Wait, Uptime: s.now - p.from}
	for _, r := range p.rel {
		if s.lets(r) && a.N < storm.MaxReferrals {
			a.Referrals[a.N] = r.server
			a.N++
		}
	}
	if a.N == 0 {
		return 0, false
	}
	i := s.answer()
	s.answers[i] = a
	return i, true
}

// askAgain sends a question that has no answer once more.
func (s *sim) askAgain(e *event) {
	if n := &s.nodes[e.from]; e.aux&sentAgain == 0 && n.gen == e.gen && n.is(up) {
		e.aux |= sentAgain
		s.at(s.model.Resend, *e)
	}
}

// ask puts a question to a server and says whether there is an answer.
func (s *sim) ask(v *server, q *storm.Question[uint32], a *storm.Answer[uint32]) bool {
	if !v.arrives(s) {
		return false
	}
	s.recorder(v.id).Ask(s.now, &v.gate, q, s.rng.Float64(), a)
	cost := s.model.Refusal
	if a.Verdict == storm.Silent {
		cost = s.model.Unread
	}
	v.charge(s, time.Duration(v.factor*float64(cost)), 0)
	v.offer(s, s.cost(v, q.Class))
	return a.Verdict != storm.Silent
}

func (s *sim) cost(v *server, c storm.Class) time.Duration {
	return s.gates[0].Cost[c] * time.Duration(v.factor)
}

// answer is room for an answer under way.
func (s *sim) answer() int32 {
	if len(s.unused) == 0 {
		s.unused = append(s.unused, int32(len(s.answers)))
		s.answers = append(s.answers, storm.Answer[uint32]{})
	}
	i := s.unused[len(s.unused)-1]
	s.unused = s.unused[:len(s.unused)-1]
	return i
}
