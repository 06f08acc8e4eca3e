package pureopus

import (
	"math"

	"github.com/peerd/peerd/audio"
)

// Concealment by pitch repetition, in the manner of ITU-T G.711 Appendix I.
const (
	minPitch = 120 // samples, 400 Hz
	maxPitch = 720 // samples, 67 Hz
	compare  = 480 // samples that are compared to find the pitch
	history  = maxPitch + compare
	splice   = 120 // samples of cross-fade from the sound into its repetition

	// fadeAfter is how long a repetition keeps its loudness, fadeOver how long
	// it takes to vanish then, in samples.
	fadeAfter = 480
	fadeOver  = 5 * audio.FrameSamples / 2
)

// tail remembers the end of what was played and continues it.
type tail struct {
	past   [history]int16 // newest last
	pitch  int            // samples, while concealing
	played int            // samples made up in a row
}

// remember takes decoded sound.
func (t *tail) remember(pcm []int16) {
	t.played = 0
	t.push(pcm)
}

func (t *tail) push(pcm []int16) {
	if len(pcm) >= history {
		copy(t.past[:], pcm[len(pcm)-history:])
		return
	}
	copy(t.past[:], t.past[len(pcm):])
	copy(t.past[history-len(pcm):], pcm)
}

// extend fills pcm with repetitions of the last pitch period, fading out.
func (t *tail) extend(pcm []int16) {
	if t.played == 0 {
		t.pitch = t.findPitch()
		t.smooth()
	}
	for i := range pcm {
		pcm[i] = int16(float64(t.past[history-t.pitch+(t.played+i)%t.pitch]) * gain(t.played+i))
	}
	t.played += len(pcm)
}

// gain is the loudness after n samples made up.
func gain(n int) float64 {
	return math.Min(1, math.Max(0, 1-float64(n-fadeAfter)/fadeOver))
}

// smooth prepares the period for repetition: its end is faded into what came
// before its beginning, so that it can follow itself without a step.
func (t *tail) smooth() {
	n := min(splice, t.pitch/2)
	for i := range n {
		end, before := &t.past[history-n+i], t.past[history-t.pitch-n+i]
		*end = int16((int(*end)*(n-i) + int(before)*i) / n)
	}
}

// findPitch is the lag at which the past resembles its end most.
func (t *tail) findPitch() int {
	const step = 2
	best, lag := -1.0, maxPitch
	end := t.past[history-compare:]
	for l := minPitch; l <= maxPitch; l += step {
		var ab, bb float64
		for i, from := 0, history-compare-l; i < compare; i += step {
			a, b := float64(end[i]), float64(t.past[from+i])
			ab, bb = ab+a*b, bb+b*b
		}
		if bb == 0 || ab <= 0 {
			continue
		}
		if c := ab / math.Sqrt(bb); c > best {
			best, lag = c, l
		}
	}
	return lag
}

// blend fades from the continuation into the first decoded samples after it.
func (t *tail) blend(pcm []int16) {
	var made [fadeIn]int16
	from := made[:len(pcm)]
	t.extend(from)
	for i := range pcm {
		pcm[i] = int16((int(from[i])*(len(pcm)-i) + int(pcm[i])*i) / len(pcm))
	}
}
