//go:build !race

// Package storm_test restarts overlays of real processes on this machine: all are
// killed at one instant and started again at once, while others stay up, talk, and
// call each other. What is counted is judged; times are told, as the machine is shared.
package storm_test

import (
	"os"
	"testing"

	"github.com/peerd/peerd/test/harness"
)

// TestMain lets the test's own binary be the load that has nothing to do with peerd.
func TestMain(m *testing.M) {
	if share := os.Getenv(burnFor); share != "" {
		os.Exit(burn(share))
	}
	os.Exit(harness.MainPlain(m))
}

// soak says that the full size is asked for (make storm-processes, make soak), on a
// machine that does nothing else.
func soak() bool { return os.Getenv("PEERD_SOAK") != "" }
