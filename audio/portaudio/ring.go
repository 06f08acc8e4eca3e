//go:build cgo

package portaudio

import (
	"math"
	"sync/atomic"
)

// ringSamples is the room in a ring, 0.68 s at 48 kHz; a power of two.
const ringSamples = 1 << 15

// ring joins a sound card, which moves sound in bursts, to us, who move it in
// even steps. It has one writer and one reader, each a goroutine or thread of
// its own, and no lock: neither ever waits for the other, and nothing is
// allocated.
type ring struct {
	buf     [ringSamples]int16
	written atomic.Uint32 // samples, by the writer; wraps around
	taken   atomic.Uint32 // samples, by the reader; wraps around
}

// fill returns how many samples the ring holds.
func (r *ring) fill() int { return int(r.written.Load() - r.taken.Load()) }

// write appends pcm and returns how much of it found room.
func (r *ring) write(pcm []int16) int {
	n := min(len(pcm), ringSamples-r.fill())
	at := r.written.Load()
	first := copy(r.buf[at%ringSamples:], pcm[:n])
	copy(r.buf[:], pcm[first:n])
	r.written.Store(at + uint32(n))
	return n
}

// read takes at most len(pcm) samples out and returns how many.
func (r *ring) read(pcm []int16) int {
	n := min(len(pcm), r.fill())
	at := r.taken.Load()
	first := copy(pcm[:n], r.buf[at%ringSamples:])
	copy(pcm[first:n], r.buf[:])
	r.taken.Store(at + uint32(n))
	return n
}

// skip drops the oldest n samples, which must be there. It is called by the
// reader.
func (r *ring) skip(n int) { r.taken.Add(uint32(n)) }

// capture is the microphone's callback. A full ring means that nobody reads:
// what does not fit is lost.
func (r *ring) capture(in []int16) { r.write(in) }

// playback is the ring between the feeder and a loudspeaker.
type playback struct {
	ring
	low       atomic.Int32  // see takeLow
	lacked    atomic.Uint32 // see takeLacked
	underruns atomic.Uint64 // callbacks that found too little
}

// untouched is the value of low while there was no callback.
const untouched = math.MaxInt32

func newPlayback() *playback {
	p := &playback{}
	p.low.Store(untouched)
	return p
}

// play is the loudspeaker's callback: it fills all of out, with silence where
// there is too little. What is asked for before the first sound is there does
// not count.
func (p *playback) play(out []int16) {
	n := p.read(out)
	clear(out[n:])
	if n < len(out) && p.written.Load() > 0 {
		p.lacked.Add(uint32(len(out) - n))
		p.underruns.Add(1)
	}
	left := int32(p.fill())
	for low := p.low.Load(); left < low && !p.low.CompareAndSwap(low, left); {
		low = p.low.Load()
	}
}

// takeLow returns the least that a callback has left in the ring since it was
// last asked; untouched if there was none.
func (p *playback) takeLow() int { return int(p.low.Swap(untouched)) }

// takeLacked returns how many samples of silence were played for want of sound
// since it was last asked.
func (p *playback) takeLacked() int { return int(p.lacked.Swap(0)) }
