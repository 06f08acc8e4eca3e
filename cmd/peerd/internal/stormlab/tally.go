package stormlab

import (
	"math"
	"slices"
	"time"
)

// tally is what a run counts.
type tally struct {
	nodes, back, missing  int
	attempts, toBootstrap int
	dials                 int // log-in connections
	wasted                int // work finished for somebody who had given up
	dropped               int // work that a full line turned away
	callsDropped          int
	loggedOut             int
	relapsed              int           // back once, and not at the end
	settleAt              time.Duration // look then whether all is over
	usefulWork            time.Duration // in crowded seconds
	usefulMost            time.Duration // what could have been done in them
	times                 []float32     // from a node's start to its being back, s
	series, open          []float32     // nodes back and servers open, each sampleEvery
	busy, bootBusy        []float64     // the busiest node's share, each second
	waits                 [128]int      // of work for a processor, by its logarithm
	asked                 []int         // log-ins asked for by nodes that were not in, each second
	stored                []int         // records stored, each minute
	offered, done         []int         // log-ins of others while all is calm, each second from calmBefore on
}

// second notes a server's busy share of one second.
func (t *tally) second(sec int, share float64, boot bool) {
	for len(t.busy) <= sec {
		t.busy = append(t.busy, 0)
		t.bootBusy = append(t.bootBusy, 0)
	}
	t.busy[sec] = max(t.busy[sec], share)
	if boot {
		t.bootBusy[sec] = max(t.bootBusy[sec], share)
	}
}

// waited notes how long work waited for its processor. Eight classes to an octave,
// from a tenth of a millisecond.
func (t *tally) waited(d time.Duration) {
	i := 0
	if d > 100*time.Microsecond {
		i = int(8 * math.Log2(float64(d)/float64(100*time.Microsecond)))
	}
	t.waits[min(i, len(t.waits)-1)]++
}

// queueP99 is the 99th percentile of those waits, in ms.
func (t *tally) queueP99() float64 {
	total := 0
	for _, n := range t.waits {
		total += n
	}
	sum := 0
	for i, n := range t.waits {
		if sum += n; sum*100 >= total*99 && total > 0 {
			return 0.1 * math.Exp2(float64(i+1)/8)
		}
	}
	return 0
}

// quantile is the time until the share q of all counted nodes was back; -1 if it never was.
func (t *tally) quantile(q float64) float64 {
	i := int(math.Ceil(q*float64(t.nodes))) - 1
	switch {
	case t.nodes == 0:
		return 0
	case i >= len(t.times):
		return -1
	}
	return float64(t.times[max(i, 0)])
}

// finish closes the books of a run.
func (s *sim) finish() {
	for i := range s.servers {
		if v := &s.servers[i]; v.open {
			v.flush(s)
		}
	}
	slices.Sort(s.tally.times)
	s.tally.relapsed = s.relapsed()
}

// bump adds one to a series.
func bump(series []int, i int) []int {
	for len(series) <= i {
		series = append(series, 0)
	}
	if i >= 0 {
		series[i]++
	}
	return series
}
