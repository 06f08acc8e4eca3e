package storm

import "time"

// JoinerConfig holds the constants of the client side. Many joiners may share one.
type JoinerConfig struct {
	// Want is how many live servers a node wants to be connected to; one lets it in.
	Want int
	// Copies is how many servers should acknowledge the record.
	Copies int
	// Stagger is the time between the questions of a race.
	Stagger time.Duration
	// Patience is how long an answer is waited for, Handshake a connection, Store an
	// acknowledgement.
	Patience, Handshake, Store time.Duration
	// Republish is the time between two publications of the record.
	Republish time.Duration
	Retry     Policy
	Off       Options
}

// DefaultJoinerConfig is what a node uses.
func DefaultJoinerConfig() JoinerConfig {
	return JoinerConfig{
		Want: 3, Copies: 3,
		Stagger: 250 * time.Millisecond, Patience: time.Second, Handshake: 3 * time.Second, Store: 3 * time.Second,
		Republish: 40 * time.Minute,
		Retry:     DefaultPolicy(),
	}
}

// Book holds the peers a node knows when it starts, each list in the order in which
// it would ask them. The joiner reads the slices and never changes them.
type Book[P comparable] struct {
	Cached    []P // servers remembered
	Near      []P // contacts, hosts of the local network
	Bootstrap []P
	Window    time.Duration // restart window remembered; 0 is unknown
}

// EventKind says what happened to a joiner.
type EventKind uint8

// The events.
const (
	Started   EventKind = iota // the node begins, or begins anew
	Answered                   // Peer answered: Answer
	Connected                  // the log-in at Peer is done: it is a neighbour
	Refused                    // the log-in at Peer failed
	Lost                       // the neighbour Peer is gone
	Found                      // Peers are the servers closest to the own record's key, the closest first
	Stored                     // Peer holds the record
	Unstored                   // Peer did not take the record, or lacks a part of it
	Met                        // Peer was heard of and is worth asking
	Changed                    // the own record is new: who has the old one shall have it, too
	Tick                       // the moment asked for by WaitUntil has come
)

// Event is one input of a joiner.
type Event[P comparable] struct {
	Kind   EventKind
	Peer   P
	Answer *Answer[P]
	Peers  []P
}

// ActionKind says what the driver is to do.
type ActionKind uint8

// The actions.
const (
	Ask       ActionKind = iota // send a question of Class to Peer; Slot goes with it
	Dial                        // connect to Peer and log in there: Connected or Refused follows
	Find                        // look for the servers closest to the record's key: Found follows
	Store                       // give Peer the record: Stored or Unstored follows
	WaitUntil                   // have Tick come at At; replaces what was asked for before
)

// Action is one output of a joiner.
type Action[P comparable] struct {
	Kind  ActionKind
	Class Class
	Peer  P
	Slot  Moment // of an Ask: what Peer promised before, 0 is nothing
	At    Moment // of a WaitUntil
}

// aim is what a try is for.
type aim uint8

const (
	toLogIn aim = iota
	toStore
)

// step is how far a try has come.
type step uint8

const (
	free    step = iota
	asking       // the question is out, until due
	waiting      // was told to wait until due
	doing        // dialling or storing, until due
	done         // stored there
)

// try is one peer that is asked, or about to be.
type try[P comparable] struct {
	peer P
	due  Moment
	slot Moment // to present when asking again
	step step
	aim  aim
}

const (
	// maxTries bounds what goes on at once.
	maxTries = 16
	// maxHeard referrals are kept, the newest are asked first.
	maxHeard = 12
	// maxMet is how many of those asked lately are remembered, not to be asked again
	// in the same round.
	maxMet = 24
	// firstAlone questions go out one by one, those after them in threes.
	firstAlone = 6
	raceWidth  = 3
	// cachedFirst of the servers remembered are asked before contacts and the local
	// network, the rest after them.
	cachedFirst = 12
	// maxRefusals in one round end it: the node waits for the earliest slot.
	maxRefusals = 4
	// stormUptime: servers that are up for less have been part of what happened.
	stormUptime = time.Minute
	// againAfter is when the closest servers are looked for again after the first
	// publication; each time after that twice as late.
	againAfter = time.Second
	againMost  = time.Minute
	maxKept    = 4 // neighbours
)

// Joiner is the client side: it decides whom a node asks, when, and when it tries
// again. It is the only layer that retries. Each Step takes one event and returns
// what to do; between two steps there is at most one timer. It is not safe for use
// by several goroutines at once.
type Joiner[P comparable] struct {
	cfg  *JoinerConfig
	book Book[P]
	next int // into the book

	retry  Retry
	round  uint16 // rounds begun
	silent uint8  // questions of this round without an answer
	refuse uint8  // refusals of this round
	storm  bool   // the servers heard of restarted, too
	heardN uint8
	metN   uint8
	keptN  uint8
	heard  [maxHeard]P
	met    [maxMet]P
	kept   [maxKept]P
	tries  [maxTries]try[P]

	launch  Moment // not before this the next question goes out
	rest    Moment // not before this the next round begins; 0 is in a round
	publish Moment // when to look for the closest servers again; 0 is not yet
	again   time.Duration
	period  Moment // when the record is to be published anew
	been    bool   // was in before
	want    bool   // to publish to whoever is found, even those who have it
	stored  uint8
	target  uint8
	timer   Moment // the tick asked for; 0 is none
}

// Start makes j the joiner of a node with this book. Step it with Started.
func (j *Joiner[P]) Start(cfg *JoinerConfig, book Book[P]) {
	*j = Joiner[P]{cfg: cfg, book: book, retry: Retry{Policy: cfg.Retry}}
}

// Neighbours lists the servers that the node is logged in at; valid until the next Step.
func (j *Joiner[P]) Neighbours() []P { return j.kept[:j.keptN] }

// Copies is how many servers hold the record as it is, and how many should.
func (j *Joiner[P]) Copies() (stored, wanted int) { return int(j.stored), int(j.target) }

// Online says that the node is logged in: it has a neighbour, and its record is
// where it should be.
func (j *Joiner[P]) Online() bool { return j.keptN > 0 && j.target > 0 && j.stored >= j.target }

// Storm says that the servers heard of had restarted, too.
func (j *Joiner[P]) Storm() bool { return j.storm }

// Resting says that a round has ended and the next one has not begun.
func (j *Joiner[P]) Resting() bool { return j.rest != 0 }

// Step takes one event at now and appends what is to be done to out. unit returns
// uniform random numbers in [0, 1).
func (j *Joiner[P]) Step(now Moment, ev *Event[P], unit func() float64, out []Action[P]) []Action[P] {
	switch ev.Kind {
	case Started:
		j.launch = now
	case Answered:
		out = j.answered(now, ev, out)
	case Connected:
		j.connected(now, ev.Peer, unit)
	case Refused:
		j.drop(ev.Peer, toLogIn)
		j.launch = min(j.launch, now)
	case Lost:
		j.lost(now, ev.Peer, unit)
	case Found:
		j.found(now, ev.Peers, unit)
	case Stored:
		j.storedAt(ev.Peer)
	case Unstored:
		j.unstored(ev.Peer)
		j.againSoon(now, unit)
	case Met:
		j.hear(ev.Peer)
	case Changed:
		j.want, j.publish, j.again = true, now, againAfter
	case Tick:
		if j.timer != 0 && now >= j.timer {
			j.timer = 0
		}
	}
	return j.goOn(now, unit, out)
}

// goOn does whatever is due and asks for one tick for the rest.
func (j *Joiner[P]) goOn(now Moment, unit func() float64, out []Action[P]) []Action[P] {
	out = j.expire(now, unit, out)
	if j.keptN == 0 || (int(j.keptN) < j.cfg.Want && j.settled(now)) {
		out = j.seek(now, unit, out)
	}
	out = j.tend(now, unit, out)
	at := j.nextMoment(now)
	if at != j.timer && at != 0 {
		j.timer = at
		out = append(out, Action[P]{Kind: WaitUntil, At: max(at, now)})
	}
	return out
}

// settled says that the record is where it should be, or that there is none to
// store: more neighbours come after it.
func (j *Joiner[P]) settled(now Moment) bool {
	return (j.publish == 0 || now < j.publish) && j.stored >= j.target
}

// expire ends what has waited too long, and asks again where a slot has come due.
func (j *Joiner[P]) expire(now Moment, unit func() float64, out []Action[P]) []Action[P] {
	for i := range j.tries {
		t := &j.tries[i]
		if t.step == free || t.step == done || now < t.due {
			continue
		}
		switch {
		case t.step == waiting && (t.aim == toStore || j.keptN == 0):
			out = append(out, j.begin(now, t))
		case t.aim == toStore:
			t.step = free
			j.againSoon(now, unit)
		default:
			if t.step == asking {
				j.silent++
			}
			t.step = free
			j.launch = min(j.launch, now)
		}
	}
	return out
}

// begin asks, or does the work at once where nobody is asked first.
func (j *Joiner[P]) begin(now Moment, t *try[P]) Action[P] {
	if !j.cfg.Off.Has(AskFirst) {
		return j.do(now, t)
	}
	t.step, t.due = asking, now+j.cfg.Patience
	return Action[P]{Kind: Ask, Class: j.class(t.aim), Peer: t.peer, Slot: t.slot}
}

// class is what a question is asked as.
func (j *Joiner[P]) class(a aim) Class {
	switch {
	case a == toStore, j.keptN == 0 && j.been: // a neighbour lost is not a new log-in
		return Presence
	case j.keptN > 0:
		return Refresh
	default:
		return LogIn
	}
}

// seek has the next questions of the race go out, or ends the round.
func (j *Joiner[P]) seek(now Moment, unit func() float64, out []Action[P]) []Action[P] {
	if j.rest != 0 {
		if now < j.rest {
			return out
		}
		j.beginRound()
	}
	if now < j.launch || j.has(doing, toLogIn) {
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
	alone := j.silent < firstAlone && j.outstanding() < firstAlone && !j.been
	if !j.cfg.Off.Has(Races) || alone || j.keptN > 0 {
		return 1
	}
	return raceWidth
}

func (j *Joiner[P]) pace() time.Duration {
	if !j.cfg.Off.Has(Races) {
		return j.cfg.Patience
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
	early := min(cachedFirst, len(cached))
	order := [4][]P{cached[:early], j.book.Near, cached[early:], j.book.Bootstrap}
	if !j.cfg.Off.Has(BootstrapLast) {
		order = [4][]P{j.book.Bootstrap, cached, j.book.Near}
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

// do begins the work itself.
func (j *Joiner[P]) do(now Moment, t *try[P]) Action[P] {
	t.step, t.due = doing, now+j.cfg.Handshake
	act := Action[P]{Kind: Dial, Class: j.class(t.aim), Peer: t.peer}
	if t.aim == toStore {
		act.Kind, t.due = Store, now+j.cfg.Store
	}
	return act
}

// room is a free try; a log-in that waits for a late slot makes room.
func (j *Joiner[P]) room() *try[P] {
	var latest *try[P]
	for i := range j.tries {
		t := &j.tries[i]
		if t.step == free {
			return t
		}
		if t.step == waiting && t.aim == toLogIn && (latest == nil || t.due > latest.due) {
			latest = t
		}
	}
	return latest
}

// beginRound begins to ask anew.
func (j *Joiner[P]) beginRound() {
	j.rest, j.silent, j.refuse, j.metN, j.next, j.launch = 0, 0, 0, 0, 0, 0
	j.round++
}

// endRound has the node wait: for the earliest slot it was promised, or, where
// nobody answered, for a random part of the restart window, longer each time.
func (j *Joiner[P]) endRound(now Moment, unit func() float64) {
	slot := j.earliestSlot()
	if slot != 0 {
		j.rest = slot + j.cfg.Stagger // the slot first, the others after it
		return
	}
	var wait time.Duration
	first := j.round == 0 && j.refuse == 0 && j.book.Window > 0 && j.cfg.Off.Has(Window)
	switch {
	case first:
		wait = time.Duration(unit() * float64(j.book.Window))
	case j.cfg.Off.Has(Backoff):
		j.retry, wait = j.retry.Fail(calendar(now), unit())
	default:
		wait = time.Second
	}
	j.rest = max(now+wait, now+1)
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

func (j *Joiner[P]) find(p P, a aim, steps ...step) *try[P] {
	for i := range j.tries {
		t := &j.tries[i]
		if t.peer != p || t.aim != a {
			continue
		}
		for _, s := range steps {
			if t.step == s {
				return t
			}
		}
	}
	return nil
}

// answered takes an answer, early or late. What it says is used as long as it is
// of use; an answer nobody waits for any more is as good as any other.
func (j *Joiner[P]) answered(now Moment, ev *Event[P], out []Action[P]) []Action[P] {
	a := ev.Answer
	j.storm = a.Uptime < stormUptime
	for i := range a.N {
		j.hear(a.Referrals[i])
	}
	if a.Window > 0 {
		j.book.Window = a.Window
	}
	if t := j.find(ev.Peer, toStore, asking); t != nil {
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
	if a.Verdict == Come && (j.has(doing, toLogIn) || int(j.keptN) >= j.cfg.Want) {
		t.step = free // another was quicker; this one is worth remembering
		j.hear(ev.Peer)
		return out
	}
	return j.told(now, t, a, out)
}

func (j *Joiner[P]) told(now Moment, t *try[P], a *Answer[P], out []Action[P]) []Action[P] {
	switch {
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
	if t := j.find(p, a, asking, waiting, doing); t != nil {
		t.step = free
	}
}

// unstored: p has not got the record, whatever was believed.
func (j *Joiner[P]) unstored(p P) {
	if t := j.find(p, toStore, done); t != nil {
		t.step = free
		j.stored--
	}
	j.drop(p, toStore)
}

// connected: Peer let the node in.
func (j *Joiner[P]) connected(now Moment, p P, unit func() float64) {
	j.drop(p, toLogIn)
	first := j.keptN == 0
	j.keep(p)
	if !first {
		j.want, j.publish = true, now // the record names the neighbours
		return
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

// lost: a neighbour is gone. The last one is urgent.
func (j *Joiner[P]) lost(now Moment, p P, unit func() float64) {
	for i, k := range j.kept[:j.keptN] {
		if k != p {
			continue
		}
		j.keptN--
		j.kept[i] = j.kept[j.keptN]
		j.retry = j.retry.Up(calendar(now)) // service lasted until now
		j.beginRound()
		j.launch = now
		j.again = againAfter
		if j.keptN > 0 {
			j.launch = now + time.Duration(unit()*float64(j.cfg.Stagger))
			j.againSoon(now, unit)
		}
	}
	j.unstored(p) // who is gone has our record no more
}

// found: the closest servers are known. Those that do not have the record get it.
func (j *Joiner[P]) found(now Moment, peers []P, unit func() float64) {
	peers = peers[:min(len(peers), j.cfg.Copies)]
	j.target = uint8(len(peers))
	if len(peers) == 0 {
		j.againSoon(now, unit)
		return
	}
	for i := range j.tries {
		if t := &j.tries[i]; t.aim == toStore && (t.step == done && j.want || !contains(peers, t.peer)) {
			t.step = free
		}
	}
	j.want, j.stored = false, 0
	for _, p := range peers {
		if j.find(p, toStore, done) != nil {
			j.stored++
			continue
		}
		if j.find(p, toStore, asking, waiting, doing) != nil {
			continue
		}
		if t := j.room(); t != nil {
			*t = try[P]{peer: p, aim: toStore, step: waiting, due: now}
		}
	}
	j.publish = now + j.again
	if j.cfg.Off.Has(SpreadPeriods) {
		j.publish = now + Spread(j.again, unit())
	}
	j.again = min(2*j.again, againMost)
}

func contains[P comparable](list []P, p P) bool {
	for _, q := range list {
		if q == p {
			return true
		}
	}
	return false
}

func (j *Joiner[P]) storedAt(p P) {
	t := j.find(p, toStore, doing, asking, waiting)
	if t == nil {
		return
	}
	t.step = done
	j.stored++
	j.keep(p)
}

// againSoon has the closest servers be looked for again after a retry's wait, or
// at leisure where the record can be found meanwhile.
func (j *Joiner[P]) againSoon(now Moment, unit func() float64) {
	if j.publish != 0 && j.publish <= now+j.cfg.Retry.Base {
		return
	}
	var wait time.Duration
	j.retry, wait = j.retry.Fail(calendar(now), unit())
	if j.stored > 0 {
		wait += j.leisure(unit)
	}
	if at := now + wait; j.publish == 0 || at < j.publish {
		j.publish = at
	}
}

// tend looks after the record.
func (j *Joiner[P]) tend(now Moment, unit func() float64, out []Action[P]) []Action[P] {
	if j.keptN == 0 {
		return out
	}
	if j.period != 0 && now >= j.period {
		j.want, j.publish, j.period = true, now, now+j.cfg.Republish
		if j.cfg.Off.Has(SpreadPeriods) {
			j.period = now + Spread(j.cfg.Republish, unit())
		}
	}
	if j.publish != 0 && now >= j.publish {
		j.publish = now + 4*j.cfg.Patience // a search that ends in nothing is begun again
		out = append(out, Action[P]{Kind: Find})
	}
	return out
}

// nextMoment is when something is due; 0 is never.
func (j *Joiner[P]) nextMoment(now Moment) Moment {
	var at Moment
	sooner := func(m Moment) {
		if m != 0 && (at == 0 || m < at) {
			at = m
		}
	}
	for i := range j.tries {
		if t := &j.tries[i]; t.step == asking || t.step == doing || (t.step == waiting && (t.aim == toStore || j.keptN == 0)) {
			sooner(t.due)
		}
	}
	switch {
	case j.keptN > 0 && (int(j.keptN) >= j.cfg.Want || !j.settled(now)):
	case j.rest != 0:
		sooner(j.rest)
	case !j.has(doing, toLogIn):
		sooner(j.launch)
	}
	if j.keptN > 0 {
		sooner(j.publish)
		sooner(j.period)
	}
	return at
}
