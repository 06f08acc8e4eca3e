package storm

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

// begin is when every test's time begins.
const begin = time.Second

// world drives one joiner: it keeps its one timer, and answers for the servers.
type world struct {
	t      *testing.T
	j      Joiner[uint32]
	rnd    *rand.Rand
	now    Moment
	timer  Moment // 0 is none
	acts   []Action[uint32]
	todo   []Action[uint32]
	asks   []Moment
	answer func(w *world, a Action[uint32]) // what the world does about an action
}

func newWorld(t *testing.T, seed uint64, cfg *JoinerConfig, book Book[uint32]) *world {
	w := &world{t: t, rnd: dice(seed), now: begin}
	w.j.Start(cfg, book)
	return w
}

func (w *world) step(ev Event[uint32]) {
	w.acts = w.j.Step(w.now, &ev, w.rnd.Float64, w.acts[:0])
	timers := 0
	for _, a := range w.acts {
		switch a.Kind {
		case WaitUntil:
			timers++
			if a.At < w.now {
				w.t.Fatalf("a timer %v in the past", w.now-a.At)
			}
			w.timer = a.At
		case Ask, Offer:
			w.asks = append(w.asks, w.now)
			w.todo = append(w.todo, a)
		default:
			w.todo = append(w.todo, a)
		}
	}
	if timers > 1 {
		w.t.Fatalf("%d timers at once", timers)
	}
}

// run lets time pass until the end, one timer after the other.
func (w *world) run(until Moment) {
	for i := 0; ; i++ {
		for len(w.todo) > 0 {
			a := w.todo[0]
			w.todo = w.todo[1:]
			if w.answer != nil {
				w.answer(w, a)
			}
		}
		if w.timer == 0 || w.timer > until {
			w.now = until
			return
		}
		if w.timer == w.now && i > 1_000_000 {
			w.t.Fatal("time stands still")
		}
		w.now, w.timer = w.timer, 0
		w.step(Event[uint32]{Kind: Tick})
	}
}

func kind(w *world, a Action[uint32]) {
	switch a.Kind {
	case Ask, Offer:
		w.step(Event[uint32]{Kind: Answered, Peer: a.Peer, Answer: &Answer[uint32]{Verdict: Come}})
	case Dial:
		w.step(Event[uint32]{Kind: Connected, Peer: a.Peer})
	case Find:
		w.step(Event[uint32]{Kind: Found, Peers: []uint32{1, 2, 3}})
	case Store:
		w.step(Event[uint32]{Kind: Stored, Peer: a.Peer})
	case WaitUntil:
	}
}

func someBook(n uint32) Book[uint32] {
	b := Book[uint32]{Bootstrap: []uint32{0, 1}}
	for i := range n {
		b.Cached = append(b.Cached, 10+i)
	}
	return b
}

func TestJoinerComesIn(t *testing.T) {
	t.Parallel()
	cfg := DefaultJoinerConfig()
	w := newWorld(t, 1, &cfg, someBook(20))
	w.answer = kind
	w.step(Event[uint32]{Kind: Started})
	w.run(begin + time.Second)
	if !w.j.Online() || len(w.j.Neighbours()) != 1 {
		t.Errorf("online %v with %d neighbours", w.j.Online(), len(w.j.Neighbours()))
	}
	if len(w.asks) != 4 {
		t.Errorf("%d questions where all is well, want 1 to come in and 3 to store", len(w.asks))
	}
	if w.run(begin + time.Minute); len(w.j.Neighbours()) < cfg.Want {
		t.Errorf("%d neighbours a minute later", len(w.j.Neighbours()))
	}
}

func TestJoinerAsksBootstrapNodesLast(t *testing.T) {
	t.Parallel()
	cfg := DefaultJoinerConfig()
	w := newWorld(t, 1, &cfg, someBook(20))
	var order []uint32
	w.answer = func(_ *world, a Action[uint32]) { order = append(order, a.Peer) }
	w.step(Event[uint32]{Kind: Started})
	w.run(10 * time.Second)
	for i, p := range order[:20] {
		if p < 10 {
			t.Errorf("bootstrap node asked as number %d", i)
		}
	}
	if len(order) < 22 || order[20] > 1 || order[21] > 1 {
		t.Errorf("asked %v", order)
	}
}

// In a world that does not answer, a node asks ever more rarely, with one timer at
// a time, and goes on for ever; and when the world answers again it is in soon.
func TestBackoffBoundsTheAskingAndAlwaysEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		cfg := DefaultJoinerConfig()
		w := newWorld(t, seed, &cfg, Book[uint32]{Bootstrap: []uint32{0, 1}})
		w.step(Event[uint32]{Kind: Started})
		w.run(10 * time.Minute)
		first := len(w.asks)
		w.run(20 * time.Minute)
		if n := len(w.asks) - first; n > 2*90 || n < 2*5 {
			t.Fatalf("seed %d: %d questions in the second ten minutes", seed, n)
		}
		w.answer = kind
		w.run(20*time.Minute + w.j.silence() + 3*time.Second)
		if !w.j.Online() {
			t.Fatalf("seed %d: not in soon after the world came back", seed)
		}
	}
}

// Whatever the world answers, in whatever order and however late, there is one
// timer, it is not in the past, the asking stays within bounds, and a world that
// recovers lets the node in.
func TestJoinerInAMadWorld(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		cfg := DefaultJoinerConfig()
		w := newWorld(t, seed, &cfg, someBook(uint32(seed%30)))
		var held []Action[uint32]
		w.answer = func(w *world, a Action[uint32]) {
			if held = append(held, a); len(held) < 4 {
				return
			}
			i := w.rnd.IntN(len(held))
			a = held[i]
			held = append(held[:i], held[i+1:]...)
			switch w.rnd.IntN(6) {
			case 0:
				kind(w, a)
			case 1:
				w.step(Event[uint32]{Kind: Answered, Peer: a.Peer, Answer: madAnswer(w)})
			case 2:
				w.step(Event[uint32]{Kind: EventKind(w.rnd.IntN(int(Tick))), Peer: w.rnd.Uint32N(40), Answer: madAnswer(w)})
			case 3:
				w.step(Event[uint32]{Kind: Found})
			}
		}
		w.step(Event[uint32]{Kind: Started})
		w.run(5 * time.Minute)
		if n := len(w.asks); n > 3000 {
			t.Fatalf("seed %d: %d questions in five minutes", seed, n)
		}
		for _, p := range append([]uint32(nil), w.j.Neighbours()...) {
			w.step(Event[uint32]{Kind: Lost, Peer: p})
		}
		w.answer = kind
		w.run(12 * time.Minute)
		if !w.j.Online() {
			t.Fatalf("seed %d: not in, with %d neighbours", seed, len(w.j.Neighbours()))
		}
	}
}

func madAnswer(w *world) *Answer[uint32] {
	a := &Answer[uint32]{Verdict: Verdict(1 + w.rnd.IntN(2)), Uptime: time.Duration(w.rnd.Int64N(int64(time.Hour)))}
	if a.Verdict == Wait {
		a.Delay = time.Duration(w.rnd.Int64N(int64(10*time.Second))) - time.Second
		a.Slot = w.now + a.Delay
	}
	for a.N = 0; int(a.N) < w.rnd.IntN(MaxReferrals+1); a.N++ {
		a.Referrals[a.N] = w.rnd.Uint32N(60)
	}
	return a
}

func TestACrowdIsNeverInStep(t *testing.T) {
	t.Parallel()
	const crowd = 2000
	cfg := DefaultJoinerConfig()
	cells := map[int]int{}
	for i := range uint64(crowd) {
		w := newWorld(t, i, &cfg, Book[uint32]{Bootstrap: []uint32{0, 1}})
		w.step(Event[uint32]{Kind: Started})
		w.run(time.Minute)
		for _, at := range w.asks {
			if at > 10*time.Second {
				cells[int(at/(100*time.Millisecond))]++
			}
		}
	}
	for cell, n := range cells {
		if n > crowd/10 {
			t.Errorf("%d of %d ask within the same tenth of a second, at %d", n, crowd, cell)
		}
	}
}

func TestTheRecordIsPublishedAgainAtAnEvenPace(t *testing.T) {
	t.Parallel()
	cfg := DefaultJoinerConfig()
	const crowd, periods, cellsEach = 1600, 2, 8
	var cells [periods * cellsEach]int
	for i := range uint64(crowd) {
		w := newWorld(t, i, &cfg, someBook(3))
		w.answer = func(w *world, a Action[uint32]) {
			if a.Kind == Store && a.Peer == 1 && w.now > begin+time.Second {
				cells[min(int(cellsEach*(w.now-begin)/cfg.Republish), len(cells)-1)]++
			}
			kind(w, a)
		}
		w.step(Event[uint32]{Kind: Started})
		w.run(begin + periods*cfg.Republish - time.Second)
	}
	for i, n := range cells {
		if n < crowd/cellsEach*8/10 || n > crowd/cellsEach*12/10 {
			t.Errorf("eighth %d of a period has %d publications, want %d", i, n, crowd/cellsEach)
		}
	}
}

func TestALostNeighbourIsReplacedAndTheLastOneAtOnce(t *testing.T) {
	t.Parallel()
	cfg := DefaultJoinerConfig()
	w := newWorld(t, 5, &cfg, someBook(20))
	w.answer = kind
	w.step(Event[uint32]{Kind: Started})
	w.run(time.Minute)
	for _, p := range append([]uint32(nil), w.j.Neighbours()...) {
		w.step(Event[uint32]{Kind: Lost, Peer: p})
	}
	asked := len(w.asks)
	w.run(w.now + 100*time.Millisecond)
	if len(w.asks) == asked || len(w.j.Neighbours()) == 0 {
		t.Errorf("%d questions, %d neighbours after the last one was lost", len(w.asks)-asked, len(w.j.Neighbours()))
	}
}

func TestASlotIsUsed(t *testing.T) {
	t.Parallel()
	cfg := DefaultJoinerConfig()
	w := newWorld(t, 6, &cfg, Book[uint32]{Bootstrap: []uint32{0}})
	var shown Moment
	w.answer = func(w *world, a Action[uint32]) {
		switch {
		case a.Kind != Ask:
			kind(w, a)
		case a.Slot == 0 && a.Class == LogIn:
			w.step(Event[uint32]{Kind: Answered, Peer: a.Peer, Answer: &Answer[uint32]{Verdict: Wait, Slot: 4242, Delay: 2 * time.Second}})
		default:
			if a.Class == LogIn {
				shown = a.Slot
				if w.now != begin+2*time.Second {
					t.Errorf("came back at %v", w.now)
				}
			}
			kind(w, a)
		}
	}
	w.step(Event[uint32]{Kind: Started})
	w.run(5 * time.Second)
	if shown != 4242 || !w.j.Online() {
		t.Errorf("showed slot %d, online %v", shown, w.j.Online())
	}
}

func TestWhoIsToComeLaterComesThenAndAsksNobodyElse(t *testing.T) {
	t.Parallel()
	cfg := DefaultJoinerConfig()
	w := newWorld(t, 9, &cfg, someBook(20))
	var dialled Moment
	w.answer = func(w *world, a Action[uint32]) {
		switch {
		case a.Kind == Ask && a.Class == LogIn:
			w.step(Event[uint32]{Kind: Answered, Peer: a.Peer, Answer: &Answer[uint32]{Verdict: Come, Delay: 900 * time.Millisecond}})
		case a.Kind == Dial && dialled == 0:
			dialled = w.now
		}
	}
	w.step(Event[uint32]{Kind: Started})
	w.run(begin + 2*time.Second)
	if dialled != begin+900*time.Millisecond || len(w.asks) != 1 {
		t.Errorf("dialled after %v, and %d questions", dialled-begin, len(w.asks))
	}
}

// settledWorld is one whose joiner has been in for a while. It counts searches.
func settledWorld(t *testing.T, seed uint64, searches *int) *world {
	t.Helper()
	cfg := DefaultJoinerConfig()
	w := newWorld(t, seed, &cfg, someBook(60))
	w.answer = func(w *world, a Action[uint32]) {
		if a.Kind == Find {
			*searches++
		}
		kind(w, a)
	}
	w.step(Event[uint32]{Kind: Started})
	w.run(20 * time.Minute)
	return w
}

// Where the overlay grows the holders of a record change, and a node looks for them
// again soon; and however often it is told so, no more than about once a second.
func TestGrowthHasTheRecordLookedAfter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		searches := 0
		w := settledWorld(t, seed, &searches)
		searches = 0
		w.step(Event[uint32]{Kind: Grown})
		if w.run(w.now + againAfter); searches == 0 {
			t.Fatalf("seed %d: no search within %v of hearing of growth", seed, againAfter)
		}
		w.run(w.now + 20*time.Minute)
		searches = 0
		for range 2000 { // for 20 s
			w.step(Event[uint32]{Kind: Grown})
			w.run(w.now + 10*time.Millisecond)
		}
		if searches < 10 || searches > 60 {
			t.Errorf("seed %d: %d searches in 20 s of growth", seed, searches)
		}
	}
}

// Who has lost all servers asks all it knows within a few seconds, whoever is silent.
func TestWhoLostAllServersAsksWidely(t *testing.T) {
	t.Parallel()
	searches := 0
	w := settledWorld(t, 3, &searches)
	w.answer = nil // nobody is there
	before := len(w.asks)
	for _, p := range append([]uint32(nil), w.j.Neighbours()...) {
		w.step(Event[uint32]{Kind: Lost, Peer: p})
	}
	w.run(w.now + 2500*time.Millisecond)
	if asked := len(w.asks) - before; asked < 60 {
		t.Errorf("%d questions in 2.5 s, 62 peers are known", asked)
	}
}

func TestALateAnswerIsStillOfUse(t *testing.T) {
	t.Parallel()
	cfg := DefaultJoinerConfig()
	w := newWorld(t, 7, &cfg, Book[uint32]{Bootstrap: []uint32{0}})
	w.answer = func(w *world, a Action[uint32]) {
		if a.Kind != Ask || a.Class != LogIn {
			kind(w, a)
		}
	}
	w.step(Event[uint32]{Kind: Started})
	w.run(begin + 1200*time.Millisecond)
	w.step(Event[uint32]{Kind: Answered, Peer: 0, Answer: &Answer[uint32]{Verdict: Come}})
	w.run(begin + 1300*time.Millisecond)
	if len(w.j.Neighbours()) == 0 {
		t.Error("an answer that came late was thrown away")
	}
}

func TestJoinerTakesNoMemory(t *testing.T) {
	if size := unsafe.Sizeof(Joiner[uint32]{}); size > 1536 {
		t.Errorf("a joiner takes %d bytes", size)
	}
	cfg := DefaultJoinerConfig()
	w := newWorld(t, 8, &cfg, Book[uint32]{Bootstrap: []uint32{0, 1}})
	w.step(Event[uint32]{Kind: Started})
	buf := make([]Action[uint32], 0, 64)
	unit := w.rnd.Float64
	ev := Event[uint32]{Kind: Tick}
	allocs := testing.AllocsPerRun(5000, func() {
		w.now += 300 * time.Millisecond
		w.j.timer = 0
		buf = w.j.Step(w.now, &ev, unit, buf[:0])
	})
	if allocs > 0 {
		t.Errorf("%v allocations per step", allocs)
	}
}
