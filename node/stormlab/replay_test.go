//go:build !race

package stormlab_test

import (
	"strings"
	"testing"

	"github.com/peerd/peerd/node/stormlab"
)

// TestALabNodesTraceReplays records a bootstrap node of this lab.
func TestALabNodesTraceReplays(t *testing.T) {
	var text strings.Builder
	s := stormlab.Default("ours", stormlab.Cold, stormlab.Fast, 10)
	s.Trace = &text
	if r := stormlab.Run(t, s); r.NeverBack > 0 {
		t.Errorf("%d are not back: %v", r.NeverBack, r.Why)
	}
	report, err := stormlab.Replay(t, strings.NewReader(text.String()))
	if err != nil || !report.Same || report.Decisions["come"] == 0 {
		t.Errorf("%+v, %v", report, err)
	}
}
