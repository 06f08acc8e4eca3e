//go:build !race

package stormlab

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// figure is one number of a result that less of is better.
type figure struct {
	name  string
	unit  string
	floor float64 // what counts as nothing
	of    func(Result) float64
}

func figures() []figure {
	late := func(t float64, r Result) float64 {
		if t < 0 {
			return r.HorizonS
		}
		return t
	}
	return []figure{
		{"T50", "s", 0.1, func(r Result) float64 { return late(r.T50, r) }},
		{"T99", "s", 0.1, func(r Result) float64 { return late(r.T99, r) }},
		{"T100", "s", 0.1, func(r Result) float64 { return late(r.T100, r) }},
		{"never back", "", 0.5, func(r Result) float64 { return float64(r.NeverBack) }},
		{"attempts per success", "", 0.2, func(r Result) float64 { return r.AttemptsPerSuccess }},
		{"wasted per success", "", 0.02, func(r Result) float64 { return r.WastedPerSuccess }},
		{"bootstrap share", "", 0.02, func(r Result) float64 { return r.BootstrapAttemptShare }},
		{"busiest node", "", 0.2, func(r Result) float64 { return r.PeakBusy }},
		{"queue p99", "ms", 5, func(r Result) float64 { return r.QueueP99MS }},
		{"goodput lost", "", 0.05, func(r Result) float64 { return 1 - r.Goodput }},
		{"logged out", "", 0.5, func(r Result) float64 { return float64(r.LoggedOutOver5s) }},
		{"calls dropped", "", 0.5, func(r Result) float64 { return float64(r.CallsDropped) }},
		{"echo", "", 0.1, func(r Result) float64 { return r.EchoLoad }},
	}
}

// effect is what one figure of one scenario does without a mechanism.
type effect struct {
	scenario      string
	fig           figure
	with, without float64
	share         float64 // by how much it is worse
}

const ablationRuns = 30

// ablated runs a scenario ablationRuns times.
func ablated(t *testing.T, name string, without []string) []Result {
	t.Helper()
	return many(t, ablationRuns, func(seed uint64) Options {
		o := Options{Scenario: name, Seed: seed, Without: without, Change: shortLoad}
		switch name {
		case "cold", "flash-crowd":
			o.Nodes = 3000 // where one bootstrap node cannot know everybody
		case "rolling", "echo": // they last
			o.Nodes = 300
		case "skype-2010": // millions of questions
			o.Nodes = 150
		}
		return o
	})
}

// shortLoad makes a load of half a minute one of five seconds, which shows it as
// well.
func shortLoad(sc *Scenario) {
	if sc.Load > 0 {
		sc.Horizon, sc.LoadFor = 20*time.Second, 5*time.Second
	}
}

// many performs runs with seeds from 0 on, as many at a time as there are processors.
func many(t *testing.T, runs int, options func(seed uint64) Options) []Result {
	t.Helper()
	results := make([]Result, runs)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(runs); i = next.Add(1) - 1 {
				results[i] = simulate(t, options(uint64(i)))
			}
		})
	}
	wg.Wait()
	return results
}

// compare returns the effects that are more than chance, the worst first.
func compare(name string, with, without []Result) []effect {
	var list []effect
	for _, f := range figures() {
		a, b, spread := 0.0, 0.0, 0.0
		n := float64(len(with))
		for i := range with {
			a += f.of(with[i]) / n
			b += f.of(without[i]) / n
		}
		for i := range with {
			d := f.of(without[i]) - f.of(with[i]) - (b - a)
			spread += d * d / (n - 1)
		}
		if b-a > 2*math.Sqrt(spread/n) {
			list = append(list, effect{name, f, a, b, (b - a) / max(a, f.floor)})
		}
	}
	slices.SortFunc(list, func(x, y effect) int { return cmp.Compare(y.share, x.share) })
	return list
}

// TestAblation writes the table of what each mechanism is good for into the file
// that PEERD_ABLATION names. It fails if one is good for nothing.
func TestAblation(t *testing.T) {
	path := os.Getenv("PEERD_ABLATION")
	if path == "" {
		t.Skip("a long run: make storm-ablation")
	}
	scenarios := []string{"warm", "warm90", "cold", "skype-2007", "skype-2010", "flash-crowd", "attack", "rolling", "echo"}
	with := map[string][]Result{}
	for _, sc := range scenarios {
		with[sc] = ablated(t, sc, nil)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# What each mechanism is good for\n\nMade by `make storm-ablation`: %d runs of each scenario (1,000 nodes; cold and flash-crowd 3,000; rolling and\necho 300; skype-2010 150) with all mechanisms and without one. Shown are the three figures that suffer most, as\nthe mean with and without; a difference counts only if it is more than twice its standard error. A mechanism that nothing misses by a tenth\nis removed.\n\n", ablationRuns)
	fmt.Fprintf(&b, "| without | scenario and figure | with | without | worse by |\n|---|---|---|---|---|\n")
	for _, m := range storm.Mechanisms() {
		var all []effect
		for _, sc := range scenarios {
			all = append(all, compare(sc, with[sc], ablated(t, sc, []string{m}))...)
		}
		slices.SortFunc(all, func(x, y effect) int { return cmp.Compare(y.share, x.share) })
		if len(all) == 0 || all[0].share < 0.1 {
			t.Errorf("%s: nothing is worse by a tenth without it", m)
			fmt.Fprintf(&b, "| %s | nothing | | | |\n", m)
		}
		for _, e := range all[:min(3, len(all))] {
			if e.share >= 0.1 {
				fmt.Fprintf(&b, "| %s | %s, %s | %.2f %s | %.2f %s | %.0f %% |\n", m, e.scenario, e.fig.name, e.with, e.fig.unit, e.without, e.fig.unit, 100*e.share)
			}
		}
		t.Logf("%s: %d figures are worse", m, len(all))
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
