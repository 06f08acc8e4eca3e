//go:build cgo

package portaudio

import "sync"

// ring joins a sound card, which moves sound in bursts, to us, who move it in
// even steps. It is safe for one writer and one reader at a time.
type ring struct {
	mu   sync.Mutex
	buf  []int16
	head int // next sample to be read
	size int // samples held
	low  int // see takeLow

	wake chan struct{} // capacity 1: something was written
}

// noReads is what takeLow returns when nothing was read.
const noReads = int(^uint(0) >> 1)

func newRing(capacity int) *ring {
	return &ring{buf: make([]int16, capacity), low: noReads, wake: make(chan struct{}, 1)}
}

// write appends pcm; where there is no room the oldest samples make way. It
// returns how many were lost.
func (r *ring) write(pcm []int16) (lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if over := len(pcm) - len(r.buf); over > 0 {
		lost, pcm = over, pcm[over:]
	}
	if over := r.size + len(pcm) - len(r.buf); over > 0 {
		lost += over
		r.skip(over)
	}
	tail := (r.head + r.size) % len(r.buf)
	n := copy(r.buf[tail:], pcm)
	copy(r.buf, pcm[n:])
	r.size += len(pcm)
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return lost
}

// read fills out, with zeros where it has too little, and returns how many
// samples were missing.
func (r *ring) read(out []int16) (missing int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.low = min(r.low, r.size-len(out))
	n := min(len(out), r.size)
	first := copy(out[:n], r.buf[r.head:])
	copy(out[first:n], r.buf)
	clear(out[n:])
	r.skip(n)
	return len(out) - n
}

// readAll fills out and returns true, or does nothing if it has too little.
func (r *ring) readAll(out []int16) bool {
	r.mu.Lock()
	enough := r.size >= len(out)
	r.mu.Unlock()
	return enough && r.read(out) == 0
}

// takeLow returns the least that was left after a read since it was last
// called: negative when that read wanted more than there was.
func (r *ring) takeLow() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	low := r.low
	r.low = noReads
	return low
}

func (r *ring) skip(n int) {
	r.head = (r.head + n) % len(r.buf)
	r.size -= n
}
