package node

import (
	"testing"
	"time"
)

// TestPace: a contact that is always in need of a visit gets a burst, then one a second.
func TestPace(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var p pace
	visits := 0
	for range 10_000 { // ten seconds in steps of a millisecond
		var ok bool
		if p, ok = p.take(now); ok {
			visits++
		}
		now = now.Add(time.Millisecond)
	}
	if visits < paceBurst+8 || visits > paceBurst+10 {
		t.Errorf("%d visits in 10 s", visits)
	}
	now = now.Add(time.Hour)
	for i := range paceBurst {
		var ok bool
		if p, ok = p.take(now); !ok {
			t.Errorf("visit %d after a rest has to wait", i)
		}
	}
	if _, ok := p.take(now.Add(-time.Minute)); ok {
		t.Error("a clock put back gives visits away")
	}
}
