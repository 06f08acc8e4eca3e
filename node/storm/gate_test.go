package storm

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

func dice(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// flood has askers put rate questions for a log-in per second until the end, and
// returns the work let in.
func flood(g *Gate[uint32], until Moment, rate float64, rnd *rand.Rand, each func(Moment, *Answer[uint32])) time.Duration {
	var work time.Duration
	var a Answer[uint32]
	for now := Moment(0); now < until; now += time.Duration(rnd.ExpFloat64() / rate * float64(time.Second)) {
		q := Question[uint32]{From: rnd.Uint32(), Class: LogIn, Prefix: rnd.Uint64()}
		g.Ask(now, &q, rnd.Float64(), &a)
		if a.Verdict == Come {
			work += g.cost[LogIn]
		}
		if each != nil {
			each(now, &a)
		}
	}
	return work
}

func TestGateNeverLetsInMoreThanItsCapacity(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rnd, cfg := dice(seed), DefaultGateConfig()
		g := NewGate[uint32](0, &cfg)
		var work time.Duration
		const lasts = 5 * time.Second
		var a Answer[uint32]
		answered := 0
		for now := Moment(0); now < lasts; now += time.Duration(rnd.ExpFloat64() * float64(50*time.Microsecond)) {
			q := Question[uint32]{From: rnd.Uint32(), Class: Class(rnd.IntN(Classes)), Prefix: rnd.Uint64N(100)}
			g.Ask(now, &q, rnd.Float64(), &a)
			if a.Verdict == Come && now+a.Delay < lasts { // who comes later is work of later
				work += cfg.Cost[q.Class]
			}
			if a.Verdict != Silent {
				answered++
			}
		}
		work += time.Duration(answered) * cfg.Refusal
		// Beside what the time gives there is what was saved up before, and one piece of
		// work of each class that a budget may go into debt for.
		most := time.Duration(cfg.Capacity*float64(lasts)) + 3*cfg.Burst
		for _, c := range cfg.Cost {
			most += c
		}
		if work > most {
			t.Fatalf("seed %d: let in %v of work in %v, at most %v was to be had", seed, work, lasts, most)
		}
		if work < time.Duration(0.8*cfg.Capacity*float64(lasts)) {
			t.Fatalf("seed %d: let in only %v of work in %v", seed, work, lasts)
		}
	}
}

func TestGateServesAtAHundredTimesTheLoad(t *testing.T) {
	t.Parallel()
	cfg := DefaultGateConfig()
	g := NewGate[uint32](0, &cfg)
	rate := 100 * cfg.Capacity / cfg.Cost[LogIn].Seconds()
	work := flood(g, 10*time.Second, rate, dice(1), nil)
	if least := time.Duration(0.9 * cfg.Capacity * float64(10*time.Second)); work < least {
		t.Errorf("let in %v of work, want %v", work, least)
	}
}

// TestWhoIsQuietTakesNothingFromOthers: no answer, no place in the line, and no refusal.
func TestWhoIsQuietTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	cfg := DefaultGateConfig()
	g := NewGate[uint32](0, &cfg)
	g.pool, g.booked = -cfg.Burst, time.Hour
	g.own = [Classes]time.Duration{}
	answers, line, scarcity := g.answers, g.line, g.Scarcity()
	a := Answer[uint32]{Verdict: Come, N: 3}
	g.Ask(0, &Question[uint32]{From: 1, Class: LookUp, Quiet: true}, 0.5, &a)
	if a.Verdict != Silent || a.N != 0 || g.answers != answers || g.line != line || g.Scarcity() != scarcity {
		t.Errorf("%+v, answers %v, line %v", a, g.answers-answers, g.line-line)
	}
	g.Ask(0, &Question[uint32]{From: 1, Class: Presence, Gift: true}, 0.5, &a)
	if a.Verdict != Wait || a.Slot != 0 || g.line != line || a.Delay < slotNear || a.Delay > 2*slotNear {
		t.Errorf("a gift that is refused: %+v, line %v", a, g.line-line)
	}
}

func TestReservedSharesAreKept(t *testing.T) {
	t.Parallel()
	for c := InCall; c < Refresh; c++ {
		cfg := DefaultGateConfig()
		g := NewGate[uint32](0, &cfg)
		rnd := dice(uint64(c))
		var a Answer[uint32]
		var let time.Duration
		next := Moment(0)
		// All other classes ask for far more than there is; c asks for two thirds of
		// what is its own.
		gap := time.Duration(1.5 * float64(cfg.Cost[c]) / (shares()[c] * cfg.Capacity))
		asked := 0
		for now := Moment(0); now < 10*time.Second; now += 100 * time.Microsecond {
			other := Class(rnd.IntN(Classes))
			if other != c {
				q := Question[uint32]{From: rnd.Uint32(), Class: other}
				g.Ask(now, &q, rnd.Float64(), &a)
			}
			if now >= next {
				next += gap
				asked++
				q := Question[uint32]{Gift: true, From: rnd.Uint32(), Class: c}
				if g.admit(now, &q) {
					let += cfg.Cost[c]
				}
			}
		}
		if want := time.Duration(asked) * cfg.Cost[c] * 95 / 100; let < want {
			t.Errorf("class %v got %v of work of its own share, want %v", c, let, want)
		}
	}
}

func TestSlotsAreFair(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		cfg := DefaultGateConfig()
		g := NewGate[uint32](0, &cfg)
		rnd := dice(seed)
		var last Moment
		flood(g, 3*time.Second, 2000, rnd, func(now Moment, a *Answer[uint32]) {
			if a.Verdict != Wait {
				return
			}
			if a.Delay < slotNear || a.Delay > slotFar {
				t.Fatalf("seed %d: told to wait %v", seed, a.Delay)
			}
			if a.Slot == 0 {
				return
			}
			if a.Delay != a.Slot-now || a.Slot <= last {
				t.Fatalf("seed %d: slot in %v, delay %v, the last one %v later", seed, a.Slot-now, a.Delay, last-a.Slot)
			}
			last = a.Slot
		})
	}
}

// Places ahead come one after the other, no faster than the share of the capacity that
// is kept for them, and none is far ahead.
func TestPlacesAheadFollowEachOther(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		cfg := DefaultGateConfig()
		g := NewGate[uint32](0, &cfg)
		var last Moment
		places := 0
		apart := time.Duration(float64(cfg.Cost[LogIn]) / (g.rate * bookShare))
		flood(g, 5*time.Second, 1000, dice(seed), func(now Moment, a *Answer[uint32]) {
			if a.Verdict != Come || a.Delay == 0 {
				return
			}
			if a.Delay > bookFar || (last != 0 && now+a.Delay < last+apart) {
				t.Fatalf("seed %d: a place %v ahead, %v after the last one", seed, a.Delay, now+a.Delay-last)
			}
			last = now + a.Delay
			places++
		})
		if places == 0 {
			t.Fatalf("seed %d: nobody got a place", seed)
		}
	}
}

func TestWhoComesAtHisSlotIsServed(t *testing.T) {
	t.Parallel()
	cfg := DefaultGateConfig()
	g := NewGate[uint32](0, &cfg)
	rnd := dice(3)
	var slots []Moment
	served, came := 0, 0
	var a Answer[uint32]
	flood(g, 20*time.Second, 1000, rnd, func(now Moment, got *Answer[uint32]) {
		if got.Verdict == Wait && got.Slot != 0 {
			slots = append(slots, got.Slot)
		}
		for i := 0; i < len(slots); i++ {
			if slots[i] > now {
				continue
			}
			q := Question[uint32]{From: 1, Class: LogIn, Slot: slots[i]}
			slots = append(slots[:i], slots[i+1:]...)
			g.Ask(now, &q, rnd.Float64(), &a)
			came++
			if a.Verdict == Come {
				served++
			}
		}
	})
	if came < 500 || served*10 < came*9 {
		t.Errorf("%d of %d who came at their slot were served", served, came)
	}
}

func TestEarlyIsIgnoredAndNeverBanned(t *testing.T) {
	t.Parallel()
	cfg := DefaultGateConfig()
	g := NewGate[uint32](0, &cfg)
	rnd := dice(4)
	var a Answer[uint32]
	for now := Moment(0); now < 5*time.Second; now += time.Millisecond {
		q := Question[uint32]{From: 7, Class: LogIn, Slot: now + time.Hour}
		g.Ask(now, &q, rnd.Float64(), &a)
	}
	q := Question[uint32]{From: 7, Class: LogIn}
	g.Ask(6*time.Second, &q, 0.5, &a)
	if a.Verdict != Come {
		t.Errorf("after a second of quiet the one who came early gets %v", a.Verdict)
	}
}

func TestReferralsAreThoseWhoServe(t *testing.T) {
	t.Parallel()
	cfg := DefaultGateConfig()
	g := NewGate[uint32](0, &cfg)
	for i := range uint32(40) {
		g.Joined(time.Duration(i), 100+i, i%2 == 0)
	}
	g.Left(138)
	seen := map[uint32]bool{}
	var a Answer[uint32]
	rnd := dice(5)
	for range 2000 {
		q := Question[uint32]{From: 136, Class: LogIn}
		g.Ask(time.Second, &q, rnd.Float64(), &a)
		for _, p := range a.Referrals[:a.N] {
			seen[p] = true
			if p == 136 || p == 138 || p%2 != 0 {
				t.Fatalf("referred to %d", p)
			}
		}
	}
	if len(seen) < known-2 {
		t.Errorf("only %d peers were ever named", len(seen))
	}
}

func TestNetworksShare(t *testing.T) {
	t.Parallel()
	cfg := DefaultGateConfig()
	g := NewGate[uint32](0, &cfg)
	rnd := dice(6)
	var a Answer[uint32]
	let := [2]int{}
	asked := [2]int{}
	for now := Moment(0); now < 10*time.Second; now += time.Millisecond {
		few := 0
		q := Question[uint32]{From: rnd.Uint32(), Class: LogIn, Prefix: 1 + rnd.Uint64N(4)}
		if rnd.IntN(20) == 0 { // one honest asker to nineteen from four networks
			few, q.Prefix = 1, rnd.Uint64()
		}
		asked[few]++
		if g.Ask(now, &q, rnd.Float64(), &a); a.Verdict == Come {
			let[few]++
		}
	}
	if let[1]*10 < asked[1]*8 {
		t.Errorf("%d of %d honest askers came in beside %d of %d from four networks", let[1], asked[1], let[0], asked[0])
	}
}

func TestAnOfficeComesInTogether(t *testing.T) {
	t.Parallel()
	cfg := DefaultGateConfig()
	g := NewGate[uint32](0, &cfg)
	var a Answer[uint32]
	in, now := 0, Moment(0)
	for ; in < 64 && now < 10*time.Second; now += 5 * time.Millisecond {
		q := Question[uint32]{From: uint32(in), Class: LogIn, Prefix: 99}
		if g.Ask(now, &q, 0.5, &a); a.Verdict == Come {
			in++
		}
	}
	if in < 64 || now > time.Second {
		t.Errorf("%d of 64 phones behind one address came in within %v", in, now)
	}
}

func TestRefusingTakesNoMemory(t *testing.T) {
	cfg := DefaultGateConfig()
	g := NewGate[uint32](0, &cfg)
	rnd := dice(8)
	var a Answer[uint32]
	now := Moment(0)
	allocs := testing.AllocsPerRun(20_000, func() {
		now += 20 * time.Microsecond
		q := Question[uint32]{From: rnd.Uint32(), Class: LogIn, Prefix: rnd.Uint64()}
		g.Ask(now, &q, rnd.Float64(), &a)
	})
	if allocs > 0 {
		t.Errorf("%v allocations per question", allocs)
	}
	if size := unsafe.Sizeof(*g) + unsafe.Sizeof(paces{}); size > 4096 {
		t.Errorf("a gate takes %d bytes", size)
	}
}

func TestMeasuredCostsCount(t *testing.T) {
	t.Parallel()
	cfg := DefaultGateConfig()
	g := NewGate[uint32](0, &cfg)
	rnd := dice(9)
	let := 0
	flood(g, 20*time.Second, 1000, rnd, func(now Moment, a *Answer[uint32]) {
		if a.Verdict == Come {
			g.Finished(now, LogIn, 4*cfg.Cost[LogIn]) // four times dearer than guessed
			if now > 10*time.Second {
				let++
			}
		}
	})
	most := 1.1 * cfg.Capacity * 10 / (4 * cfg.Cost[LogIn].Seconds())
	if float64(let) > most || float64(let) < 0.8*most/1.1 {
		t.Errorf("let in %d in 10 s, capacity is %.0f", let, most/1.1)
	}
}

func BenchmarkAskRefused(b *testing.B) {
	cfg := DefaultGateConfig()
	g := NewGate[uint32](0, &cfg)
	for i := range uint32(known) {
		g.Joined(0, i, true)
	}
	rnd := dice(8)
	var a Answer[uint32]
	now := Moment(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 20 * time.Microsecond
		q := Question[uint32]{From: 77, Class: LogIn, Prefix: uint64(now)}
		g.Ask(now, &q, rnd.Float64(), &a)
	}
}
