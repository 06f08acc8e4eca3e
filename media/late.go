package media

import (
	"time"

	"github.com/peerd/peerd/audio"
)

// lateFrame is how much later than it could have been a frame may leave
// before it counts as late for lack of CPU: then the next one is due already.
const lateFrame = audio.FrameDuration

// strainedFrame is how late a frame leaves when the processor has more to do
// than it can: the first sign, long before anything is late.
const strainedFrame = audio.FrameDuration / 4

// lateSpan is how many frames a lateClock looks back, at least: 300 ms, more
// than a sound card keeps for a reader that is late. Who is late for longer has
// lost sound, and is on time with what comes after it.
const lateSpan = 15

// lateClock tells frames that leave too late. The earliest frame of the last
// lateSpan to twice as many sets it: so it goes with the crystal of the sound
// card, and sound that the card has lost does not make all later frames late.
type lateClock struct {
	begun time.Time // when frame 0 left
	count int
	last  time.Duration // how far the earliest frame of the span before was behind its turn
	this  time.Duration // the same of this span
}

// lateness is how much later than it could have the next frame leaves, now.
func (c *lateClock) lateness(now time.Time) time.Duration {
	if c.count == 0 {
		c.begun = now
	}
	behind := now.Sub(c.begun) - time.Duration(c.count)*audio.FrameDuration
	if c.count%lateSpan == 0 {
		c.last, c.this = c.this, behind
	}
	c.count++
	c.this = min(c.this, behind)
	return behind - min(c.last, c.this)
}
