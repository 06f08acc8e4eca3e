package playout

import (
	"time"

	"github.com/peerd/peerd/audio"
)

const (
	tooMuch   = 3 * time.Millisecond   // surplus of delay that is taken out
	tooLittle = 2 * time.Millisecond   // lack of delay that is put in
	farAbove  = 25 * time.Millisecond  // surplus that is worth an audible splice
	hopeless  = 500 * time.Millisecond // surplus for which whole packets are skipped
	watchLong = 120 * time.Millisecond // a surplus must have lasted so long
	watchFar  = 20 * time.Millisecond  // a large one only so long

	farLag    = maxLag/2 + 1 // samples, at least, of a surplus worth an audible splice
	alike     = 0.7          // normalised correlation of a splice that cannot be heard
	alikeFar  = 0.3
	lagMillis = audio.SampleRate / 1000
)

// pacer remembers the smallest slack since the last splice. A late Pull sees
// more slack than there is; the smallest one is true.
type pacer struct {
	since time.Duration
	least time.Duration
	begun bool
}

func (p *pacer) watch(now, slack time.Duration) {
	if !p.begun {
		*p = pacer{now, slack, true}
	}
	p.least = min(p.least, slack)
}

// renew begins anew once in a while, where there has been no splice.
func (p *pacer) renew(now time.Duration) {
	if now-p.since >= 4*watchLong {
		*p = pacer{}
	}
}

// keepPace compares the delay with its target and shortens or lengthens the
// frame that begins at pcm[at:] where they differ.
func (b *Buffer) keepPace(at int, now time.Duration) {
	b.mu.Lock()
	target := b.delay.target
	slack := b.slack(now, b.next-int64(len(b.pcm)))
	waiting := len(b.store.waiting)
	if b.stats.Delay == 0 {
		b.stats.Delay = slack
	}
	b.stats.Delay += (slack - b.stats.Delay) / 16
	b.mu.Unlock()
	b.pace.watch(now, slack)
	if least, watched := b.pace.least-target, now-b.pace.since; least > hopeless && watched >= watchFar {
		b.skipAhead(least)
		return
	}
	if len(b.pcm)-at < maxLag+window {
		return
	}
	surplus, watched := b.pace.least-target, now-b.pace.since
	switch {
	case surplus > farAbove && waiting == 0: // the path has become longer, and the estimator does not know it yet
	case surplus > farAbove && watched >= watchFar:
		b.accelerate(at, now, surplus, farLag, alikeFar)
	case surplus > tooMuch && watched >= watchLong:
		b.accelerate(at, now, surplus, minLag, alike)
	case surplus < -tooLittle:
		b.decelerate(at, -surplus)
	default:
		b.pace.renew(now)
	}
}

// skipAhead gives up the packets that fill the surplus: the loudspeaker has
// stood still for so long that splicing would take seconds.
func (b *Buffer) skipAhead(surplus time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for surplus > skipAbove && len(b.store.waiting) > 1 {
		b.store.release(b.store.take())
		b.stats.Late++
		first := b.store.waiting[0].at
		surplus -= media(first - b.next)
		b.next = first
	}
	b.pace = pacer{}
}

func (b *Buffer) accelerate(at int, now, surplus time.Duration, least int, needed float64) {
	limit := int((surplus + tooLittle/2).Milliseconds()) * lagMillis
	lag, likeness := bestLag(b.pcm[at:], least, max(limit, least))
	if likeness < needed {
		b.pace.renew(now)
		return
	}
	b.pcm = b.pcm[:at+len(shorten(b.pcm[at:], lag))]
	b.pace = pacer{}
	b.mu.Lock()
	b.stats.Accelerated += uint64(lag)
	b.mu.Unlock()
}

func (b *Buffer) decelerate(at int, lack time.Duration) {
	limit := int((lack + tooLittle).Milliseconds()) * lagMillis
	lag, likeness := bestLag(b.pcm[at:], minLag, max(limit, minLag))
	if likeness < alike {
		return
	}
	b.pcm = b.pcm[:at+len(lengthen(b.pcm[at:], lag))]
	b.pace = pacer{}
	b.mu.Lock()
	b.stats.Decelerated += uint64(lag)
	b.mu.Unlock()
}
