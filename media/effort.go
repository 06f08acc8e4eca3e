package media

import "time"

const (
	// fullEffort calls of a process at most are encoded as well as possible: with more,
	// what the processor gains is worth more than what they lose.
	fullEffort = 4
	// dearFrame is the time that encoding 20 ms may take of a processor, 1 %. Where most
	// frames of a second take longer the machine is slow, and less effort is enough.
	dearFrame = 200 * time.Microsecond
	judgedAt  = 50 // frames
)

// effort decides whether a call's encoder takes the processor time that the best sound
// needs. A machine once found slow is slow for the rest of the call.
type effort struct {
	slow         bool
	frames, dear int // since the last judgement
}

// encoded takes how long a packet of so many frames took.
func (e *effort) encoded(took time.Duration, frames int) {
	e.frames++
	if took > time.Duration(frames)*dearFrame {
		e.dear++
	}
	if e.frames == judgedAt {
		e.slow = e.slow || e.dear > judgedAt/2
		e.frames, e.dear = 0, 0
	}
}

// full says so of a process that encodes so many calls.
func (e *effort) full(calls int) bool { return !e.slow && calls <= fullEffort }
