// Package clockcard is a sound card without hardware: it captures and plays on
// the machine's monotonic clock as a real card does on its crystal. The file,
// tone and null devices are this card with different things plugged in.
//
// Time on the card is counted in samples since Open. Block k of 480 samples
// leaves the loudspeaker from start+k*10ms on, and is pulled from the player
// Lead before that moment:
//
//	start     10ms      20ms      30ms
//	|-block 0-|-block 1-|-block 2-|
//	^pull 1   ^pull 2   ^pull 3            Lead = 10 ms
//
// Block 0 would have to be pulled before the card was opened, so the card
// starts with 10 ms of silence in its buffer. A pull that comes too late is an
// underrun: what should have been heard by then is silence, the rest of the block
// is heard in its place. Blocks that have passed whole are silence and not pulled
// at all. The clock goes on as if nothing had happened.
package clockcard

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerd/peerd/audio"
)

// Lead is how long before its first sample is heard a block is pulled. It is
// part of the delay from mouth to ear: less would turn every hiccup of the
// scheduler into an underrun, more would be heard as delay. Real cards have no
// less than this: one period that is played while the next is filled.
const Lead = audio.PullDuration

// backlogSamples is how much captured sound the card keeps for a reader that
// is late (200 ms); what is older is lost, as on a real card.
const backlogSamples = audio.SampleRate / 5

// Microphone gives what a card captures, sample after sample without end.
type Microphone interface {
	// Capture fills pcm with the next samples. It is called by the goroutine
	// that reads the card and may read a file, but should not wait for more.
	Capture(pcm []int16)
}

// Loudspeaker receives what a card plays.
type Loudspeaker interface {
	// Play takes the next samples heard; pcm is only valid during the call. It
	// is called on the card's clock and must not wait.
	Play(pcm []int16)
}

// Card is an open card; it implements audio.Stream.
type Card struct {
	start     time.Time // moment of sample 0, with its monotonic reading
	mic       Microphone
	speaker   Loudspeaker
	player    audio.Player
	release   func() error
	underruns atomic.Uint64
	overruns  atomic.Uint64

	reading  sync.Mutex // held by Read; guards captured and mic
	captured int64      // samples given to readers, or lost

	closing  chan struct{}
	played   chan struct{} // closed when the playing goroutine has ended
	once     sync.Once
	closeErr error
}

// Open starts a card whose sample 0 is the moment start, which should be now.
// mic or speaker may be nil: silence is captured, sound is thrown away.
// release, unless nil, is called once by Close after the last use of both.
func Open(start time.Time, play audio.Player, mic Microphone, speaker Loudspeaker, release func() error) *Card {
	c := &Card{
		start: start, mic: mic, speaker: speaker, player: play, release: release,
		closing: make(chan struct{}), played: make(chan struct{}),
	}
	go c.play()
	return c
}

// Read implements audio.Stream. A reader more than 200 ms behind the clock
// loses the oldest samples.
func (c *Card) Read(pcm []int16) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.dropOld(int64(len(pcm)))
	if !c.waitUntil(c.moment(c.captured + int64(len(pcm)))) {
		return io.EOF
	}
	c.capture(pcm)
	return nil
}

// dropOld skips what a reader that now asks for want samples has left too long.
func (c *Card) dropOld(want int64) {
	oldest := samples(time.Since(c.start)) - max(want, backlogSamples)
	if oldest <= c.captured {
		return
	}
	c.overruns.Add(1)
	var scrap [audio.PullSamples]int16
	for c.captured < oldest {
		c.capture(scrap[:min(audio.PullSamples, oldest-c.captured)])
	}
}

func (c *Card) capture(pcm []int16) {
	c.captured += int64(len(pcm))
	if c.mic == nil {
		clear(pcm)
		return
	}
	c.mic.Capture(pcm)
}

// play is the loudspeaker's clock.
func (c *Card) play() {
	defer close(c.played)
	block := make([]int16, audio.PullSamples)
	c.speak(block)
	for k := int64(1); c.waitUntil(c.moment(k * audio.PullSamples).Add(-Lead)); k++ {
		for ; c.late(k) >= audio.PullSamples; k++ {
			clear(block)
			c.heardLate(block)
		}
		c.player.Pull(block)
		if late := min(c.late(k), audio.PullSamples); late > 0 {
			clear(block[:late])
			c.heardLate(block)
		} else {
			c.speak(block)
		}
	}
}

// late returns how many samples of block k should have been heard by now; none
// if it is not positive.
func (c *Card) late(k int64) int64 { return samples(time.Since(c.start)) - k*audio.PullSamples }

// heardLate plays a block that lacks its beginning, or all of it.
func (c *Card) heardLate(block []int16) {
	c.underruns.Add(1)
	c.speak(block)
}

func (c *Card) speak(pcm []int16) {
	if c.speaker != nil {
		c.speaker.Play(pcm)
	}
}

// moment returns when sample n is captured or heard.
func (c *Card) moment(n int64) time.Time {
	whole, rest := n/audio.SampleRate, n%audio.SampleRate
	return c.start.Add(time.Duration(whole)*time.Second + time.Duration(rest)*time.Second/audio.SampleRate)
}

// samples returns how many samples fit into d.
func samples(d time.Duration) int64 {
	whole, rest := d/time.Second, d%time.Second
	return int64(whole)*audio.SampleRate + int64(rest*audio.SampleRate/time.Second)
}

// waitUntil waits for an absolute moment, so that lateness never adds up. It
// returns false when the card is closed.
func (c *Card) waitUntil(t time.Time) bool {
	select {
	case <-c.closing:
		return false
	default:
	}
	d := time.Until(t)
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.closing:
		return false
	}
}

// Start returns the moment of sample 0.
func (c *Card) Start() time.Time { return c.start }

// Underruns implements audio.Stream: blocks of 10 ms that were silence, in part
// or whole, because their pull came too late.
func (c *Card) Underruns() uint64 { return c.underruns.Load() }

// Overruns counts the reads that came so late that captured sound was lost.
func (c *Card) Overruns() uint64 { return c.overruns.Load() }

// Close implements audio.Stream.
func (c *Card) Close() error {
	c.once.Do(func() {
		close(c.closing)
		<-c.played
		c.reading.Lock() // a Read under way ends first
		defer c.reading.Unlock()
		if c.release != nil {
			c.closeErr = c.release()
		}
	})
	return c.closeErr
}
