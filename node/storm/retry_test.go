package storm

import (
	"math/rand/v2"
	"testing"
	"time"
)

func start() time.Time { return time.Unix(1_800_000_000, 0) }

func TestDelaysStayWithinBounds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		r, now := Retry{Policy: DefaultPolicy()}, start()
		for range 50 {
			var wait time.Duration
			r, wait = r.Fail(now, rnd.Float64())
			if wait < r.Policy.Base || wait > r.Policy.Cap {
				t.Fatalf("delay %v outside [%v, %v]", wait, r.Policy.Base, r.Policy.Cap)
			}
			now = now.Add(wait)
		}
	}
}

func TestDelayAtMostTriples(t *testing.T) {
	p := DefaultPolicy()
	p.Burst = 0
	r, now, last := Retry{Policy: p}, start(), p.Base
	for range 20 {
		var wait time.Duration
		r, wait = r.Fail(now, 0.999999)
		if wait > 3*last {
			t.Fatalf("delay %v after %v", wait, last)
		}
		last, now = wait, now.Add(wait)
	}
	if last != p.Cap {
		t.Fatalf("delay ends at %v, want the cap %v", last, p.Cap)
	}
}

func TestStableServiceForgets(t *testing.T) {
	fail := func(r Retry, now time.Time, n int) (Retry, time.Duration) {
		var wait time.Duration
		for range n {
			r, wait = r.Fail(now, 0.999999)
			now = now.Add(time.Minute)
		}
		return r, wait
	}
	r, _ := fail(Retry{Policy: DefaultPolicy()}, start(), 6)
	now := start().Add(time.Hour)
	r = r.Up(now)

	_, short := r.Fail(now.Add(10*time.Second), 0.999999)
	_, long := r.Fail(now.Add(31*time.Second), 0.999999)
	if short != r.Policy.Cap {
		t.Errorf("after 10 s of service the next delay is %v, want %v", short, r.Policy.Cap)
	}
	if long > 3*r.Policy.Base {
		t.Errorf("after 31 s of service the next delay is %v, want at most %v", long, 3*r.Policy.Base)
	}
}

func TestBudgetStopsHammering(t *testing.T) {
	p := DefaultPolicy()
	p.Stable = 0 // every failure starts from Base: only the budget slows down
	r, now := Retry{Policy: p}, start()
	attempts := 0
	for end := now.Add(10 * time.Minute); now.Before(end); attempts++ {
		var wait time.Duration
		r = r.Up(now)
		r, wait = r.Fail(now, 0)
		now = now.Add(wait)
	}
	if most := p.Burst + int(10*time.Minute/p.Refill) + int(10*time.Minute/p.Cap) + 1; attempts > most {
		t.Errorf("%d attempts in 10 minutes, budget is %d", attempts, most)
	}
}

func TestRetriesOfACrowdSpread(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	second := make(map[int]int)
	const crowd = 10_000
	for range crowd {
		r, now := Retry{Policy: DefaultPolicy()}, start()
		for range 6 {
			var wait time.Duration
			r, wait = r.Fail(now, rnd.Float64())
			now = now.Add(wait)
		}
		second[int(now.Sub(start()).Seconds())]++
	}
	for s, n := range second {
		if n > crowd/4 {
			t.Errorf("%d of %d come back within second %d", n, crowd, s)
		}
	}
}

func TestSpreadIsAQuarterEitherWay(t *testing.T) {
	d := time.Hour
	if lo, hi := Spread(d, 0), Spread(d, 0.9999999); lo != 45*time.Minute || hi > 75*time.Minute || hi < 74*time.Minute {
		t.Errorf("spread of %v is [%v, %v]", d, lo, hi)
	}
}
