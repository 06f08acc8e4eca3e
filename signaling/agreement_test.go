package signaling

import (
	"strings"
	"testing"
)

// joined is two machines and the messages on their way between them: to[r]
// holds, in order, what the end with role r has not read yet.
type joined struct {
	end [2]State
	to  [2]string // words separated by blanks
}

// feed gives one input to one end and puts what it sends on the wire.
func (j joined) feed(role Role, in Input) joined {
	next, actions := Next(j.end[role], in)
	j.end[role] = next
	other := 1 - role
	for _, a := range actions {
		if a.Kind != DoSend {
			continue
		}
		word := string(a.Message)
		if a.Message == TypeEnd {
			word += "/" + string(next.Reason)
		}
		j.to[other] = strings.TrimSpace(j.to[other] + " " + word)
	}
	return j
}

// deliver lets one end read its next message.
func (j joined) deliver(role Role) joined {
	word, rest, _ := strings.Cut(j.to[role], " ")
	j.to[role] = rest
	kind, reason, _ := strings.Cut(word, "/")
	return j.feed(role, Input{
		Kind: map[string]InputKind{
			"offer": OnOffer, "ringing": OnRemoteRinging, "accept": OnRemoteAccept,
			"hold": OnRemoteHold, "resume": OnRemoteResume, "end": OnRemoteEnd,
		}[kind],
		Reason: EndReason(reason),
	})
}

// local lists what may happen at one end by itself: its user, its path and
// its timer. The Ending timer is left out: it stands for a peer that is gone.
func (j joined) local(role Role) []Input {
	s := j.end[role]
	if s.Phase != PhaseLive {
		return nil
	}
	in := []Input{{Kind: OnPathUp}, {Kind: OnPathLost}, {Kind: OnEnd, Reason: ReasonHangup}, {Kind: OnEnd, Reason: ReasonMediaFailed}}
	if t := s.Timer(); t != TimerNone {
		in = append(in, Input{Kind: OnTimeout, Timer: t})
	}
	if role == Caller {
		in = append(in, Input{Kind: OnEnd, Reason: ReasonCancelled}, Input{Kind: OnEnd, Reason: ReasonGlare}, Input{Kind: OnEnd, Reason: ReasonBadIdentity})
	} else {
		in = append(in, Input{Kind: OnRing}, Input{Kind: OnAccept}, Input{Kind: OnEnd, Reason: ReasonDeclined}, Input{Kind: OnEnd, Reason: ReasonBusy})
	}
	if strings.Count(j.to[1-role], " ") < 2 { // else holding and resuming would fill the wire for ever
		in = append(in, Input{Kind: OnHold}, Input{Kind: OnResume})
	}
	return in
}

func (j joined) next() []joined {
	var all []joined
	for _, role := range bothRoles {
		if j.to[role] != "" {
			all = append(all, j.deliver(role))
		}
		for _, in := range j.local(role) {
			all = append(all, j.feed(role, in))
		}
	}
	return all
}

// TestBothEndsAgree searches every interleaving of two joined ends: users,
// paths, timers and messages in flight. Whatever crosses, both ends show the
// same reason, nobody waits for an answer that is not coming, and the caller
// never starts media without the callee's accept.
func TestBothEndsAgree(t *testing.T) {
	first := joined{end: [2]State{{Role: Caller}, {Role: Callee}}}.feed(Caller, Input{Kind: OnOffer})
	seen := map[joined]bool{first: true}
	queue := []joined{first}
	outcomes := map[EndReason]int{}
	crossed := 0
	for len(queue) > 0 {
		j := queue[0]
		queue = queue[1:]
		checkJoined(t, j)
		if a, b := j.end[Caller], j.end[Callee]; a.Phase == PhaseEnded && b.Phase == PhaseEnded {
			outcomes[a.Reason]++
			if !a.Remote && !b.Remote {
				crossed++
			}
		}
		for _, n := range j.next() {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	t.Logf("%d joint states, %d ends with both leaving at once, outcomes %v", len(seen), crossed, outcomes)
	for _, want := range []EndReason{
		ReasonHangup, ReasonCancelled, ReasonDeclined, ReasonBusy, ReasonNoAnswer, ReasonGlare,
		ReasonLost, ReasonUnreachable, ReasonMediaFailed, ReasonBadIdentity,
	} {
		if outcomes[want] == 0 {
			t.Errorf("no order ends with %s: the search does not reach it", want)
		}
	}
	if crossed == 0 {
		t.Error("no order lets both ends leave at once: the search does not cross messages")
	}
}

func checkJoined(t *testing.T, j joined) {
	t.Helper()
	a, b := j.end[Caller], j.end[Callee]
	quiet := j.to[Caller] == "" && j.to[Callee] == ""
	switch {
	case a.Phase == PhaseEnded && b.Phase == PhaseEnded && a.Reason != b.Reason:
		t.Fatalf("the ends disagree: %v, %v", a, b)
	case a.Phase == PhaseEnded && b.Phase == PhaseEnded && a.Remote && b.Remote:
		t.Fatalf("both say it was the other: %v, %v", a, b)
	case quiet && (a.Phase == PhaseEnding || b.Phase == PhaseEnding):
		t.Fatalf("an end waits for an answer that is not coming: %v, %v", a, b)
	case quiet && (a.Phase == PhaseEnded) != (b.Phase == PhaseEnded):
		t.Fatalf("only one end has ended: %v, %v", a, b)
	case a.Started && !b.Accepted:
		t.Fatalf("media at the caller without accept: %v, %v", a, b)
	}
}

func TestPreferIsSymmetric(t *testing.T) {
	for _, a := range Reasons() {
		for _, b := range Reasons() {
			if prefer(a, b) != prefer(b, a) {
				t.Errorf("prefer(%s, %s) depends on the side", a, b)
			}
		}
		if got := EndReason("moved").understood(); got != ReasonHangup {
			t.Errorf("a reason of a later version is taken as %s", got)
		}
	}
}
