package stormlab

import (
	"strings"
	"testing"
	"time"
)

// onMachine runs a warm restart of 44 processes that all come back where they were: they
// wait for processors, and not for the dead.
func onMachine(t *testing.T, m Model) Result {
	t.Helper()
	r, err := Run(t.Context(), Options{Nodes: 44, Scenario: "warm", Policy: string(Ours), Seed: 1, Model: m, Change: func(sc *Scenario) { sc.Dead = 0 }})
	if err != nil {
		t.Fatal(err)
	}
	if r.NeverBack > 0 {
		t.Fatalf("%d of %d are not back", r.NeverBack, r.Counted)
	}
	return r
}

// TestProcessesShareProcessors: what all spend takes as long as the processors need for it.
func TestProcessesShareProcessors(t *testing.T) {
	one, two, many := onMachine(t, OnMachine(1)), onMachine(t, OnMachine(2)), onMachine(t, OnMachine(44))
	if one.T99 < 1.5*two.T99 || two.T99 < 1.5*many.T99 {
		t.Errorf("T99 on 1, 2 and 44 processors: %.2f, %.2f, %.2f s", one.T99, two.T99, many.T99)
	}
	m := OnMachine(1).Machine
	if least := 43 * m.Start.Seconds(); one.T100 < least {
		t.Errorf("all are back after %.2f s, but to start them takes %.2f s", one.T100, least)
	}
	if spent := one.ProcessorMS / 1000 * 44; one.T100 > 3*spent {
		t.Errorf("all are back after %.2f s, and have spent %.2f s", one.T100, spent)
	}
	dear := OnMachine(2)
	if err := dear.SetStep("start", (10 * m.Start).String()); err != nil {
		t.Fatal(err)
	}
	if r := onMachine(t, dear); r.T50 < two.T50+9*22*m.Start.Seconds()/2*0.9 {
		t.Errorf("T50 %.2f s where a start takes ten times as long, else %.2f s", r.T50, two.T50)
	}
}

// TestTurnsAreFair: who has little to do is done soon, though another has much.
func TestTurnsAreFair(t *testing.T) {
	s := &sim{nodes: make([]node, 2)}
	s.shared = newProcessors(Machine{Processors: 1, Turn: time.Millisecond}, 2)
	s.spend(0, time.Second, event{kind: evNothing})
	s.spend(1, 2*time.Millisecond, event{kind: evNothing})
	var done [2]time.Duration
	for len(s.queue.heap) > 0 {
		e := s.queue.pop()
		s.now = e.at
		s.turnEnds(&e)
		if len(s.shared.jobs[e.to]) == 0 {
			done[e.to] = s.now
		}
	}
	if done[1] != 4*time.Millisecond || done[0] != 1002*time.Millisecond {
		t.Errorf("done after %v", done)
	}
}

func TestStepsHaveNames(t *testing.T) {
	m := OnMachine(2)
	for _, name := range StepNames() {
		if err := m.SetStep(name, "7ms"); err != nil || *m.steps()[name] != 7*time.Millisecond {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, takes := range map[string]string{"sleep": "1ms", "start": "long", "ask": "-1ms"} {
		if err := m.SetStep(name, takes); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, takes, err)
		}
	}
}
