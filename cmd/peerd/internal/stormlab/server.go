package stormlab

import (
	"time"

	"github.com/peerd/peerd/node/storm"
)

// server is the part of a node that serves.
type server struct {
	id      uint32
	open    bool // it answers
	working bool
	current work
	gate    storm.Gate[uint32]
	line    storm.Line[work]
	fifo    []work // the baselines' queue
	head    int
	factor  float64
	clients []uint32

	linkAt time.Duration // datagrams that may still arrive, and when that was counted
	link   float64
	calls  time.Duration // up to when the load of calls is accounted for
	grown  time.Duration // not before this its clients hear of another new server

	second  int // of the figures below
	busy    time.Duration
	useful  time.Duration
	offered time.Duration
	crowded bool // the second before was, too
}

// work is a piece of work that waits for a server's processor.
type work struct {
	came     time.Duration
	deadline time.Duration // of who wants it
	cost     time.Duration
	client   uint32
	gen      uint16
	kind     kind
	class    storm.Class
	stranger bool // not one of the nodes
	fresh    bool // there was no connection before
	unasked  bool
}

// lineLimit bounds the work that waits.
const lineLimit = 64

// open has a node serve from now on.
func (s *sim) open(id uint32, n *node) {
	v := &s.servers[n.server]
	v.flush(s)
	clear(v.clients)
	cfg := &s.gates[0]
	if v.factor = 1; n.is(slow) {
		v.factor, cfg = s.model.SlowFactor, &s.gates[1]
	}
	*v = server{
		id: id, open: true, factor: v.factor, clients: v.clients[:0], line: storm.NewLine[work](lineLimit, s.off),
		link: s.model.Link / 100, linkAt: s.now, calls: s.now, second: s.second(),
	}
	s.recorder(id).Open(s.now, &v.gate, cfg)
	s.keys.set(id, true)
	if s.insideAt[n.server] < 0 {
		s.insideAt[n.server] = int32(len(s.inside))
		s.inside = append(s.inside, id)
	}
	if s.now >= before {
		s.grows(id, n)
	}
}

// down has a node die.
func (s *sim) down(id uint32) {
	n := &s.nodes[id]
	n.set(up, false)
	n.hears = 0
	n.gen++
	for i := range n.rel { // nobody knows it any more
		n.rel[i].server = nobody
	}
	if n.server < 0 || !s.servers[n.server].open {
		return
	}
	v := &s.servers[n.server]
	v.open, v.working = false, false
	s.keys.set(id, false)
	if i := s.insideAt[n.server]; i >= 0 {
		last := s.inside[len(s.inside)-1]
		s.inside[i] = last
		s.insideAt[s.nodes[last].server] = i
		s.inside = s.inside[:len(s.inside)-1]
		s.insideAt[n.server] = -1
	}
	for _, c := range v.clients {
		s.noticeLoss(c, id)
	}
	s.dropRelayed(id)
}

// nearby is how many of the servers closest to a new one it connects to.
const nearby = 4

// grows has the clients of the servers closest to a new one hear of it with their
// next pong of that server: neighbours are pinged in turn.
func (s *sim) grows(id uint32, n *node) {
	if s.policy != Ours || !s.off.Has(storm.Notice) {
		return
	}
	var room [nearby + 1]uint32
	for _, p := range s.keys.closest(n.records[0].key, nearby+1, room[:0]) {
		v := &s.servers[s.nodes[p].server]
		if p == id || s.now < v.grown {
			continue
		}
		v.grown = s.now + s.model.PingEvery
		for _, c := range v.clients {
			s.noticeGrowth(c, p)
		}
	}
}

// noticeGrowth has a client hear of it when it pings that neighbour next.
func (s *sim) noticeGrowth(client, id uint32) {
	n := &s.nodes[client]
	if !n.is(up) {
		return
	}
	known, place := 0, -1
	for _, r := range n.rel {
		if r.server == id {
			place = known
		}
		if r.server != nobody {
			known++
		}
	}
	if place < 0 {
		return
	}
	every, phase := s.model.PingEvery, n.from%s.model.PingEvery
	turn := int((s.now - phase) / every) // of the last ping
	at := time.Duration(turn+1+(place-(turn+1)%known+known)%known)*every + phase
	if n.hears == 0 || at < n.hears {
		n.hears = at
		s.at(at-s.now, event{kind: evGrown, to: client, gen: n.gen})
	}
}

// noticeLoss has a node notice after a while that a neighbour is gone.
func (s *sim) noticeLoss(client, id uint32) {
	n := &s.nodes[client]
	if !n.is(up) {
		return
	}
	for _, r := range n.rel {
		if r.server == id {
			d := s.model.Detect + s.within(s.model.PingEvery)
			s.at(d, event{kind: evLost, to: client, from: id, gen: n.gen})
			return
		}
	}
}

// arrives says that a datagram gets through the server's link, and brings the load
// of calls up to now.
func (v *server) arrives(s *sim) bool {
	v.link = min(v.link+(s.now-v.linkAt).Seconds()*s.model.Link, s.model.Link/100)
	v.linkAt = s.now
	if share := s.scenario.CallLoad; share > 0 {
		cost := share * s.model.Capacity * float64(min(s.now-v.calls, 100*time.Millisecond))
		v.spend(s, storm.InCall, time.Duration(cost/v.factor))
		v.calls = s.now
	}
	if v.link < 1 {
		return false
	}
	v.link--
	return true
}

// spend is work that was not asked for.
func (v *server) spend(s *sim, c storm.Class, cost time.Duration) {
	cost = time.Duration(v.factor * float64(cost))
	if s.policy == Ours {
		s.recorder(v.id).Spent(s.now, &v.gate, c, cost)
	}
	v.charge(s, cost, cost)
	if s.shared != nil {
		s.spend(v.id, cost, event{kind: evNothing})
	}
}

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
	n := &s.nodes[e.from]
	v := &s.servers[p.server]
	beside := e.aux&besideSearch != 0 // question and answer went with the search
	q := storm.Question[uint32]{
		From: e.from, Class: storm.Class(e.aux &^ (besideSearch | sentAgain)), Prefix: s.prefix(e.from), Slot: time.Duration(e.x),
		Serves: n.is(able), Ticket: !s.scenario.Cold && !n.is(fresh) && !n.is(hostile),
	}
	i := s.answer()
	if !s.ask(v, &q, &s.answers[i]) || !beside && s.isLost() {
		s.unused = append(s.unused, i)
		s.askAgain(e)
		return
	}
	var extra time.Duration
	if p.is(late) && s.answersLate() {
		extra = time.Duration(s.rng.Float64() * float64(s.scenario.LateBy))
	}
	if !beside {
		extra += s.way()
	}
	s.at(extra, event{kind: evAnswer, to: e.from, from: e.to, gen: e.gen, x: int64(i)})
}

// direct is the answer of a node that does not serve, and can be reached: it names the
// servers that it is connected to.
func (s *sim) direct(e *event, p *node) (answer int32, ok bool) {
	if s.policy != Ours || !p.is(up) || p.server < 0 || storm.Class(e.aux&^sentAgain) != storm.LogIn || s.isLost() {
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

// answered is an answer that reaches a node.
func (s *sim) answered(e *event) {
	n := &s.nodes[e.to]
	if n.gen == e.gen && n.is(up) {
		a := &s.answers[e.x]
		if n.is(able) {
			s.recorder(e.to).Saw(s.now, &n.role, a.Verdict == storm.Wait || a.Delay > 0 || a.Load > 0.7)
		}
		s.step(e.to, &storm.Event[uint32]{Kind: storm.Answered, Peer: e.from, Answer: a})
	}
	s.unused = append(s.unused, int32(e.x))
}

// work is a handshake or a record that reaches a server.
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
		w.cost, w.class, w.unasked = s.model.Put, storm.Presence, e.aux&besideSearch != 0
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

func (s *sim) connected(n *node, peer uint32) bool {
	for _, r := range n.rel {
		if r.server == peer && s.lets(r) {
			return true
		}
	}
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
	switch {
	case s.policy != Ours:
	case w.unasked:
		s.recorder(v.id).Spent(s.now, &v.gate, w.class, w.cost)
	default:
		s.recorder(v.id).Finished(s.now, &v.gate, w.class, w.cost)
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
	e := event{to: w.client, from: v.id, gen: w.gen, x: int64(s.nodes[v.id].gen), kind: evStored}
	trips := 0
	switch {
	case w.kind == evDial:
		e.kind, trips = evConnected, s.model.DialTrips-1
	case w.fresh:
		trips, e.aux = s.model.StoreTrips-1, anew
	}
	v.clients = append(v.clients, w.client)
	s.at(s.way()+s.trips(trips), e)
}

// second counts from the storm on, and before it downwards from 0.
func (s *sim) second() int { return int(s.now/time.Second) - int(before/time.Second) }

// charge counts processor time.
func (v *server) charge(s *sim, busy, useful time.Duration) {
	if sec := s.second(); sec != v.second {
		v.flush(s)
		v.second = sec
	}
	v.busy += busy
	v.useful += useful
}

// offer counts work that somebody wants done.
func (v *server) offer(s *sim, cost time.Duration) {
	v.charge(s, 0, 0)
	v.offered += cost
}

// flush ends a second of a server's figures.
func (v *server) flush(s *sim) {
	capacity := time.Duration(s.model.Capacity * float64(time.Second))
	crowded := v.offered > 2*capacity
	if v.second >= 0 && (v.busy > 0 || v.offered > 0) {
		s.tally.second(v.second, float64(v.busy)/float64(capacity), int(v.id) < s.model.Bootstrap)
		if crowded && v.crowded {
			s.tally.usefulWork += v.useful
			s.tally.usefulMost += capacity
		}
	}
	v.crowded = crowded
	v.busy, v.useful, v.offered = 0, 0, 0
}
