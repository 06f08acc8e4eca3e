//go:build !race

package stormlab_test

import (
	"os"
	"testing"

	"github.com/peerd/peerd/node/stormlab"
)

// TestEverybodyIsBack restarts an overlay of real nodes and holds this project's node
// against a baseline of the same run. It is built without the race detector, whose
// own memory of stacks overflows: two of five runs of 16 nodes ended in it.
func TestEverybodyIsBack(t *testing.T) {
	t.Run("cold", func(t *testing.T) { compare(t, stormlab.Cold, "stock") })
	t.Run("warm", func(t *testing.T) { compare(t, stormlab.Warm, "stock-jitter") })
}

func compare(t *testing.T, scenario stormlab.Scenario, baseline string) {
	t.Helper()
	const nodes = 50
	base := stormlab.Run(t, stormlab.Default(baseline, scenario, stormlab.Fast, nodes))
	ours := stormlab.Run(t, stormlab.Default("ours", scenario, stormlab.Fast, nodes))
	show(t, base, ours)
	if ours.NeverBack > 0 {
		t.Fatalf("%d nodes are not back: %v", ours.NeverBack, ours.Why)
	}
	if base.T90 >= 0 && ours.T90 > base.T90 {
		t.Errorf("T90 is %.2f s, with %s %.2f s", ours.T90, baseline, base.T90)
	}
}

// TestSoakEverybodyIsBack is all that can happen to 200 nodes of ours.
func TestSoakEverybodyIsBack(t *testing.T) {
	if os.Getenv("PEERD_SOAK") == "" {
		t.Skip("it takes minutes: run make soak")
	}
	var results []stormlab.Result
	for _, scenario := range []stormlab.Scenario{stormlab.Cold, stormlab.Warm, stormlab.Skype2007} {
		for _, boot := range []stormlab.Boot{stormlab.Fast, stormlab.Slow, stormlab.Late, stormlab.Small} {
			r := stormlab.Run(t, stormlab.Default("ours", scenario, boot, 200))
			results = append(results, r)
			if r.NeverBack > 0 {
				t.Errorf("%s, %s bootstrap nodes: %d nodes are not back: %v", scenario, boot, r.NeverBack, r.Why)
			}
		}
	}
	show(t, results...)
}
