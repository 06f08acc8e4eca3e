// Package bench measures what a person waits for and what a machine pays: the
// built program, as processes of its own, on this machine. "make bench" runs
// it and writes docs/benchmarks.md. Times of a shared machine are noisy, so
// medians are quoted beside the extremes, and nothing here fails for being slow.
package bench

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// row is one figure: what was measured, how often, and the bound it has.
type row struct {
	what, unit string
	bound      float64
	values     []float64
}

// table collects rows; it is safe for concurrent use.
type table struct {
	mu   sync.Mutex
	rows []row
}

func (t *table) add(what, unit string, bound float64, values []float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = slices.DeleteFunc(t.rows, func(r row) bool { return r.what == what })
	t.rows = append(t.rows, row{what, unit, bound, slices.Sorted(slices.Values(values))})
}

// median of a sorted, non-empty list.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// write makes the document.
func (t *table) write(path, version string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	b.WriteString(preface)
	fmt.Fprintf(&b, "Measured on %s with %s, %d processors, peerd %s.\n\n",
		time.Now().UTC().Format("2006-01-02"), runtime.Version(), runtime.NumCPU(), version)
	b.WriteString("| figure | unit | goal | median | least | most | runs |\n|---|---|---|---|---|---|---|\n")
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s | %s | <= %g | **%.3g** | %.3g | %.3g | %d |\n",
			r.what, r.unit, r.bound, median(r.values), r.values[0], r.values[len(r.values)-1], len(r.values))
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

const preface = `# Benchmarks

Written by ` + "`make bench`" + `; do not edit. Each figure is measured from outside, on daemons that are processes of
their own, started cold (an empty home) into an overlay of two servers on this machine. Times are wall times of a
machine that may be shared: compare them with figures of the same run only.

- *start to online*: from starting the process to its own word that it is logged in.
- *start to serving*: from starting the process to the first answer of its local API.
- *call to ringing*, *answer to first sound*: as the daemons' own call records tell; the callee counts from its user's
  answer, the caller from learning of it; sound is the first decoded frame played.
- *mouth to ear*: the shift between what the microphone heard and what the loudspeaker played, on one clock, sound
  devices included (file devices, 10 ms of buffer).
- *processor per call and side*: user and system time of the daemon while it talks, less what it used idle before.

`
