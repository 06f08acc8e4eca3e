package storm

import "time"

// JoinerConfig holds the constants of the client side. Many joiners may share one.
type JoinerConfig struct {
	// Want is how many live servers a node wants to be connected to; one lets it in.
	Want int
	// Copies is how many servers should acknowledge the record.
	Copies int
	// Stagger is the time between the questions of a race, First that after each of the
	// first two.
	Stagger, First time.Duration
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
		Stagger: 250 * time.Millisecond, First: 400 * time.Millisecond, Patience: time.Second, Handshake: 3 * time.Second, Store: 3 * time.Second,
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
	Grown                      // servers came near a neighbour: the closest ones to the record may be others now
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
	Offer                       // an Ask whether Peer stores the record, which may go with it
	Dial                        // connect to Peer and log in there: Connected or Refused follows
	Find                        // look for the servers closest to the record's key: Found follows
	Store                       // give Peer the record, if it went with no Offer: Stored or Unstored follows
	WaitUntil                   // have Tick come at At; replaces what was asked for before
)

// Action is one output of a joiner.
type Action[P comparable] struct {
	Kind  ActionKind
	Class Class
	Peer  P
	Slot  Moment // of an Ask or Offer: what Peer promised before, 0 is nothing
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
	booked       // is to come at due
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
	// maxLately of those that answered are asked again in the next round, before the
	// bootstrap nodes, which have others to answer.
	maxLately = 8
	// maxMet is how many of those asked lately are remembered, not to be asked again
	// in the same round.
	maxMet = 24
	// patient questions are followed by the next one only after First.
	patient = 2
	// firstAlone questions go out one by one, those after them in threes.
	firstAlone = 6
	raceWidth  = 3
	// urgentWidth questions go out at a time where a node that was in has lost all
	// neighbours.
	urgentWidth = 8
	// cachedFirst of the servers remembered are asked before contacts and the local
	// network, the rest after them.
	cachedFirst = 12
	// maxRefusals in one round end it: the node waits for the earliest slot.
	maxRefusals = 4
	// silenceCap is the longest wait where nothing was heard at all, not even a refusal;
	// it grows by silenceMore with each round.
	silenceCap  = 4 * time.Second
	silenceMore = 50 * time.Millisecond
	// stormUptime: servers that are up for less have been part of what happened.
	stormUptime = time.Minute
	// againAfter is when the closest servers are looked for again after the first
	// publication; each time after that twice as late.
	againAfter = time.Second
	againMost  = 2 * time.Minute
	// spare holders may be missing, and every record is still held by one.
	spare = 2
	// maxKept neighbours: a few more than are wanted may have let the node in.
	maxKept = 8
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
	lateN  uint8 // answers noted in lately
	heard  [maxHeard]P
	lately [maxLately]P // who answered, the bootstrap nodes left out
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
	whole   bool   // the record as it is was where it should be
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
	case Grown:
		j.grown(now, unit)
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
		case t.step == booked:
			out = append(out, j.do(now, t))
		case t.step == waiting && (t.aim == toStore || j.keptN == 0):
			out = append(out, j.begin(now, t))
		case t.aim == toStore:
			if t.step == doing {
				t.step = free
			} else { // the answer may be late, and is still welcome
				t.step, t.due = waiting, now+j.cfg.Patience
			}
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
	act := Action[P]{Kind: Ask, Class: j.class(t.aim), Peer: t.peer, Slot: t.slot}
	if t.aim == toStore {
		act.Kind = Offer
	}
	return act
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

// do begins the work itself.
func (j *Joiner[P]) do(now Moment, t *try[P]) Action[P] {
	t.step, t.due = doing, now+j.cfg.Handshake
	act := Action[P]{Kind: Dial, Class: j.class(t.aim), Peer: t.peer}
	if t.aim == toStore {
		act.Kind, t.due = Store, now+j.cfg.Store
	}
	return act
}

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

// nextMoment is when something is due; 0 is never.
func (j *Joiner[P]) nextMoment(now Moment) Moment {
	var at Moment
	sooner := func(m Moment) {
		if m != 0 && (at == 0 || m < at) {
			at = m
		}
	}
	for i := range j.tries {
		if t := &j.tries[i]; t.step == asking || t.step == booked || t.step == doing || (t.step == waiting && (t.aim == toStore || j.keptN == 0)) {
			sooner(t.due)
		}
	}
	switch {
	case j.keptN > 0 && (int(j.keptN) >= j.cfg.Want || !j.settled(now)):
	case j.rest != 0:
		sooner(j.rest)
	case !j.comes():
		sooner(j.launch)
	}
	if j.keptN > 0 {
		sooner(j.publish)
		sooner(j.period)
	}
	return at
}
