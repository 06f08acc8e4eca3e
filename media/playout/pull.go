package playout

import (
	"time"

	"github.com/peerd/peerd/audio"
)

// step is what the next samples are made from.
type step int

const (
	silent  step = iota // nothing to play yet
	decode              // the packet that is due
	restore             // the packet after the one that is missing
	conceal             // nothing
)

// Pull fills out with the next samples, to be played at now. It reports
// whether there is any received sound among them. It does not allocate.
func (b *Buffer) Pull(now time.Duration, out []int16) (sound bool) {
	for len(b.pcm) < len(out) {
		b.mu.Lock()
		if b.reset {
			b.reset, b.pcm = false, b.pcm[:0]
			b.pace = pacer{}
		}
		what, packet := b.decide(now)
		b.mu.Unlock()
		if what == silent {
			b.finish(out)
			return sound
		}
		sound = b.perform(what, packet, now) || sound
	}
	b.finish(out)
	return sound
}

// finish hands out what there is, and silence for the rest.
func (b *Buffer) finish(out []int16) {
	n := copy(out, b.pcm)
	clear(out[n:])
	b.pcm = append(b.pcm[:0], b.pcm[n:]...)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seq.begun {
		b.stats.Played += uint64(len(out))
	}
}

// decide chooses the next step and takes the packet it needs.
func (b *Buffer) decide(now time.Duration) (step, *slot) {
	if !b.playing && !b.begin(now) {
		if b.seq.begun && now-b.arrival < absent && b.gap > 0 {
			b.stats.Concealed += audio.PullSamples
		}
		return silent, nil
	}
	if len(b.store.waiting) == 0 {
		return b.ranDry()
	}
	first := b.store.waiting[0]
	if first.at-b.next == audio.FrameSamples && b.asked != first.at {
		b.asked, b.ahead = first.at, *first // Put may give its slot to another packet meanwhile
		return restore, &b.ahead
	}
	if lacking := first.at - b.next; lacking > 0 && b.stalled > 0 {
		b.next += min(lacking, b.stalled) // this time has been filled already
	}
	b.stalled = 0
	if first.at <= b.next {
		return decode, b.store.take()
	}
	return b.makeUp(true)
}

// begin starts playing once the first packet has been held long enough.
func (b *Buffer) begin(now time.Duration) bool {
	for len(b.store.waiting) > 0 {
		first := b.store.waiting[0]
		held := b.slack(now, first.at)
		if held < b.delay.target {
			return false
		}
		if len(b.store.waiting) > 1 && held > b.delay.target+b.skippable(first.at) {
			b.store.release(b.store.take())
			b.stats.Late++
			continue
		}
		b.playing, b.next, b.stalled, b.gap = true, first.at, 0, 0
		return true
	}
	return false
}

// skippable is the surplus of delay above which the sound at timestamp at is
// skipped: none of what was only held up on its way, as the sound goes on there.
func (b *Buffer) skippable(at int64) time.Duration {
	if b.next != 0 && at-b.next < audio.FrameSamples {
		return hopeless
	}
	return skipAbove
}

// slack is how long the sample at timestamp at would have been held, had it
// come on the fastest path.
func (b *Buffer) slack(now time.Duration, at int64) time.Duration {
	return now - media(at) - b.delay.fastest(now)
}

// ranDry makes sound up without moving on: the packets may only be late.
func (b *Buffer) ranDry() (step, *slot) {
	b.stalled += audio.PullSamples
	return b.makeUp(false)
}

// makeUp conceals 10 ms, unless that has gone on for too long.
func (b *Buffer) makeUp(advance bool) (step, *slot) {
	if b.gap += audio.PullSamples; b.gap > giveUp {
		b.playing = false
		return silent, nil
	}
	if advance && len(b.store.waiting) > 0 { // none when Put or Reset has begun anew since decide
		b.next += min(audio.PullSamples, b.store.waiting[0].at-b.next)
	}
	return conceal, nil
}

// perform appends the samples of one step to pcm. It reports whether they were
// received.
func (b *Buffer) perform(what step, packet *slot, now time.Duration) bool {
	n := len(b.pcm)
	switch what {
	case decode:
		got, err := b.decoder.Decode(packet.data[:packet.size], b.pcm[n:n+maxDecoded])
		if err != nil || got <= 0 || got > maxDecoded {
			b.decoded(packet, audio.FrameSamples, false)
			b.fill(audio.FrameSamples)
			return false
		}
		b.pcm = b.pcm[:n+got]
		b.decoded(packet, got, true)
		b.keepPace(n, now)
		return true
	case restore:
		if b.decoder.Recover(packet.data[:packet.size], b.pcm[n:n+audio.FrameSamples]) {
			b.pcm = b.pcm[:n+audio.FrameSamples]
			b.restored()
			return true
		}
	default:
		b.fill(audio.PullSamples)
	}
	return false
}

// fill appends n made-up samples.
func (b *Buffer) fill(n int) {
	at := len(b.pcm)
	b.pcm = b.pcm[:at+n]
	b.decoder.Conceal(b.pcm[at:])
	b.mu.Lock()
	b.stats.Concealed += uint64(n)
	b.mu.Unlock()
}

// decoded settles the books after a packet.
func (b *Buffer) decoded(packet *slot, n int, good bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = packet.at + int64(n)
	b.store.release(packet)
	if good {
		b.gap, b.stalled = 0, 0
		if packet.copy {
			b.stats.Recovered++
		}
	} else {
		b.stats.Damaged++
	}
}

func (b *Buffer) restored() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next += audio.FrameSamples
	b.stats.Recovered++
	b.gap, b.stalled = 0, 0
	b.delay.copies.add(audio.FrameDuration)
}
