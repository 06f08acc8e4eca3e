package signaling

import (
	"strings"
	"testing"
)

// history is what a search remembers beside the state, to hold the machine to
// promises about whole calls.
type history struct {
	accepted bool // an accept has been fed while live
	starts   int
	ends     int // Ended events
	saidEnd  int // end messages
}

type node struct {
	State
	history
}

var bothRoles = []Role{Caller, Callee}

// everyInput lists each input that can be fed, with each reason and timer
// that can change what happens.
func everyInput() []Input {
	var all []Input
	for k := OnOffer; k <= OnPathClosed; k++ {
		switch k {
		case OnEnd, OnRemoteEnd, OnBadMessage:
			for _, r := range []EndReason{ReasonDeclined, ReasonCancelled, ReasonHangup, ReasonProtocolError} {
				all = append(all, Input{Kind: k, Reason: r})
			}
		default:
			all = append(all, Input{Kind: k})
		}
	}
	for timer := TimerNone; timer <= TimerEnding; timer++ {
		all = append(all, Input{Kind: OnTimeout, Timer: timer})
	}
	return all
}

// advance feeds one input and checks every promise on this one transition.
func advance(t *testing.T, n node, in Input) node {
	t.Helper()
	next, actions := Next(n.State, in)
	h := n.history
	if n.Phase == PhaseLive && (in.Kind == OnAccept && n.Role == Callee || in.Kind == OnRemoteAccept && n.Role == Caller) {
		h.accepted = true
	}
	fail := func(why string) { t.Fatalf("%s: %v --%v--> %v %v", why, n.State, in, next, actions) }
	arms := 0
	for _, a := range actions {
		if n.Phase == PhaseEnded {
			fail("something after Ended")
		}
		switch a.Kind {
		case DoEmit:
			if h.ends > 0 {
				fail("an event after Ended")
			}
			if a.Emit == EmitStart {
				h.starts++
			}
			if a.Emit == EmitEnded {
				h.ends++
			}
		case DoSend:
			if n.StreamDown {
				fail("a message to a broken stream")
			}
			if h.saidEnd > 0 {
				fail("a message after end")
			}
			if a.Message == TypeEnd {
				h.saidEnd++
			}
		case DoArm:
			arms++
			if a.Timer != next.Timer() {
				fail("a timer the state does not name")
			}
		case DoSurprise:
			if next != n.State {
				fail("a surprise that changes the state")
			}
		}
	}
	switch {
	case h.starts > 0 && (!h.accepted || next.Path == PathNone):
		fail("media before accept")
	case h.starts > 1:
		fail("Start twice")
	case next.Started != (h.starts == 1):
		fail("Started is not what was said")
	case (next.Phase == PhaseEnded) != (h.ends == 1):
		fail("Ended is not what was said")
	case next.Phase >= PhaseEnding != (next.Reason != ""):
		fail("an end without a reason, or a reason without an end")
	case next.Phase != n.Phase && next.Phase < n.Phase:
		fail("back to an earlier phase")
	case (next.Phase == PhaseLive || next.Phase == PhaseEnding) && next.Timer() == TimerNone && next.Path != PathUp:
		fail("nothing can end this state")
	case (arms == 1) != (next.Timer() != n.Timer()):
		fail("the timer was not changed with the state")
	}
	return node{State: next, history: h}
}

// TestEveryOrderOfEveryInput walks all states that any order of any inputs,
// of whatever length, can reach. Merging equal states makes that finite.
func TestEveryOrderOfEveryInput(t *testing.T) {
	inputs := everyInput()
	for _, role := range bothRoles {
		seen := map[node]bool{{State: State{Role: role}}: true}
		queue := []node{{State: State{Role: role}}}
		transitions, starts, ends := 0, 0, 0
		for len(queue) > 0 {
			n := queue[0]
			queue = queue[1:]
			starts, ends = starts+n.starts, ends+n.ends
			for _, in := range inputs {
				transitions++
				if next := advance(t, n, in); !seen[next] {
					seen[next] = true
					queue = append(queue, next)
				}
			}
		}
		t.Logf("%v: %d states, %d transitions", role, len(seen), transitions)
		if starts == 0 || ends == 0 || len(seen) < 50 {
			t.Errorf("%v: the search saw %d states, %d with Start, %d ended: it does not search", role, len(seen), starts, ends)
		}
	}
}

// letters are the eight things of a call's life as one end sees them.
func letters(role Role, s State) []Input {
	accept, reject, cancel := Input{Kind: OnAccept}, Input{Kind: OnEnd, Reason: ReasonDeclined}, Input{Kind: OnRemoteEnd, Reason: ReasonCancelled}
	if role == Caller {
		accept, reject, cancel = Input{Kind: OnRemoteAccept}, Input{Kind: OnRemoteEnd, Reason: ReasonDeclined}, Input{Kind: OnEnd, Reason: ReasonCancelled}
	}
	return []Input{
		{Kind: OnOffer},
		{Kind: OnPathUp},
		{Kind: OnPathLost},
		accept, reject, cancel,
		{Kind: OnEnd, Reason: ReasonHangup},
		{Kind: OnTimeout, Timer: s.Timer()},
	}
}

// TestEveryOrderToDepthEight goes through all 8^8 orders of offer, path up,
// path lost, accept, reject, cancel, hang-up and timeout. Orders that lead to
// the same state and history are walked on together and counted.
func TestEveryOrderToDepthEight(t *testing.T) {
	for _, role := range bothRoles {
		level := map[node]int{{State: State{Role: role}}: 1}
		started := 0
		for range 8 {
			next := make(map[node]int)
			for n, orders := range level {
				for _, in := range letters(role, n.State) {
					next[advance(t, n, in)] += orders
				}
			}
			level = next
		}
		total := 0
		for n, orders := range level {
			total += orders
			if n.starts == 1 {
				started += orders
			}
		}
		if total != 1<<24 {
			t.Errorf("%v: %d orders, want 8^8", role, total)
		}
		if started == 0 || started == total {
			t.Errorf("%v: media started in %d of %d orders", role, started, total)
		}
		t.Logf("%v: %d orders, media started in %d", role, total, started)
	}
}

func TestAcceptAndPathInEitherOrderStartMedia(t *testing.T) {
	for _, kinds := range [][]InputKind{{OnAccept, OnPathUp}, {OnPathUp, OnAccept}, {OnPathUp, OnPathLost, OnAccept, OnPathUp}} {
		n := advance(t, node{State: State{Role: Callee}}, Input{Kind: OnOffer})
		for i, k := range kinds {
			if n.starts != 0 {
				t.Errorf("%v: started after %d inputs", kinds, i)
			}
			n = advance(t, n, Input{Kind: k})
		}
		if n.starts != 1 {
			t.Errorf("%v: media does not start", kinds)
		}
	}
}

func TestSurprisesNameInputAndState(t *testing.T) {
	s, actions := Next(State{Role: Caller, Phase: PhaseLive}, Input{Kind: OnAccept})
	if len(actions) != 1 || actions[0].Kind != DoSurprise {
		t.Fatalf("a caller accepts its own call: %v", actions)
	}
	if text := OnAccept.String() + " / " + s.String(); text != "accept / caller calling path-none" {
		t.Errorf("got %q", text)
	}
	for k := OnOffer; k <= OnTimeout; k++ {
		if k.String() == "" {
			t.Errorf("input %d has no name", k)
		}
	}
}

func TestEveryReachableStateHasAName(t *testing.T) {
	names := map[string]bool{}
	for _, role := range bothRoles {
		seen := map[State]bool{{Role: role}: true}
		queue := []State{{Role: role}}
		for len(queue) > 0 {
			s := queue[0]
			queue = queue[1:]
			names[s.Name()] = true
			if !strings.HasPrefix(s.String(), role.String()+" "+s.Name()) {
				t.Errorf("state prints as %q", s)
			}
			for _, in := range everyInput() {
				if next, _ := Next(s, in); !seen[next] {
					seen[next] = true
					queue = append(queue, next)
				}
			}
		}
	}
	for _, want := range []string{"idle", "calling", "offered", "ringing", "connecting", "active", "reconnecting", "held", "ending", "ended"} {
		if !names[want] {
			t.Errorf("no state is called %q", want)
		}
		delete(names, want)
	}
	if len(names) > 0 {
		t.Errorf("states with other names: %v", names)
	}
}
