package overlay

import (
	"testing"
	"time"
)

// TestStrainedNodeIsPatient: who was kept waiting itself waits longer for neighbours, and
// no longer once it is not.
func TestStrainedNodeIsPatient(t *testing.T) {
	var w watched
	if w.late(20 * time.Millisecond); w.strained() != 0 {
		t.Errorf("a timer that is hardly late: %v", w.strained())
	}
	w.late(time.Second)
	if w.late(300 * time.Millisecond); w.strained() != 500*time.Millisecond {
		t.Errorf("a second late, and less a second later: %v", w.strained())
	}
	for range 10 {
		w.late(0)
	}
	if w.strained() > 10*time.Millisecond {
		t.Errorf("ten seconds later: %v", w.strained())
	}
}
