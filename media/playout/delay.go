package playout

import "time"

// Bounds and shape of the target delay.
const (
	minTarget = 10 * time.Millisecond
	maxTarget = 600 * time.Millisecond
	// insured is the largest lateness against which one rare case is enough to
	// wait longer: so much delay is cheaper than the next click. It would not have
	// helped against a larger one, which therefore says nothing about it.
	insured = 30 * time.Millisecond
	margin  = 2 * time.Millisecond
	// farMargin is what is added to it at most for a long wait.
	farMargin = 6 * time.Millisecond

	blockLength = 200 * time.Millisecond
	blockCount  = 64 // 12.8 s of memory
	rareBlocks  = 16 // beyond insured, one block of so many may be late

	floorSlots  = 8 // the fastest path is looked for in 8 x 250 ms
	floorLength = 250 * time.Millisecond

	// When every packet of moveAfter was later than the fastest path by moved, that
	// path is gone: another route, or a sender that was starved and has lost time.
	moved     = 100 * time.Millisecond
	moveAfter = 400 * time.Millisecond
)

// How long copies of lost frames, which come with later packets, are waited for.
const (
	copySteps = 12                    // of copyStep: later copies are not told apart
	copyStep  = 10 * time.Millisecond // copies come at multiples of it
	copySpan  = 500                   // frames, 10 s: what is older than twice that is forgotten
	// missed is the share of frames whose copy may come too late and is made up
	// for: more than one in 20 s are too many.
	missed = 0.001
)

// Shape of the histogram of lateness, which tells how late most packets are.
const (
	lateBins  = 64
	lateBin   = 4 * time.Millisecond
	lateKeep  = 0.99 // of the weight of a packet, at each packet: 2 s
	lateShare = 0.8
)

// copies counts with which later packet frames came first, in this span and the
// one before.
type copies struct {
	now, before [copySteps]int // 0: with their own
	all, last   int            // frames of both spans
}

// add takes a frame that came wait after the time of its own packet.
func (c *copies) add(wait time.Duration) {
	if c.all == copySpan {
		*c = copies{before: c.now, last: c.all}
	}
	c.all++
	c.now[min(copySteps-1, max(0, int((wait+copyStep/2)/copyStep)))]++
}

// wait is how long must be waited for copies, so that few enough are missed.
func (c *copies) wait() time.Duration {
	accepted := missed * float64(c.all+c.last)
	later, k := 0, copySteps-1 // frames that come with step k or after it
	for ; k > 0; k-- {
		if later += c.now[k] + c.before[k]; float64(later) > accepted {
			break
		}
	}
	return time.Duration(k) * copyStep
}

// histogram is of lateness, forgetting.
type histogram struct {
	weight [lateBins]float64
	all    float64
}

func (h *histogram) add(late time.Duration) {
	h.all = h.all*lateKeep + 1
	for i := range h.weight {
		h.weight[i] *= lateKeep
	}
	h.weight[min(lateBins-1, max(0, int(late/lateBin)))]++
}

// most is the lateness that a share of lateShare does not exceed.
func (h *histogram) most() time.Duration {
	sum := 0.0
	for i, w := range h.weight {
		if sum += w; sum >= lateShare*h.all {
			return time.Duration(i) * lateBin
		}
	}
	return lateBins * lateBin
}

// estimator learns from arrival times how long packets must be held so that
// late ones still come in time. Lateness is measured against the fastest
// packets of the last two seconds, which also takes out the drift between the
// two clocks. The largest lateness of each 200 ms is remembered for 12.8 s:
// what happens often is waited for, what is rare only up to insured. Where lost
// frames come again with later packets, these are waited for as well, as long as
// most of them take.
type estimator struct {
	floor  [floorSlots]floorSlot
	blocks [blockCount]time.Duration
	count  int           // blocks in use
	block  int           // the present one
	began  time.Duration // when it began
	target time.Duration

	copies copies
	late   histogram

	slowSince time.Duration // all packets have been late by moved since then; 0: they are not
	slowLeast time.Duration // the smallest transit among them
}

type floorSlot struct {
	period  int64
	transit time.Duration
	used    bool
}

// add takes a packet's transit: arrival time less media time.
func (e *estimator) add(now, transit time.Duration) {
	e.follow(now, transit)
	period := int64(now / floorLength)
	slot := &e.floor[period%floorSlots]
	if !slot.used || slot.period != period || transit < slot.transit {
		*slot = floorSlot{period, transit, true}
	}
	if e.count == 0 || now-e.began >= blockLength {
		e.block = (e.block + 1) % blockCount
		e.count = min(e.count+1, blockCount)
		e.blocks[e.block], e.began = 0, now
	}
	late := transit - e.fastest(now)
	e.late.add(late)
	e.blocks[e.block] = max(e.blocks[e.block], late)
	e.retarget()
}

// follow forgets the fastest path when it is gone, and with it the lateness that
// was measured against it.
func (e *estimator) follow(now, transit time.Duration) {
	switch {
	case e.count == 0 || transit-e.fastest(now) < moved:
		e.slowSince = 0
		return
	case e.slowSince == 0:
		e.slowSince, e.slowLeast = now, transit
	}
	e.slowLeast = min(e.slowLeast, transit)
	if now-e.slowSince < moveAfter {
		return
	}
	rise := e.slowLeast - e.fastest(now)
	for i := range e.blocks {
		e.blocks[i] = max(0, e.blocks[i]-rise)
	}
	e.floor = [floorSlots]floorSlot{}
	e.floor[int64(now/floorLength)%floorSlots] = floorSlot{int64(now / floorLength), e.slowLeast, true}
	e.slowSince = 0
}

// fastest is the smallest transit of the last two seconds.
func (e *estimator) fastest(now time.Duration) time.Duration {
	period := int64(now / floorLength)
	var best time.Duration
	found := false
	for _, s := range e.floor {
		if s.used && s.period > period-floorSlots && (!found || s.transit < best) {
			best, found = s.transit, true
		}
	}
	if !found { // nothing for two seconds: the last known will do
		for _, s := range e.floor {
			if s.used && (!found || s.transit < best) {
				best, found = s.transit, true
			}
		}
	}
	return best
}

// retarget takes the largest lateness up to insured, the largest that is not
// rare, or what copies need.
func (e *estimator) retarget() {
	const ranks = blockCount/rareBlocks + 1
	var top [ranks]time.Duration // descending
	var insurable time.Duration
	for i := range e.count {
		d := e.blocks[(e.block-i+blockCount)%blockCount]
		if d <= insured {
			insurable = max(insurable, d)
		}
		for r := range top {
			if d > top[r] {
				d, top[r] = top[r], d
			}
		}
	}
	usual := top[max(1, e.count/rareBlocks)]
	e.target = max(insurable, usual)
	e.target += min(e.target/8, farMargin) // splices make a frame be needed up to 10 ms before it is heard
	if wait := e.copies.wait(); wait > 0 {
		e.target = max(e.target, wait+e.late.most())
	}
	e.target = max(min(e.target+margin, maxTarget), minTarget)
}
