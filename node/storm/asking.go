package storm

import "time"

// seek has the next questions of the race go out, or ends the round.
func (j *Joiner[P]) seek(now Moment, unit func() float64, out []Action[P]) []Action[P] {
	if j.rest != 0 {
		if now < j.rest {
			return out
		}
		j.beginRound()
	}
	if now < j.launch || j.comes() {
		return out
	}
	asked := 0
	for n := j.width(); asked < n && int(j.refuse) < maxRefusals; asked++ {
		p, ok := j.candidate()
		if !ok || !j.ask(now, p, &out) {
			break
		}
	}
	switch {
	case asked > 0:
		j.launch = now + j.pace()
	case j.has(asking, toLogIn):
		j.launch = 0 // the next answer, or its lack, tells how to go on
	default:
		j.endRound(now, unit)
	}
	return out
}

// width is how many questions go out at a time.
func (j *Joiner[P]) width() int {
	alone := j.silent < firstAlone && j.outstanding() < firstAlone
	switch {
	case !j.cfg.Off.Has(Races) || j.keptN > 0:
		return 1
	case j.been: // whoever calls the node now is told that it is gone
		return urgentWidth
	case alone:
		return 1
	}
	return raceWidth
}

// pace is how long after a question the next one goes out. The first ones wait for the
// answer to a question that was sent again, as most who are asked are yet to start.
func (j *Joiner[P]) pace() time.Duration {
	switch {
	case !j.cfg.Off.Has(Races):
		return j.cfg.Patience
	case j.round == 0 && j.metN <= patient && !j.been:
		return j.cfg.First
	}
	return j.cfg.Stagger
}

func (j *Joiner[P]) outstanding() int {
	n := 0
	for i := range j.tries {
		if j.tries[i].step == asking && j.tries[i].aim == toLogIn {
			n++
		}
	}
	return n
}

func (j *Joiner[P]) has(s step, a aim) bool {
	for i := range j.tries {
		if j.tries[i].step == s && j.tries[i].aim == a {
			return true
		}
	}
	return false
}

// comes says that a server has let the node come in.
func (j *Joiner[P]) comes() bool { return j.has(doing, toLogIn) || j.has(booked, toLogIn) }

// candidate is whom to ask next: who was heard of last, then the book.
func (j *Joiner[P]) candidate() (p P, ok bool) {
	for j.heardN > 0 {
		j.heardN--
		if p = j.heard[j.heardN]; !j.knows(p) {
			return p, true
		}
	}
	for {
		p, ok = j.page(j.next)
		if !ok {
			return p, false
		}
		j.next++
		if !j.knows(p) {
			return p, true
		}
	}
}

// page is the i-th peer of the book.
func (j *Joiner[P]) page(i int) (p P, ok bool) {
	cached := j.book.Cached
	if !j.cfg.Off.Has(CacheFirst) {
		cached = nil
	}
	early, lately := min(cachedFirst, len(cached)), j.answering()
	order := [5][]P{cached[:early], j.book.Near, cached[early:], lately, j.book.Bootstrap}
	if !j.cfg.Off.Has(BootstrapLast) {
		order = [5][]P{j.book.Bootstrap, cached, j.book.Near, lately}
	}
	for _, list := range order {
		if i < len(list) {
			return list[i], true
		}
		i -= len(list)
	}
	return p, false
}

// knows says that p was asked in this round or is a neighbour already.
func (j *Joiner[P]) knows(p P) bool {
	for i := range min(int(j.metN), maxMet) {
		if j.met[i] == p {
			return true
		}
	}
	for _, k := range j.kept[:j.keptN] {
		if k == p {
			return true
		}
	}
	for i := range j.tries {
		if j.tries[i].step != free && j.tries[i].aim == toLogIn && j.tries[i].peer == p {
			return true
		}
	}
	return false
}

// ask asks p to be let in. It fails where too much goes on already.
func (j *Joiner[P]) ask(now Moment, p P, out *[]Action[P]) bool {
	t := j.room()
	if t == nil {
		return false
	}
	*t = try[P]{peer: p, aim: toLogIn}
	j.met[int(j.metN)%maxMet] = p
	if j.metN++; j.metN == 2*maxMet {
		j.metN = maxMet
	}
	*out = append(*out, j.begin(now, t))
	return true
}

// room is a free try; a log-in that waits for a late slot makes room, or where it is
// urgent the question that has been without an answer for longest.
func (j *Joiner[P]) room() *try[P] {
	var latest, first *try[P]
	for i := range j.tries {
		t := &j.tries[i]
		if t.step == free {
			return t
		}
		if t.step == waiting && t.aim == toLogIn && (latest == nil || t.due > latest.due) {
			latest = t
		}
		if t.step == asking && t.aim == toLogIn && (first == nil || t.due < first.due) {
			first = t
		}
	}
	if latest == nil && j.been && j.keptN == 0 && first != nil {
		j.silent++
		return first
	}
	return latest
}

// beginRound begins to ask anew.
func (j *Joiner[P]) beginRound() {
	j.rest, j.silent, j.refuse, j.metN, j.next, j.launch = 0, 0, 0, 0, 0, 0
	j.round++
}

// endRound has the node wait: for the earliest slot it was promised, or, where
// there is none, for a time that grows with each round in vain.
func (j *Joiner[P]) endRound(now Moment, unit func() float64) {
	slot := j.earliestSlot()
	if slot != 0 {
		j.rest = slot + j.cfg.Stagger // the slot first, the others after it
		return
	}
	wait := time.Second
	if j.cfg.Off.Has(Backoff) {
		j.retry, wait = j.retry.Fail(calendar(now), unit())
	}
	if most := j.silence(); j.refuse == 0 && wait > most { // nobody is there: asking whether costs a datagram
		wait = most - time.Duration(unit()*float64(most)/4)
	}
	j.rest = max(now+wait, now+1)
}

// silence is the longest wait where nothing was heard.
func (j *Joiner[P]) silence() time.Duration {
	return min(silenceCap+time.Duration(j.round)*silenceMore, j.cfg.Retry.Cap)
}

func (j *Joiner[P]) earliestSlot() Moment {
	var first Moment
	for i := range j.tries {
		t := &j.tries[i]
		if t.step == waiting && t.aim == toLogIn && (first == 0 || t.due < first) {
			first = t.due
		}
	}
	return first
}

// calendar is now as Retry counts time.
func calendar(now Moment) time.Time { return time.Unix(0, int64(now)).UTC() }

// answered takes an answer, early or late. What it says is used as long as it is
// of use; an answer nobody waits for any more is as good as any other.
func (j *Joiner[P]) answered(now Moment, ev *Event[P], out []Action[P]) []Action[P] {
	a := ev.Answer
	j.storm = a.Uptime < stormUptime
	for i := range a.N {
		j.hear(a.Referrals[i])
	}
	j.note(ev.Peer)
	if t := j.find(ev.Peer, toStore, asking, waiting); t != nil {
		return j.told(now, t, a, out)
	}
	t := j.find(ev.Peer, toLogIn, asking)
	if t == nil && a.Verdict == Come && j.keptN == 0 {
		t = j.room() // late, and still welcome
		if t != nil {
			*t = try[P]{peer: ev.Peer, aim: toLogIn, step: asking}
		}
	}
	if t == nil {
		return out
	}
	if a.Verdict == Come && (j.comes() || int(j.keptN) >= j.cfg.Want) {
		t.step = free // another was quicker; this one is worth remembering
		j.hear(ev.Peer)
		return out
	}
	return j.told(now, t, a, out)
}

func (j *Joiner[P]) told(now Moment, t *try[P], a *Answer[P], out []Action[P]) []Action[P] {
	switch {
	case a.Verdict == Come && a.Delay > 0:
		t.step, t.due = booked, now+a.Delay
	case a.Verdict == Come:
		return append(out, j.do(now, t))
	case t.aim == toLogIn && j.keptN > 0:
		t.step = free // one neighbour more can wait
		j.refuse++
	case a.Delay > 0:
		t.step, t.due, t.slot = waiting, now+a.Delay, a.Slot
		if t.aim == toLogIn {
			j.refuse++
			j.launch = now
		}
	default:
		t.step = free
		if t.aim == toLogIn {
			j.refuse++
			j.launch = now
		} else {
			t.step, t.due = waiting, now+time.Second
		}
	}
	return out
}

// answering are those kept by note.
func (j *Joiner[P]) answering() []P { return j.lately[:min(int(j.lateN), maxLately)] }

// note keeps who answered, for the next round.
func (j *Joiner[P]) note(p P) {
	if !contains(j.answering(), p) && !contains(j.book.Bootstrap, p) {
		j.lately[int(j.lateN)%maxLately] = p
		if j.lateN++; j.lateN == 2*maxLately {
			j.lateN = maxLately
		}
	}
}

func (j *Joiner[P]) hear(p P) {
	if j.knows(p) {
		return
	}
	for i := range j.heardN {
		if j.heard[i] == p {
			return
		}
	}
	if j.heardN == maxHeard {
		copy(j.heard[:], j.heard[1:])
		j.heardN--
	}
	j.heard[j.heardN] = p
	j.heardN++
}

func (j *Joiner[P]) drop(p P, a aim) {
	if t := j.find(p, a, asking, waiting, booked, doing); t != nil {
		t.step = free
	}
}

// connected: Peer let the node in.
func (j *Joiner[P]) connected(now Moment, p P, unit func() float64) {
	j.drop(p, toLogIn)
	first := j.keptN == 0
	j.keep(p)
	if !first {
		return // a record that names another relay now is told of by Changed
	}
	j.been = true
	j.retry = j.retry.Up(calendar(now))
	j.rest, j.refuse, j.silent, j.round = 0, 0, 0, 0
	for i := range j.tries { // nobody need be asked any more
		if t := &j.tries[i]; t.aim == toLogIn && t.step != done {
			t.step = free
		}
	}
	j.launch = now + j.leisure(unit)
	j.publish, j.again, j.want = now, againAfter, true
	// The first period is a part of a whole one, so that the nodes of a storm do not
	// all publish again together.
	j.period = now + j.cfg.Republish
	if j.cfg.Off.Has(SpreadPeriods) {
		j.period = now + Phase(j.cfg.Republish, unit(), unit())
	}
}

// leisure is how long what nobody waits for is put off: longer in a storm.
func (j *Joiner[P]) leisure(unit func() float64) time.Duration {
	if j.storm {
		return 5*time.Second + time.Duration(unit()*float64(25*time.Second))
	}
	return time.Duration(unit() * float64(time.Second))
}

func (j *Joiner[P]) keep(p P) {
	for _, k := range j.kept[:j.keptN] {
		if k == p {
			return
		}
	}
	if int(j.keptN) < maxKept {
		j.kept[j.keptN] = p
		j.keptN++
	}
}

// lost: a server is gone, and with it what record of ours it had. The last neighbour is
// urgent.
func (j *Joiner[P]) lost(now Moment, p P, unit func() float64) {
	news := j.unstored(p)
	for i, k := range j.kept[:j.keptN] {
		if k != p {
			continue
		}
		j.keptN--
		j.kept[i] = j.kept[j.keptN]
		j.retry = j.retry.Up(calendar(now)) // service lasted until now
		j.beginRound()
		j.launch, j.again = now, againAfter
		if j.keptN > 0 {
			j.launch += time.Duration(unit() * float64(j.cfg.Stagger))
		}
		news = true
		break
	}
	if news && j.keptN > 0 {
		j.heldNoMore(now, unit)
	}
}
