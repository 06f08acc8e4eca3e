package playout

import "math"

// Lags tried for stretching, samples: pitch periods of 100 to 400 Hz.
const (
	minLag = 120
	maxLag = 480
	// window is how much sound is compared, samples.
	window = 480
	coarse = 4 // the first search takes every 4th sample

	quietRMS = 40 // of int16: too quiet for a splice to be heard
)

// bestLag finds the lag from least up to limit (minLag..maxLag) at which x resembles
// itself most, and the normalised correlation there. x holds at least
// maxLag+window samples. Quiet sound resembles itself at any lag.
func bestLag(x []int16, least, limit int) (lag int, likeness float64) {
	limit = min(limit, maxLag)
	if quiet(x[:maxLag+window]) {
		return limit, 1
	}
	likeness = -1
	for l := least; l <= limit; l += coarse {
		if c := correlation(x, l, coarse); c > likeness {
			lag, likeness = l, c
		}
	}
	middle := lag
	likeness = -1
	for l := max(least, middle-coarse+1); l <= min(limit, middle+coarse-1); l++ {
		if c := correlation(x, l, 1); c > likeness {
			lag, likeness = l, c
		}
	}
	return lag, likeness
}

func quiet(x []int16) bool {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum < quietRMS*quietRMS*float64(len(x))
}

// correlation compares x with itself lag samples later, -1..1.
func correlation(x []int16, lag, step int) float64 {
	var ab, aa, bb float64
	for i := 0; i < window; i += step {
		a, b := float64(x[i]), float64(x[i+lag])
		ab, aa, bb = ab+a*b, aa+a*a, bb+b*b
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// shorten takes lag samples out of x by fading from its beginning into what
// comes lag samples later, and returns the shorter x. x holds at least 2*lag.
func shorten(x []int16, lag int) []int16 {
	for i := range lag {
		x[i] = fade(x[i], x[i+lag], i, lag)
	}
	return append(x[:lag], x[2*lag:]...)
}

// lengthen puts lag samples into x: its first 2*lag samples, of which the
// second half fades back into the first, then x from lag on. x holds at least
// 2*lag and has room for lag more.
func lengthen(x []int16, lag int) []int16 {
	n := len(x)
	x = x[:n+lag]
	copy(x[2*lag:], x[lag:n])
	for i := range lag { // x[lag:2*lag] is still the original second period
		x[lag+i] = fade(x[lag+i], x[i], i, lag)
	}
	return x
}

func fade(from, to int16, i, n int) int16 {
	return int16((int(from)*(n-i) + int(to)*i) / n)
}
