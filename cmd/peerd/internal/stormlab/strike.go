package stormlab

import "time"

// strike has happen what the scenario says.
func (s *sim) strike() {
	sc := &s.scenario
	stays := make([]bool, len(s.nodes))
	for i := range s.nodes {
		n := &s.nodes[i]
		stays[i] = !sc.Cold && !n.is(fresh|hostile) && (sc.Stay == 1 || !n.is(able) && s.chance(sc.Stay))
		if stays[i] {
			n.set(stayed, true)
			s.settleJoiner(uint32(i), n)
		}
	}
	s.now = before
	for i := range s.nodes {
		s.nodes[i].set(up, stays[i])
	}
	s.portion(sc.Late, delayed, func(n *node) bool { return n.is(able) })
	for i := range s.nodes {
		n, id := &s.nodes[i], uint32(i)
		switch {
		case n.is(fresh):
			s.begin(id, s.within(sc.NewIn))
		case !stays[i]:
			s.restart(id, n)
		}
	}
	s.startCalls()
	s.kill()
	s.roll()
	s.at(0, event{kind: evSample})
}

func (s *sim) within(d time.Duration) time.Duration {
	return time.Duration(s.rng.Float64() * float64(d))
}

// restart has a node die now and start again.
func (s *sim) restart(id uint32, n *node) {
	sc := &s.scenario
	s.down(id)
	after := s.within(s.model.StartIn)
	if n.is(delayed) || sc.Late > 0 && int(id) < s.model.Bootstrap {
		after = sc.LateMin + s.within(sc.LateMax-sc.LateMin)
	}
	n.set(moved, n.is(elsewhere))
	s.begin(id, after)
}

// begin has a node start after a while, and its time count.
func (s *sim) begin(id uint32, after time.Duration) {
	n := &s.nodes[id]
	s.at(after, event{kind: evStart, to: id, gen: n.gen})
	if int(id) >= s.model.Bootstrap && !n.is(hostile) && (s.scenario.Office == 0 || n.is(office)) {
		s.count(id, n)
	}
}

// count has a node's time count, from its next start on.
func (s *sim) count(id uint32, n *node) {
	n.set(counted, true)
	s.waiting = append(s.waiting, id)
	s.tally.missing++
	s.tally.nodes++
}

// kill has servers die for good, and others load the rest.
func (s *sim) kill() {
	sc := &s.scenario
	if sc.Kill == 0 {
		return
	}
	for i := range s.nodes {
		n, id := &s.nodes[i], uint32(i)
		if !n.is(serves) || i < s.model.Bootstrap {
			continue
		}
		if s.chance(sc.Kill) {
			s.down(id)
			n.set(stayed, false)
			continue
		}
		n.set(late, s.chance(sc.LateAnswers))
		s.queue.push(event{at: before - calmBefore + s.within(loadEvery), kind: evLoad, to: id, gen: n.gen})
	}
	s.deadNow = sc.Kill
	for i := range s.nodes {
		n, id := &s.nodes[i], uint32(i)
		if !n.is(up) {
			continue
		}
		if n.is(able) && !n.is(serves) {
			s.at(s.within(time.Second), event{kind: evRole, to: id, gen: n.gen})
		}
		if !s.isBack(n) {
			n.from = s.now
			s.count(id, n)
		}
	}
}

// roll has the nodes restart one after the other, or one alone.
func (s *sim) roll() {
	sc := &s.scenario
	if sc.Lone {
		id := uint32(s.model.Bootstrap + s.rng.IntN(len(s.nodes)-s.model.Bootstrap))
		s.at(0, event{kind: evDown, to: id})
		return
	}
	if sc.RollFor == 0 {
		return
	}
	for i := s.model.Bootstrap; i < len(s.nodes); i++ {
		s.at(s.within(sc.RollFor), event{kind: evDown, to: uint32(i)})
	}
}

// rolled has a node die and start again a little later.
func (s *sim) rolled(id uint32) {
	n := &s.nodes[id]
	if s.scenario.Calls > 0 && n.is(talks) {
		return
	}
	s.down(id)
	n.set(stayed, false)
	n.set(moved, s.chance(s.model.Moved))
	s.begin(id, max(s.scenario.RollEvery, time.Second))
}
