package stormlab

import (
	"slices"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// A record goes to those who are to hold it with a question: that of the last step of
// the search for them, or one of its own. Who lets it in stores it, and says so.

// copied is what became of a record at a server that should hold it, as the node believes.
type copied uint8

const (
	lacking copied = iota
	sent           // it went with a search; there is no answer yet
	taken          // it went with a search, and is there; the policy has yet to ask
	owed           // it went with a question of the policy's; there is no answer yet
	given          // it is there
)

// A gift is the aux of a record under way: which one, and which version of it.
const (
	recordMask  = 0x01
	versionMask = 0x1f
)

func gift(r uint8, n *node) uint8 { return r | n.version&versionMask<<1 }

// came is the x of an answer that says that a record is stored.
const came = -1

// whole says that all who should have the record have it.
func (k *record) whole() bool {
	for i, p := range k.near {
		if p == nobody || k.is[i] != taken && k.is[i] != given {
			return false
		}
	}
	return true
}

// keep notes that a server has the record.
func (k *record) keep(server uint32) {
	if !slices.Contains(k.held[:], server) {
		k.held[int(k.next)%len(k.held)] = server
		k.next++
	}
}

// forget has a node start without knowing who has its records.
func (n *node) forget() {
	for r := range n.records {
		n.records[r].is = [maxCopies]copied{}
	}
}

// renew has a node's records say something else: those that others hold are of no use.
func (n *node) renew() {
	n.amend()
	for r := range n.records {
		n.records[r].held = [4]uint32{nobody, nobody, nobody, nobody}
	}
}

// amend has a node's records say more: those that others hold are of use until they are
// replaced.
func (n *node) amend() {
	n.version++
	n.forget()
}

// give sends a server a record with a question.
func (s *sim) give(id uint32, n *node, r uint8, to uint32, in time.Duration, mark uint8) {
	s.at(in, event{kind: evGive, to: to, from: id, gen: n.gen, aux: gift(r, n) | mark})
}

// offer asks a server for the policy whether it stores the records: those that have not
// gone with the search go now.
func (s *sim) offer(id uint32, n *node, peer uint32) {
	waits := false
	for r := range n.records[:s.model.Records] {
		k := &n.records[r]
		i := slices.Index(k.near[:], peer)
		if i < 0 {
			continue
		}
		switch k.is[i] {
		case taken:
			k.is[i] = given
			continue
		case lacking, owed, given:
			s.give(id, n, uint8(r), peer, s.way()+s.resends(), 0)
		case sent: // the answer is on its way
		}
		k.is[i], waits = owed, true
	}
	if !waits {
		s.tellStored(id, n, peer)
	}
}

// tellStored has the policy hear that a server has all that was offered.
func (s *sim) tellStored(id uint32, n *node, peer uint32) {
	if !s.off.Has(storm.AskFirst) {
		s.at(0, event{kind: evStored, to: id, from: peer, gen: n.gen})
		return
	}
	i := s.answer()
	v := &s.servers[s.nodes[peer].server]
	s.answers[i] = storm.Answer[uint32]{Verdict: storm.Come, Uptime: s.now - v.since, Load: v.gate.Load(s.now)}
	s.at(0, event{kind: evAnswer, to: id, from: peer, gen: n.gen, aux: uint8(storm.Presence) | besideSearch, x: int64(i)})
}

// store finishes what an offer did. Where nobody is asked first there was none.
func (s *sim) store(id uint32, n *node, peer uint32) {
	if s.off.Has(storm.AskFirst) {
		s.at(0, event{kind: evStored, to: id, from: peer, gen: n.gen})
		return
	}
	s.offer(id, n, peer)
}

// offered is a record that reaches a server with a question.
func (s *sim) offered(e *event) {
	p := &s.nodes[e.to]
	if !p.is(up) || p.server < 0 || !s.servers[p.server].open {
		s.askAgain(e)
		return
	}
	v := &s.servers[p.server]
	i := s.answer()
	a := &s.answers[i]
	q := s.question(e.from, storm.Presence, 0)
	q.Gift = true
	answered := s.ask(v, &q, a)
	switch {
	case !answered:
		s.askAgain(e)
	case a.Verdict == storm.Come:
		s.enqueue(v, work{
			came: s.now, deadline: s.now + s.joinerCfg.Patience - s.model.RTT, cost: s.model.Put,
			client: e.from, gen: e.gen, kind: evGive, class: storm.Presence, aux: e.aux,
		})
	default:
		s.at(s.lateBy(p)+s.way()+s.resends(), event{kind: evGave, to: e.from, from: e.to, gen: e.gen, aux: e.aux, x: int64(i)})
		return
	}
	s.unused = append(s.unused, i)
}

// stored is a record that a server has checked and stored.
func (s *sim) stored(v *server, w *work) {
	n := &s.nodes[w.client]
	if w.aux&^(besideSearch|sentAgain) != gift(w.aux&recordMask, n) {
		return // it says something else by now
	}
	if s.now >= before {
		s.tally.stored = bump(s.tally.stored, s.second()/60)
	}
	n.records[w.aux&recordMask].keep(v.id)
	v.clients = append(v.clients, w.client)
	e := event{kind: evGave, to: w.client, from: v.id, gen: w.gen, aux: w.aux, x: came}
	s.at(s.lateBy(&s.nodes[v.id])+s.way()+s.resends(), e)
	s.look(w.client)
}

// gave is what a server has said of a record.
func (s *sim) gave(e *event) {
	n := &s.nodes[e.to]
	if n.gen == e.gen && n.is(up) && e.aux&^(besideSearch|sentAgain) == gift(e.aux&recordMask, n) {
		s.heardOf(e, n)
	}
	if e.x != came {
		s.unused = append(s.unused, int32(e.x))
	}
}

func (s *sim) heardOf(e *event, n *node) {
	k := &n.records[e.aux&recordMask]
	i := slices.Index(k.near[:], e.from)
	if i < 0 {
		return
	}
	asked := k.is[i] == owed
	switch {
	case e.x != came && (asked || k.is[i] == sent):
		k.is[i] = lacking
	case e.x == came && asked:
		k.is[i] = given
	case e.x == came && k.is[i] != given:
		k.is[i] = taken
	}
	switch {
	case !asked:
	case e.x == came:
		if !n.owes(e.from) {
			s.tellStored(e.to, n, e.from)
		}
	case s.off.Has(storm.AskFirst):
		s.step(e.to, &storm.Event[uint32]{Kind: storm.Answered, Peer: e.from, Answer: &s.answers[e.x]})
	default:
		s.step(e.to, &storm.Event[uint32]{Kind: storm.Unstored, Peer: e.from})
	}
}

// owes says that a server has yet to answer for a record that the policy offered it.
func (n *node) owes(peer uint32) bool {
	return n.holder(peer, func(c copied) bool { return c == owed })
}

// holder says that a server should hold one of a node's records, of which became
// something that is so.
func (n *node) holder(peer uint32, is func(copied) bool) bool {
	for r := range n.records {
		k := &n.records[r]
		if i := slices.Index(k.near[:], peer); i >= 0 && is(k.is[i]) {
			return true
		}
	}
	return false
}
