package wavfile

import (
	"math"

	"github.com/peerd/peerd/audio"
)

// The filter: a Kaiser-windowed sinc, 16 zero crossings to either side of the
// middle, which passes 90 % of the band and lets through about -80 dB of what
// is beyond. It is tabulated at 480 positions between two samples: for every
// rate in common use those are all that occur; between them the two neighbours
// are blended, whose error is below 16 bits.
const (
	crossings = 16
	phases    = 480
	cutoff    = 0.95 // of the lower of both Nyquist frequencies; middle of the slope
	kaiser    = 8.0  // beta
)

// kernel is the filter for one old rate. It is not changed after it was made, so
// that many readers may share it.
type kernel struct {
	rate int64       // old rate, Hz
	half int         // samples on either side that the filter reaches
	taps [][]float32 // phases+1 filters of 2*half samples each; nil: nothing to do
}

// newKernel computes the filter, which takes a millisecond or more.
func newKernel(rate int) *kernel {
	k := &kernel{rate: int64(rate)}
	if rate == audio.SampleRate {
		return k
	}
	scale := math.Min(1, float64(audio.SampleRate)/float64(rate)) * cutoff
	k.half = int(math.Ceil(crossings / scale))
	k.taps = make([][]float32, phases+1)
	for p := range k.taps {
		k.taps[p] = filter(k.half, scale, float64(p)/phases)
	}
	return k
}

// resampler turns sound of any rate into 48 kHz (J. O. Smith, "Digital Audio
// Resampling", 1984: windowed-sinc interpolation).
type resampler struct {
	*kernel
	in func([]float32) int // gives the next samples at the old rate

	window []float32 // old samples; window[0] is sample first
	first  int64     // may be negative: silence before the sound
	total  int64     // old samples seen so far
	ended  bool      // total is all there is
	next   int64     // new samples made so far
}

func newResampler(k *kernel, in func([]float32) int) *resampler {
	r := &resampler{kernel: k, in: in}
	if k.half > 0 {
		r.window = make([]float32, k.half-1) // silence before the sound
		r.first = int64(1 - k.half)
	}
	return r
}

// filter returns the 2*half weights for a point that lies frac of the way from
// the half-th sample to the next one.
func filter(half int, scale, frac float64) []float32 {
	w := make([]float64, 2*half)
	var sum float64
	for i := range w {
		t := float64(i-half+1) - frac
		w[i] = sinc(scale*t) * kaiserWindow(t/float64(half))
		sum += w[i]
	}
	taps := make([]float32, len(w))
	for i := range w {
		taps[i] = float32(w[i] / sum) // exactly 1 at 0 Hz for every phase
	}
	return taps
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

func kaiserWindow(x float64) float64 {
	if x <= -1 || x >= 1 {
		return 0
	}
	return bessel(kaiser*math.Sqrt(1-x*x)) / bessel(kaiser)
}

// bessel is the modified Bessel function of the first kind of order 0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-12*sum; k++ {
		term *= (x / (2 * k)) * (x / (2 * k))
		sum += term
	}
	return sum
}

// read fills pcm with the next new samples; fewer only at the end.
func (r *resampler) read(pcm []int16) int {
	if r.taps == nil {
		return r.copy(pcm)
	}
	for i := range pcm {
		at, rest := r.position(r.next)
		r.fill(at)
		if r.ended && at >= r.total {
			return i
		}
		w := r.window[at-r.first-int64(r.half)+1:]
		pcm[i] = round(r.interpolate(w[:2*r.half], rest))
		r.next++
	}
	return len(pcm)
}

// position returns where new sample n lies on the old time line: in or after
// the old sample at, rest 48000ths of a sample further.
func (r *resampler) position(n int64) (at, rest int64) {
	whole, part := n/audio.SampleRate, n%audio.SampleRate
	return whole*r.rate + part*r.rate/audio.SampleRate, part * r.rate % audio.SampleRate
}

func (r *resampler) interpolate(w []float32, rest int64) float32 {
	const step = audio.SampleRate / phases
	p, between := rest/step, rest%step
	y := dot(w, r.taps[p])
	if between == 0 {
		return y
	}
	f := float32(between) / step
	return y + f*(dot(w, r.taps[p+1])-y)
}

func dot(a, b []float32) float32 {
	var even, odd float32
	b = b[:len(a)]
	for i := 0; i+1 < len(a); i += 2 {
		even += a[i] * b[i]
		odd += a[i+1] * b[i+1]
	}
	return even + odd
}

// fill reads on until the window reaches half samples beyond at, with silence
// after the end, and forgets what no filter will ask for again.
func (r *resampler) fill(at int64) {
	if at+int64(r.half) < r.first+int64(len(r.window)) {
		return
	}
	if old := at - int64(r.half) + 1 - r.first; old > 0 {
		r.window = r.window[:copy(r.window, r.window[min(old, int64(len(r.window))):])]
		r.first += old
	}
	missing := int(at + int64(r.half) + 1 - r.first - int64(len(r.window)))
	chunk := make([]float32, max(missing, 2048))
	if !r.ended {
		n := r.in(chunk)
		r.total += int64(n)
		r.ended = n < len(chunk)
	}
	r.window = append(r.window, chunk...)
}

// copy is read where the rate is right already.
func (r *resampler) copy(pcm []int16) int {
	if cap(r.window) < len(pcm) {
		r.window = make([]float32, len(pcm))
	}
	n := r.in(r.window[:len(pcm)])
	for i, v := range r.window[:n] {
		pcm[i] = round(v)
	}
	return n
}

func round(v float32) int16 {
	return int16(math.Round(float64(max(math.MinInt16, min(math.MaxInt16, v)))))
}
