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
		s := newSyllable(r)
		glide := (r.Float64() - 0.5) * 0.4 / float64(n)
		for i := range n {
			now := pitch * (1 + glide*float64(i))
			phase += 2 * math.Pi * now / audio.SampleRate
			swell := math.Sin(math.Pi * float64(i) / float64(n))
			pcm[at+i] = int16(9000 * swell * s.sample(phase, now))
		}
		at += n
	}
	return pcm
}

// syllable is the weight of each harmonic for a while.
type syllable struct{ formants [3]float64 }

func newSyllable(r *rand.Rand) syllable {
	return syllable{[3]float64{300 + 500*r.Float64(), 900 + 1300*r.Float64(), 2300 + 700*r.Float64()}}
}

func (s syllable) sample(phase, pitch float64) float64 {
	var sum float64
	for h := 1.0; h*pitch < 3400; h++ {
		var weight float64
		for i, f := range s.formants {
			d := (h*pitch - f) / 130
			weight += math.Exp(-d*d) / float64(i+1)
		}
		sum += (weight + 0.05/h) * math.Sin(h*phase)
	}
	return sum / 2
}
