package stormlab

import (
	"github.com/peerd/peerd/node/storm"
)

// besideSearch marks a record that goes with a step of a search, and an answer that
// was heard with one: neither takes time of its own.
const besideSearch = 0x80

// sentAgain marks a question that had no answer the first time.
const sentAgain = 0x40

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
		d := s.way()
		if s.isLost() {
			e.aux |= sentAgain
			d += s.model.Resend
		}
		s.at(d, e)
	case storm.Offer:
		s.offer(id, n, a.Peer)
	case storm.Dial:
		if len(n.joiner.Neighbours()) == 0 {
			s.ahead(id, n, false)
			s.dials(n)
		}
		e.kind, e.x = evDial, int64(s.now+s.joinerCfg.Handshake)
		if !s.off.Has(storm.AskFirst) && a.Class == storm.LogIn {
			s.attempt(n, a.Peer)
		}
		s.at(s.way()+s.resends(), e)
	case storm.Store:
		s.store(id, n, a.Peer)
	case storm.Find:
		n.set(seeks, true)
		s.seek(id, n)
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

// heard gives a node what has come back to it.
func (s *sim) heard(e *event) {
	n, ok := s.present(e)
	if !ok {
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
		if !s.connected(n, e.from) { // it has died since it let the node in
			s.noticeLoss(e.to, e.from)
		}
		s.acquaint(e.from, e.to)
		s.enter(e.to, n)
	case evRefused:
		ev.Kind = storm.Refused
	case evStored:
		ev.Kind = storm.Stored
	case evLost:
		var news bool
		if ev.Kind, news = s.loses(e.to, n, e.from); !news {
			return
		}
	case evFound:
		if !n.is(seeks) {
			return
		}
		n.set(seeks, false)
		ev.Kind, ev.Peers = storm.Found, s.peers(n)
	case evGrown:
		ev.Kind = storm.Grown
		n.hears = 0
	default:
		return
	}
	s.step(e.to, &ev)
	if ev.Kind == storm.Connected || ev.Kind == storm.Lost {
		s.reserve(e.to, n)
	}
	s.look(e.to)
}

// answered is an answer that reaches a node.
func (s *sim) answered(e *event) {
	n := &s.nodes[e.to]
	if n.gen == e.gen && n.is(up) {
		a := &s.answers[e.x]
		if n.is(able) && e.aux&besideSearch == 0 {
			s.recorder(e.to).Saw(s.now, &n.role, a.Verdict == storm.Wait || a.Delay > 0 || a.Load > 0.7)
		}
		if a.Verdict == storm.Come && storm.Class(e.aux) == storm.LogIn {
			s.ahead(e.to, n, true)
		}
		s.step(e.to, &storm.Event[uint32]{Kind: storm.Answered, Peer: e.from, Answer: a})
	}
	s.unused = append(s.unused, int32(e.x))
}
