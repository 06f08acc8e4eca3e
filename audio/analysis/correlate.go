// Package analysis measures what a call did to sound: how like the heard is to
// the spoken, how much later it came, and where it has holes. It works on
// whole recordings in peerd's format, 48 kHz mono, and changes nothing.
package analysis

import (
	"math"
	"slices"

	"github.com/peerd/peerd/audio"
)

// Window is the length of the pieces that are compared, in samples: 0.5 s.
const Window = audio.SampleRate / 2

// silence is the level below which a window says nothing: an RMS of 100, about
// 50 dB below full scale.
const silence = 100.0

// likeness is the correlation from which on a window's lag is believed.
const likeness = 0.5

// Search bounds the lags that are tried, in samples. A lag is how many samples
// later in heard a sound is found than in spoken; recordings that were started
// at different moments may have negative ones.
type Search struct {
	Min, Max int
}

// DefaultSearch tries -0.5 s to 1.5 s: recordings started within half a second
// of each other, and a second of delay.
func DefaultSearch() Search {
	return Search{Min: -audio.SampleRate / 2, Max: audio.SampleRate * 3 / 2}
}

// Match is how one window of the spoken was found again in the heard.
type Match struct {
	At          int     // first sample of the window in spoken
	Lag         int     // samples, where the correlation is highest
	Correlation float64 // -1 .. 1, normalised by the energy of both
}

// Result sums up all windows.
type Result struct {
	Correlation float64 // median over the windows that are not silent
	Lag         int     // samples, median over the windows that were recognised
	Recognised  int     // windows with a correlation of at least 0.5
	Matches     []Match // windows that are not silent, in order
}

// Correlate compares each window of spoken with heard, at the lag within s that
// fits it best. Windows in which nothing is said are left out; speech that heard
// has nothing of counts as correlation 0.
func Correlate(spoken, heard []int16, s Search) Result {
	var r Result
	m := newMatcher(s)
	for at := 0; at+Window <= len(spoken); at += Window {
		if RMS(spoken[at:at+Window]) >= silence {
			r.Matches = append(r.Matches, m.match(spoken, heard, at))
		}
	}
	var all []float64
	var lags []int
	for _, w := range r.Matches {
		all = append(all, w.Correlation)
		if w.Correlation >= likeness {
			lags = append(lags, w.Lag)
		}
	}
	r.Correlation, r.Lag, r.Recognised = median(all), median(lags), len(lags)
	return r
}

// MedianCorrelation is the correlation of Correlate with the default search.
func MedianCorrelation(spoken, heard []int16) float64 {
	return Correlate(spoken, heard, DefaultSearch()).Correlation
}

// Delay returns by how many samples heard lags behind spoken; ok is false where
// nothing of spoken was recognised.
func Delay(spoken, heard []int16) (lag int, ok bool) {
	r := Correlate(spoken, heard, DefaultSearch())
	return r.Lag, r.Recognised > 0
}

// matcher finds one window at a time, by the cross-correlation theorem.
type matcher struct {
	s     Search
	reach int // samples of heard that a window is compared with
	fft   *fft
	both  []complex128 // the window as real part, the sound as imaginary part
	lags  []float64
}

func newMatcher(s Search) *matcher {
	m := &matcher{s: s, reach: s.Max - s.Min + Window}
	n := 1
	for n < m.reach { // lags up to reach-Window do not wrap around
		n *= 2
	}
	m.fft, m.both, m.lags = newFFT(n), make([]complex128, n), make([]float64, s.Max-s.Min+1)
	return m
}

// match finds the window of spoken that begins at at.
func (m *matcher) match(spoken, heard []int16, at int) Match {
	clear(m.both)
	var own, under float64
	for i := range m.reach {
		theirs := sample(heard, at+m.s.Min+i)
		if i >= Window {
			m.both[i] = complex(0, theirs)
			continue
		}
		mine := sample(spoken, at+i)
		m.both[i] = complex(mine, theirs)
		own += mine * mine
		under += theirs * theirs
	}
	best := Match{At: at}
	for i, product := range m.products() {
		if under >= Window { // else an RMS below 1: nothing to compare with
			if c := product / math.Sqrt(own*under); c > best.Correlation {
				best.Correlation, best.Lag = c, m.s.Min+i
			}
		}
		in, out := sample(heard, at+m.s.Min+i+Window), sample(heard, at+m.s.Min+i)
		under += in*in - out*out // whole numbers below 2^53: exact
	}
	return best
}

// products returns the inner product of the window with the sound at each lag.
// The spectra of both come out of one transform, as they are real: the even part
// of its spectrum is the window's, the odd part i times the sound's.
func (m *matcher) products() []float64 {
	n := len(m.both)
	m.fft.transform(m.both)
	product := make([]complex128, n)
	for k, z := range m.both {
		w := conj(m.both[(n-k)%n])
		window, sound := (z+w)/2, (z-w)/2i
		product[k] = window * conj(sound) // conjugate, so that transforming again inverts
	}
	m.fft.transform(product)
	for i := range m.lags {
		m.lags[i] = real(product[i]) / float64(n)
	}
	return m.lags
}

func conj(z complex128) complex128 { return complex(real(z), -imag(z)) }

// sample returns pcm[i], or 0 outside.
func sample(pcm []int16, i int) float64 {
	if i < 0 || i >= len(pcm) {
		return 0
	}
	return float64(pcm[i])
}

// median returns the middle value, the lower of two, or 0 of none.
func median[T int | float64](v []T) T {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return v[(len(v)-1)/2]
}
