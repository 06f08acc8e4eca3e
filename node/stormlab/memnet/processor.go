package memnet

import (
	"math"
	"sync"
	"time"
)

// processor does one piece of work after the other, in the order they come: what a
// busy machine does to a program with many short tasks.
type processor struct {
	slow float64 // how much longer work takes than its cost

	mu     sync.Mutex
	free   time.Time     // when all work taken so far is done
	busy   time.Duration // spent since the start
	demand map[int64]time.Duration
	waits  [waitClasses]int
}

// waitClasses are the classes of the histogram of waits: class i holds waits of
// less than 2^i microseconds.
const waitClasses = 32

func newProcessor(m Machine) *processor {
	return &processor{slow: max(m.Slow, 1) / (1 - m.Load), demand: make(map[int64]time.Duration)}
}

// take queues work and returns when it will be done.
func (p *processor) take(cost time.Duration) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	if cost == 0 {
		return p.free
	}
	p.busy += cost
	p.demand[now.Unix()] += time.Duration(float64(cost) * p.slow)
	p.waits[waitClass(p.free.Sub(now))]++
	p.free = p.free.Add(time.Duration(float64(cost) * p.slow))
	return p.free
}

func waitClass(wait time.Duration) int {
	if wait < time.Microsecond {
		return 0
	}
	return min(1+int(math.Log2(float64(wait/time.Microsecond))), waitClasses-1)
}

// Use is what a processor was used for since its host was started.
type Use struct {
	// Busy is the time spent.
	Busy time.Duration
	// Demand is the work that came in each second of the clock (Unix).
	Demand map[int64]time.Duration
	waits  [waitClasses]int
}

func (p *processor) use() Use {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := Use{Busy: p.busy, waits: p.waits, Demand: make(map[int64]time.Duration, len(p.demand))}
	for at, d := range p.demand {
		u.Demand[at] = d
	}
	return u
}

// Peak returns the most work that came in one second, as a share of that second.
func (u Use) Peak() float64 {
	var most time.Duration
	for _, d := range u.Demand {
		most = max(most, d)
	}
	return most.Seconds()
}

// Wait returns the wait for the processor that a share of all work, such as 0.99,
// stayed below, over several hosts; it is exact to a factor of two.
func Wait(uses []Use, share float64) time.Duration {
	var sum [waitClasses]int
	total := 0
	for _, u := range uses {
		for i, n := range u.waits {
			sum[i] += n
			total += n
		}
	}
	seen := 0
	for i, n := range sum {
		if seen += n; float64(seen) >= share*float64(total) {
			return time.Duration(1<<i) * time.Microsecond
		}
	}
	return 0
}
