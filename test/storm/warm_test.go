//go:build !race

package storm_test

import "testing"

// TestSoakWarm restarts the fleet with nothing else on the machine: what
// "peerd storm --scenario warm --processors" has a model of.
func TestSoakWarm(t *testing.T) {
	if !soak() {
		t.Skip("it needs an idle machine: run make storm-processes")
	}
	s := &stage{t: t, size: wanted()}
	f := s.enrolAll()
	for i := range s.rounds {
		f.settle()
		f.kill()
		s.move(i)
		own := used()
		f.restart()
		t.Logf("storm %d of %d daemons alone:\n%s", i+1, len(f.members), f.tells())
		first, last := f.members[0].Begun, f.members[0].Begun
		for _, m := range f.members {
			if m.Begun.Before(first) {
				first = m.Begun
			}
			if m.Begun.After(last) {
				last = m.Begun
			}
		}
		t.Logf("all were started within %.0f ms; the test itself used %.0f ms of a processor", millis(last.Sub(first)), millis(used()-own))
		for _, who := range f.left() {
			t.Errorf("not back: %s", who)
		}
	}
}
