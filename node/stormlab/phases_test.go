package stormlab_test

import (
	"testing"

	"github.com/peerd/peerd/node/stormlab"
)

func TestMedianTakesNodesThatAreNotBackForTheLatest(t *testing.T) {
	runs := []stormlab.Result{{T99: -1}, {T99: 1}, {T99: 3}}
	if r := stormlab.Median(runs); r.T99 != 3 {
		t.Errorf("T99 is %v, want 3", r.T99)
	}
}
