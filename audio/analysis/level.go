package analysis

import "math"

// RMS returns the root of the mean square of pcm, 0 to 32768; 0 of none.
func RMS(pcm []int16) float64 {
	if len(pcm) == 0 {
		return 0
	}
	var sum float64
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(pcm)))
}

// FirstSound returns the first sample whose magnitude is above level, or -1.
func FirstSound(pcm []int16, level int16) int {
	for i, v := range pcm {
		if v > level || v < -level {
			return i
		}
	}
	return -1
}

// Gap is a run of zeros, in samples.
type Gap struct{ At, Len int }

// Gaps returns the runs of at least n zero samples: sound that was lost rather
// than quiet, as recordings of rooms and decoded Opus have none of them.
func Gaps(pcm []int16, n int) []Gap {
	var gaps []Gap
	run := 0
	for i, v := range pcm {
		if v == 0 {
			run++
			continue
		}
		if run >= n {
			gaps = append(gaps, Gap{At: i - run, Len: run})
		}
		run = 0
	}
	if run >= n && n > 0 {
		gaps = append(gaps, Gap{At: len(pcm) - run, Len: run})
	}
	return gaps
}

// Envelope returns the lowest and highest sample of each of n equal pieces of
// pcm, as fractions of full scale: what a drawing of the waveform needs.
func Envelope(pcm []int16, n int) (low, high []float64) {
	low, high = make([]float64, n), make([]float64, n)
	for i := range n {
		for _, v := range pcm[i*len(pcm)/n : (i+1)*len(pcm)/n] {
			low[i] = min(low[i], float64(v)/(-math.MinInt16))
			high[i] = max(high[i], float64(v)/(-math.MinInt16))
		}
	}
	return low, high
}
