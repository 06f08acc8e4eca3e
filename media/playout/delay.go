package playout

import "time"

// Bounds and shape of the target delay.
const (
	minTarget = 10 * time.Millisecond
	maxTarget = 600 * time.Millisecond
	// insured is the largest lateness against which one rare case is enough to
	// wait longer: so much delay is cheaper than the next click.
	insured = 30 * time.Millisecond
	margin  = 2 * time.Millisecond

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

// estimator learns from arrival times how long packets must be held so that
// late ones still come in time. Lateness is measured against the fastest
// packets of the last two seconds, which also takes out the drift between the
// two clocks. The largest lateness of each 200 ms is remembered for 12.8 s:
// what happens often is waited for, what is rare only up to insured.
type estimator struct {
	floor  [floorSlots]floorSlot
	blocks [blockCount]time.Duration
	count  int           // blocks in use
	block  int           // the present one
	began  time.Duration // when it began
	target time.Duration

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
	e.blocks[e.block] = max(e.blocks[e.block], transit-e.fastest(now))
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

// retarget takes the largest lateness up to insured, or the largest that is
// not rare.
func (e *estimator) retarget() {
	const ranks = blockCount/rareBlocks + 1
	var top [ranks]time.Duration // descending
	for i := range e.count {
		d := e.blocks[(e.block-i+blockCount)%blockCount]
		for r := range top {
			if d > top[r] {
				d, top[r] = top[r], d
			}
		}
	}
	usual := top[max(1, e.count/rareBlocks)]
	e.target = min(max(min(top[0], insured), usual)+margin, maxTarget)
	e.target = max(e.target, minTarget)
}
