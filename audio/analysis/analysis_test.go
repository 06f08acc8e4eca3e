package analysis

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/peerd/peerd/audio"
)

// voice makes n samples that, like speech, differ everywhere: coloured noise in
// syllables, with a second of pause in every four.
func voice(n int, seed uint64) []int16 {
	r := rand.New(rand.NewPCG(seed, 1))
	pcm := make([]int16, n)
	var low float64
	for i := range pcm {
		low += 0.2 * (r.NormFloat64() - low)
		if t := i % (4 * audio.SampleRate); t < 3*audio.SampleRate {
			pcm[i] = int16(12000 * low * math.Abs(math.Sin(float64(i)/7000)))
		}
	}
	return pcm
}

// near keeps the transforms of the tests short.
func near() Search { return Search{Min: -21000, Max: 20500} }

func shift(pcm []int16, by int) []int16 {
	out := make([]int16, len(pcm)+max(by, 0))
	for i, v := range pcm {
		if at := i + by; at >= 0 {
			out[at] = v
		}
	}
	return out
}

func TestKnownShifts(t *testing.T) {
	spoken := voice(4*audio.SampleRate, 1)
	for _, by := range []int{0, 1, 2400, 20000, -20000} {
		r := Correlate(spoken, shift(spoken, by), near())
		if r.Lag != by || r.Correlation < 0.9999 {
			t.Errorf("shift %d: lag %d, correlation %.4f", by, r.Lag, r.Correlation)
		}
		if len(r.Matches) != 6 { // 8 windows less the pause of two
			t.Errorf("shift %d: %d windows", by, len(r.Matches))
		}
	}
}

func TestNoiseLowersTheCorrelationByItsShare(t *testing.T) {
	spoken := voice(3*audio.SampleRate, 2)
	r := rand.New(rand.NewPCG(3, 3))
	level := RMS(spoken[:audio.SampleRate])
	heard := shift(spoken, 3000)
	for i := range heard {
		heard[i] += int16(level * r.NormFloat64())
	}
	got := Correlate(spoken, heard, near())
	if got.Lag != 3000 || math.Abs(got.Correlation-math.Sqrt(0.5)) > 0.03 {
		t.Errorf("lag %d, correlation %.3f at a signal-to-noise ratio of 0 dB", got.Lag, got.Correlation)
	}
}

func TestAnotherVoiceIsNotRecognised(t *testing.T) {
	spoken, heard := voice(3*audio.SampleRate, 4), voice(3*audio.SampleRate, 5)
	if c := MedianCorrelation(spoken, heard); c > 0.2 {
		t.Errorf("correlation %.2f between two voices", c)
	}
	if _, ok := Delay(spoken, heard); ok {
		t.Error("a delay was found")
	}
}

func TestAJumpOfTheDelayIsFollowed(t *testing.T) {
	spoken := voice(7*audio.SampleRate, 6)
	half := len(spoken) / 2
	heard := append(shift(spoken, 2000)[:half+2000], spoken[half-500:]...)
	r := Correlate(spoken, heard, near())
	if r.Correlation < 0.99 {
		t.Errorf("correlation %.3f", r.Correlation)
	}
	if first, last := r.Matches[0].Lag, r.Matches[len(r.Matches)-1].Lag; first != 2000 || last != 2500 {
		t.Errorf("lags %d and %d, want 2000 and 2500", first, last)
	}
}

func TestSpeechThatIsNotHeardCounts(t *testing.T) {
	spoken := voice(3*audio.SampleRate, 7)
	r := Correlate(spoken, spoken[:audio.SampleRate], near())
	if len(r.Matches) != 6 || r.Correlation > 0.2 {
		t.Errorf("%d windows, correlation %.2f of a third heard", len(r.Matches), r.Correlation)
	}
	if r := Correlate(spoken, nil, near()); r.Correlation != 0 || r.Recognised != 0 {
		t.Errorf("silence: %+v", r)
	}
	if r := Correlate(make([]int16, audio.SampleRate), spoken, near()); len(r.Matches) != 0 {
		t.Errorf("nothing spoken: %+v", r)
	}
}

func TestGaps(t *testing.T) {
	pcm := voice(audio.SampleRate, 8)
	for i := range pcm {
		pcm[i] |= 1
	}
	clear(pcm[1000:1480])
	clear(pcm[5000:5100])
	clear(pcm[47000:])
	got := Gaps(pcm, 480)
	if len(got) != 2 || got[0] != (Gap{1000, 480}) || got[1] != (Gap{47000, 1000}) {
		t.Errorf("gaps %v", got)
	}
}

func TestLevels(t *testing.T) {
	pcm := []int16{0, 3, -4, 0, 32767, -32768}
	if got := RMS(pcm[1:3]); math.Abs(got-math.Sqrt(12.5)) > 1e-9 {
		t.Errorf("RMS %v", got)
	}
	if RMS(nil) != 0 {
		t.Error("RMS of nothing")
	}
	if got := FirstSound(pcm, 3); got != 2 {
		t.Errorf("first sound at %d", got)
	}
	if FirstSound(pcm[:1], 0) != -1 {
		t.Error("sound in silence")
	}
	low, high := Envelope(pcm, 3)
	if low[2] != -1 || high[2] < 0.999 || low[0] != 0 || high[0] == 0 || low[1] >= 0 {
		t.Errorf("envelope %v %v", low, high)
	}
}
