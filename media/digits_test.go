package media

import "testing"

// TestKeysWithoutEnd: what the other end presses costs no more than it can need.
func TestKeysWithoutEnd(t *testing.T) {
	var r receivePath
	heard := 0
	for i := range uint32(10_000) {
		if _, ok := r.digitHeard(i*960, []byte{1, 10, 0, 0}); ok {
			heard++
		}
	}
	if heard != maxHeard {
		t.Errorf("%d digits were heard, want %d", heard, maxHeard)
	}
}
