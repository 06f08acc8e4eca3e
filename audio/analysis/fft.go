package analysis

import (
	"math"
	"math/bits"
	"math/cmplx"
)

// fft is the discrete Fourier transform of one length, a power of two, in place
// (Cooley and Tukey, 1965).
type fft struct {
	twiddle []complex128 // exp(-2 pi i k/n), k < n/2
}

func newFFT(n int) *fft {
	f := &fft{twiddle: make([]complex128, n/2)}
	for k := range f.twiddle {
		f.twiddle[k] = cmplx.Rect(1, -2*math.Pi*float64(k)/float64(n))
	}
	return f
}

func (f *fft) transform(x []complex128) {
	n := len(x)
	shift := bits.LeadingZeros64(uint64(n)) + 1
	for i := range x {
		if j := int(bits.Reverse64(uint64(i)) >> shift); i < j {
			x[i], x[j] = x[j], x[i]
		}
	}
	for size := 2; size <= n; size *= 2 {
		half, step := size/2, n/size
		for at := 0; at < n; at += size {
			low, high := x[at:at+half], x[at+half:at+size]
			for k := range low {
				t := f.twiddle[k*step] * high[k]
				low[k], high[k] = low[k]+t, low[k]-t
			}
		}
	}
}
