// Package tone is a sound device that hums: for trying out a call without a
// microphone. What it plays is thrown away.
package tone

import (
	"math"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/clockcard"
)

// The sound: a fifth on A4, breathing once every two seconds, about 18 dB
// below full scale at its loudest.
const (
	rootHz   = 440.0
	fifthHz  = 660.0
	breathHz = 0.5
	loudness = 0.125 // of full scale
)

// Device is the tone device. It serves any number of calls at once, each with
// a tone that begins with its call.
type Device struct{}

// Name returns "tone".
func (Device) Name() string { return "tone" }

// Open implements audio.Device; it never fails.
func (Device) Open(play audio.Player) (audio.Stream, error) {
	return clockcard.Open(time.Now(), play, new(generator), nil, nil), nil
}

// generator is the microphone that hears the tone.
type generator struct {
	n int64 // samples made so far
}

// Capture implements clockcard.Microphone.
func (g *generator) Capture(pcm []int16) {
	for i := range pcm {
		pcm[i] = sample(g.n)
		g.n++
	}
}

// sample returns sample n of the tone. It repeats every two seconds exactly,
// as all three frequencies are multiples of the half hertz, which keeps the
// argument of the sine small for ever.
func sample(n int64) int16 {
	t := float64(n%(2*audio.SampleRate)) / audio.SampleRate
	breath := 0.75 - 0.25*math.Cos(2*math.Pi*breathHz*t)
	chord := 0.7*math.Sin(2*math.Pi*rootHz*t) + 0.3*math.Sin(2*math.Pi*fifthHz*t)
	return int16(math.MaxInt16 * loudness * breath * chord)
}
