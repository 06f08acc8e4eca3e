package tone

import (
	"math"
	"testing"
	"testing/synctest"

	"github.com/peerd/peerd/audio"
)

type deaf struct{}

func (deaf) Pull([]int16) {}

func TestToneIsHeardAtOnceAndIsNotTooLoud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Device{}.Open(deaf{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		second := make([]int16, audio.SampleRate)
		if err := s.Read(second); err != nil {
			t.Fatal(err)
		}
		if a4, other := power(second, rootHz), power(second, 550); a4 < 1000 || other > a4/100 {
			t.Errorf("power %.0f at 440 Hz, %.0f at 550 Hz", a4, other)
		}
		for i, v := range second {
			if v > 4200 || v < -4200 {
				t.Fatalf("sample %d is %d", i, v)
			}
		}
		if power(second[:audio.FrameSamples*2], rootHz) < 500 {
			t.Error("nothing is heard in the first 40 ms")
		}
	})
}

func TestToneRepeatsWithoutAClick(t *testing.T) {
	for n := int64(2*audio.SampleRate - 5); n < 2*audio.SampleRate+5; n++ {
		if step := int(sample(n)) - int(sample(n-1)); step > 300 || step < -300 {
			t.Errorf("a step of %d at sample %d", step, n)
		}
	}
}

// power is the amplitude of pcm at one frequency (Goertzel's sum, written out).
func power(pcm []int16, hz float64) float64 {
	var re, im float64
	for i, v := range pcm {
		a := 2 * math.Pi * hz * float64(i) / audio.SampleRate
		re += float64(v) * math.Cos(a)
		im += float64(v) * math.Sin(a)
	}
	return 2 * math.Hypot(re, im) / float64(len(pcm))
}
