//go:build cgo

package portaudio

import (
	"time"

	"github.com/peerd/peerd/audio"
)

const (
	margin = 4 * time.Millisecond // kept in the ring for a feeder that is late
	review = time.Second          // between two looks at how full the ring is
	asleep = 500 * time.Millisecond
)

// pace says when the feeder pulls next: every 10 ms, with the moments shifted
// so that the loudspeaker's ring is never emptier than margin and no fuller than
// the card's bursts ask for. That also follows the card's clock, which is never
// quite ours. The player stretches time over each shift.
type pace struct {
	next     time.Time
	reviewed time.Time
	low      int // least left in the ring since reviewed
}

func newPace(now time.Time) *pace { return &pace{next: now, reviewed: now, low: untouched} }

// pulled is told after each pull the least that callbacks have left in the
// ring since the pull before, and what they lacked.
func (p *pace) pulled(now time.Time, low, lacked int) {
	late := now.Sub(p.next)
	p.next = p.next.Add(audio.PullDuration)
	p.low = min(p.low, low)
	switch {
	case late > asleep: // the machine was
		p.next = now
	case lacked > 0:
		// The silence played instead has made the ring fuller by as much, as this
		// card seems to need. Where only the feeder was late, it is not.
		p.next = p.next.Add(min(late, samples(lacked)) - margin)
	case now.Sub(p.reviewed) < review:
		return
	case p.low != untouched:
		p.next = p.next.Add((samples(p.low) - margin) / 4)
	}
	p.reviewed, p.low = now, untouched
}

// samples returns how long n samples last.
func samples(n int) time.Duration { return time.Duration(n) * time.Second / audio.SampleRate }
