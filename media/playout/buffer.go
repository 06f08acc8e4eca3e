// Package playout turns packets that arrive at odd times into sound at an even
// pace. It holds each packet just long enough (delay.go), conceals or restores
// what does not come, and shortens or lengthens the sound (stretch.go) so that
// the delay follows the network up and down. Time is an argument everywhere.
//
//	Put (network, any time)  -> store, sorted by timestamp -+
//	Pull (sound card, 10 ms) <- decoded samples <- decode,  |
//	                            restore, conceal, stretch <-+
package playout

import (
	"sync"
	"time"

	"github.com/peerd/peerd/audio"
)

const (
	maxDecoded = 5760 // samples of the longest packet, 120 ms (RFC 6716 section 2.1.4)
	// giveUp is how long sound is made up before the buffer is silent and
	// begins anew with the next packet, samples.
	giveUp = 5760
	// absent is how long nothing may come before silence is no longer counted
	// as concealment: the other end is on hold or sends nothing in pauses.
	absent = time.Second
	// jump is a step between timestamps that means a new beginning, samples.
	jump = 5 * audio.SampleRate
	// farCopy is how much older than the newest packet a copy may be, samples.
	farCopy = audio.SampleRate / 2
	// skipAbove is the surplus of delay at a new beginning above which packets
	// are skipped: there is nothing to be spoilt by it then.
	skipAbove = 20 * time.Millisecond
)

// Buffer is the playout buffer of one stream. Put and Pull may be called by
// different goroutines; Put waits for nothing but a short lock.
type Buffer struct {
	decoder audio.Decoder // used by Pull alone
	pcm     []int16       // used by Pull alone: decoded, not handed out yet
	pace    pacer         // used by Pull alone
	ahead   slot          // used by Pull alone: the packet that is to restore the one before it

	mu      sync.Mutex // guards all below
	store   store
	delay   estimator
	seq     sequence
	stats   Stats
	reset   bool
	begun   bool          // a packet has come since the last beginning
	newest  int64         // highest timestamp, unwrapped
	playing bool          // next is valid
	next    int64         // timestamp of the first sample that is not decoded yet
	stalled int64         // samples made up since the store ran empty
	gap     int64         // samples made up in a row
	asked   int64         // timestamp of the last packet that was to restore the one before it
	arrival time.Duration // of the last packet
	transit time.Duration // of the last packet, for the jitter
	have    frames
}

// frames remembers which frames have come.
type frames [512]int64 // timestamp + 1, by multiples of 2.5 ms

// add notes a frame; it reports whether it is new.
func (f *frames) add(at int64) bool {
	cell := &f[at/(audio.FrameSamples/8)%int64(len(f))]
	fresh := *cell != at+1
	*cell = at + 1
	return fresh
}

// New makes an empty buffer. The decoder stays the caller's to close, after
// the last Pull.
func New(decoder audio.Decoder) *Buffer {
	return &Buffer{
		decoder: decoder, store: newStore(),
		pcm: make([]int16, 0, 2*maxDecoded+maxLag),
	}
}

// Put takes a packet that arrived at now. The payload is copied.
func (b *Buffer) Put(now time.Duration, seq uint16, timestamp uint32, payload []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	duplicate, reordered := b.seq.add(seq)
	if duplicate {
		b.stats.Duplicate++
		return
	}
	if reordered {
		b.stats.Reordered++
	}
	at := b.unwrap(timestamp)
	b.arrival = now
	transit := now - media(at)
	b.jitter(transit)
	b.delay.add(now, transit)
	if fresh := b.have.add(at); fresh {
		b.delay.copies.add(0)
		b.keep(at, payload, false)
	}
}

// Begun tells whether a packet has come.
func (b *Buffer) Begun() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begun
}

// PutCopy takes a frame that came again at now, later than its own packet was
// sent: its timing says nothing about the network.
func (b *Buffer) PutCopy(now time.Duration, timestamp uint32, payload []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.newest + int64(int32(timestamp-uint32(b.newest)))
	if !b.begun || b.newest-at > farCopy || at < 0 || !b.have.add(at) {
		return
	}
	b.arrival, b.newest = now, max(b.newest, at)
	// What came too late is learnt from as well.
	b.delay.copies.add(now - b.transit - media(at))
	b.keep(at, payload, true)
}

// keep stores a frame that has not come before.
func (b *Buffer) keep(at int64, payload []byte, isCopy bool) {
	if b.playing && at < b.next {
		if !isCopy {
			b.stats.Late++
		}
		return
	}
	if b.store.put(at, payload, isCopy) {
		b.stats.Late++
	}
}

// Lost is how many packets have not come.
func (b *Buffer) Lost() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seq.lost()
}

// Note takes the sequence number of a packet of the same stream that is not
// sound, so that it does not count as lost.
func (b *Buffer) Note(seq uint16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq.add(seq)
}

// Reset forgets all packets and begins anew; the counters stay.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.restart()
}

func (b *Buffer) restart() {
	b.store.clear()
	b.delay = estimator{}
	b.have = frames{}
	b.reset, b.begun, b.playing, b.next = true, false, false, 0
	b.stalled, b.gap = 0, 0
}

// unwrap makes a timestamp 64 bits wide. A large step is a new beginning.
func (b *Buffer) unwrap(timestamp uint32) int64 {
	step := int64(int32(timestamp - uint32(b.newest)))
	if b.begun && (step > jump || step < -jump) {
		b.restart()
	}
	if !b.begun {
		b.begun, b.newest, b.transit = true, 1<<32+int64(timestamp), 0
		return b.newest
	}
	at := b.newest + step
	b.newest = max(b.newest, at)
	return at
}

// jitter is the estimate of RFC 3550 section 6.4.1.
func (b *Buffer) jitter(transit time.Duration) {
	if b.transit != 0 {
		b.stats.Jitter += ((transit - b.transit).Abs() - b.stats.Jitter) / 16
	}
	b.transit = transit
}

// Stats returns the counters.
func (b *Buffer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Expected, s.Lost = b.seq.expected(), b.seq.lost()
	s.Target, s.Waiting = b.delay.target, len(b.store.waiting)
	return s
}

// Report returns what has been received since the last Report; ok is false
// before the first packet.
func (b *Buffer) Report() (r Report, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.seq.begun {
		return r, false
	}
	r = b.seq.report()
	r.Jitter = uint32(b.stats.Jitter * audio.SampleRate / time.Second)
	return r, true
}
