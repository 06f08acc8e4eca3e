//go:build !race

package stormlab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/node/stormlab"
)

// mostUpkeep is what a node may send and receive in a second while nothing happens.
const mostUpkeep = 500.0

// How many nodes, and for how long, instead of what a test has time for.
const (
	upkeepNodes   = "UPKEEP_NODES"
	upkeepMinutes = "UPKEEP_MINUTES"
)

// TestUpkeep measures an overlay that idles.
func TestUpkeep(t *testing.T) {
	n, over := number(t, upkeepNodes, 40), time.Duration(number(t, upkeepMinutes, 10))*time.Minute
	u := stormlab.Idle(t, stormlab.Default("ours", stormlab.Warm, stormlab.Fast, n), 30*time.Minute, over)
	var text strings.Builder
	if err := u.Print(&text); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	if u.Bytes > mostUpkeep {
		t.Errorf("%.0f bytes a second, %.0f are too many", u.Bytes, mostUpkeep)
	}
}
