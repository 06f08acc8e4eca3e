package playout

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
)

// hum decodes every packet to the same whole periods of a sine.
type hum struct {
	wave
	pcm [audio.FrameSamples]int16
}

func newHum() *hum {
	var h hum
	for i := range h.pcm {
		h.pcm[i] = int16(10000 * math.Sin(2*math.Pi*waveHz*float64(i)/audio.SampleRate))
	}
	return &h
}

func (h *hum) Decode(_ []byte, pcm []int16) (int, error) { return copy(pcm, h.pcm[:]), nil }

// TestSoakClockDriftOfADay: two sound cards whose clocks differ by 200 ppm, for
// 24 hours. In a short run, half an hour.
func TestSoakClockDriftOfADay(t *testing.T) {
	long := 30 * time.Minute
	if os.Getenv("PEERD_SOAK") != "" {
		long = 24 * time.Hour
	}
	for _, ppm := range []float64{-200, 200} {
		least, most, jump := drift(t, ppm, long)
		t.Logf("%+.0f ppm for %v: delay %v to %v, largest jump %d", ppm, long, least, most, jump)
		if most-least > 5*time.Millisecond {
			t.Errorf("%+.0f ppm: delay between %v and %v", ppm, least, most)
		}
		if jump > 600 { // a 200 Hz sine of this loudness makes 262, a splice of it no more than twice that
			t.Errorf("%+.0f ppm: a jump of %d between two samples", ppm, jump)
		}
	}
}

// drift returns the smallest and the largest delay after the first minute, and
// the largest step between two samples.
func drift(t *testing.T, ppm float64, long time.Duration) (least, most time.Duration, jump int) {
	t.Helper()
	b := New(newHum())
	out := make([]int16, audio.PullSamples)
	frames := int64(long / audio.FrameDuration)
	arrives := func(i int64) time.Duration {
		return time.Duration(float64(i+1)*float64(audio.FrameDuration)*(1-ppm/1e6)) + 5*time.Millisecond
	}
	next, last := int64(0), int16(0)
	payload := packet(0)
	least = time.Hour
	for now := 3 * time.Millisecond; next < frames; now += audio.PullDuration {
		for ; arrives(next) <= now; next++ {
			b.Put(arrives(next), uint16(next), uint32(next*audio.FrameSamples), payload)
		}
		b.Pull(now, out)
		for _, v := range out {
			jump, last = max(jump, int(math.Abs(float64(v)-float64(last)))), v
		}
		if d := b.Stats().Delay; now > time.Minute {
			least, most = min(least, d), max(most, d)
		}
	}
	if s := b.Stats(); s.Concealed > 0 || s.Late > 0 || s.Waiting > 3 {
		t.Errorf("%+.0f ppm: %+v", ppm, s)
	}
	return least, most, jump
}
