//go:build !race

package storm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The steps of which a restart is made, one at a time on an idle machine: what a model
// of a machine is given (stormlab.OnMachine).
const (
	loneRestarts = 10
	loneCalls    = 10
	idleFor      = 5 * time.Second
	// afterwards, what a log-in has left to do is done.
	afterwards = 2 * time.Second
)

// TestSoakSteps measures what a single restart takes of its own process and of all
// others together, and what a call takes of both ends, while nothing else goes on.
func TestSoakSteps(t *testing.T) {
	if !soak() {
		t.Skip("it needs an idle machine: run make storm-processes")
	}
	s := &stage{t: t, size: wanted()}
	f := s.enrolAll()
	f.settle()
	rest(t, idleFor)
	idle := f.idleRate()
	t.Logf("%d daemons, idle: %.2f ms of a processor a second each", len(f.members), millis(idle))
	// The death of a server has its clients look for another one, which is no part of a
	// storm in which all restart.
	clients := f.members[2+s.servers:]
	var start, own, others, took time.Duration
	peers := 0
	for i := range loneRestarts {
		m := clients[i*len(clients)/loneRestarts]
		before, begun := f.others(m), time.Now()
		m.Kill()
		if err := m.Revive(); err != nil {
			t.Fatal(err)
		}
		served := ran(m)
		m.AwaitLogin(t)
		took += time.Since(m.Begun)
		rest(t, afterwards)
		peers += m.Status().Overlay.Peers
		start, own = start+served, own+ran(m)-served
		others += f.others(m) - before - time.Duration(float64(idle)*time.Since(begun).Seconds()*float64(len(f.members)-1))
	}
	each := func(d time.Duration, n int) float64 { return millis(d) / float64(n) }
	t.Logf("one restart: online after %.0f ms, connected to %.1f; processor: %.1f ms until it serves its user, %.1f ms after that, until %v after it is online; at all others together %.1f ms",
		each(took, loneRestarts), float64(peers)/loneRestarts, each(start, loneRestarts), each(own, loneRestarts), afterwards, each(others, loneRestarts))
	var caller, callee time.Duration
	for i := range loneCalls {
		a, b := f.members[2+i], f.members[len(f.members)-1-i]
		fromA, fromB := ran(a), ran(b)
		if err := ring(a.Daemon, b.Link, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		rest(t, time.Second/2)
		caller, callee = caller+ran(a)-fromA, callee+ran(b)-fromB
	}
	t.Logf("a call that rings: %.1f ms of the caller's processor, %.1f of the callee's", each(caller, loneCalls), each(callee, loneCalls))
}

// idleRate is the processor time that one of them takes in a second.
func (f *fleet) idleRate() time.Duration {
	f.t.Helper()
	before := f.others(nil)
	rest(f.t, idleFor)
	return (f.others(nil) - before) / time.Duration(len(f.members)) / (idleFor / time.Second)
}

// others is the processor time that all but one have used.
func (f *fleet) others(but *member) (sum time.Duration) {
	for _, m := range f.members {
		if m != but {
			sum += ran(m)
		}
	}
	return sum
}

// ran is the processor time that the threads of a daemon have used (schedstat of
// proc(5)): in nanoseconds, where ProcessorTime counts in steps of 10 ms.
func ran(m *member) (sum time.Duration) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", m.Pid()))
	for _, name := range threads {
		var on time.Duration
		text, err := os.ReadFile(name)
		if err == nil {
			_, err = fmt.Sscan(string(text), &on)
		}
		if err == nil {
			sum += on
		}
	}
	return sum
}

// rest lets time pass: what is measured is what is used in it.
func rest(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
