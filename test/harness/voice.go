package harness

import (
	"math"
	"math/rand/v2"

	"github.com/peerd/peerd/audio"
)

// Voice speaks for some seconds in a voice of its own: a glottal tone whose
// pitch wanders, shaped by formants that change with each syllable. It is made,
// not recorded, so that no two voices and no two moments of one are alike.
func Voice(seconds int, seed uint64) []int16 {
	r := rand.New(rand.NewPCG(seed, 0x70656572))
	pcm := make([]int16, seconds*audio.SampleRate)
	pitch := 95 + 110*r.Float64() // Hz
	phase := 0.0
	for at := 0; at < len(pcm); {
		n := min(len(pcm)-at, audio.SampleRate*(120+r.IntN(160))/1000)
		weights := syllable(r, pitch)
		glide := (r.Float64() - 0.5) / float64(n)
		for i := range n {
			phase += 2 * math.Pi * pitch * (1 + glide*float64(i)) / audio.SampleRate
			swell := math.Sin(math.Pi * float64(i) / float64(n))
			pcm[at+i] = int16(4500 * swell * harmonics(weights, phase))
		}
		at += n
	}
	return pcm
}

// syllable is the weight of each harmonic of a tone, below 2.3 kHz so that a
// glide of half an octave stays in the band of speech.
func syllable(r *rand.Rand, pitch float64) []float64 {
	formants := [3]float64{300 + 500*r.Float64(), 900 + 900*r.Float64(), 1900 + 400*r.Float64()}
	weights := make([]float64, int(2300/pitch))
	for h := range weights {
		weights[h] = 0.05 / float64(h+1)
		for i, f := range formants {
			d := (float64(h+1)*pitch - f) / 130
			weights[h] += math.Exp(-d*d) / float64(i+1)
		}
	}
	return weights
}

// harmonics sums weights[h] sin((h+1) phase).
func harmonics(weights []float64, phase float64) (sum float64) {
	before, now, twice := 0.0, math.Sin(phase), 2*math.Cos(phase)
	for _, w := range weights {
		sum += w * now
		before, now = now, twice*now-before
	}
	return sum
}
