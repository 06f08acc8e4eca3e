package harness

import (
	"math"
	"slices"

	"github.com/peerd/peerd/audio"
)

// The playout buffer stretches and squeezes sound where packets come late, as
// they do on a machine that is busy with other tests, so that nothing keeps its
// delay for long. Pieces are therefore short, and each is looked for anew.
const (
	thin   = 6                       // 48 kHz to 8 kHz, enough for a Voice
	rate   = audio.SampleRate / thin // Hz
	piece  = rate / 10               // 100 ms
	latest = rate / 2                // 0.5 s: the latest that a piece is looked for, and the earliest
	soft   = 100.0                   // RMS below which a piece says nothing
)

// likeness compares heard with spoken piece by piece, each at the delay that
// fits it best, and returns the median of their correlations and how many
// pieces said something. Each recording begins when its end knows that the call
// is accepted: where the caller learns it late, it hears the callee before its time.
func likeness(spoken, heard []int16) (median float64, pieces int) {
	s, h := thinned(spoken), thinned(heard)
	var all []float64
	for at := 0; at+piece <= len(s); at += piece {
		if rms(s[at:at+piece]) >= soft {
			all = append(all, bestMatch(s[at:at+piece], h[min(max(0, at-latest), len(h)):min(at+latest+piece, len(h))]))
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], len(all)
}

// thinned takes the mean of each thin samples.
func thinned(pcm []int16) []float64 {
	out := make([]float64, len(pcm)/thin)
	for i := range out {
		for _, v := range pcm[i*thin : (i+1)*thin] {
			out[i] += float64(v) / thin
		}
	}
	return out
}

// bestMatch is the highest correlation of a window with any part of sound.
func bestMatch(window, sound []float64) (best float64) {
	own := rms(window)
	for at := 0; at+len(window) <= len(sound); at++ {
		part := sound[at : at+len(window)]
		var product, energy float64
		for i, w := range window {
			product += w * part[i]
			energy += part[i] * part[i]
		}
		if energy > 0 {
			n := float64(len(window))
			best = max(best, product/n/(own*math.Sqrt(energy/n)))
		}
	}
	return best
}

func rms(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum / float64(len(v)))
}
