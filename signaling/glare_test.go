package signaling_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/signaling"
	"github.com/peerd/peerd/signaling/signalingtest"
)

const lowID, highID = "00000000000000000000000000000001", "ff000000000000000000000000000001"

func glare(t *testing.T, w *world) {
	w.talk() // with two calls going on, the winner needs the loser's place
	w.talk()
	for i, gap := range []time.Duration{0, delay / 2, -delay / 2} {
		low, high := strings.Replace(lowID, "1", fmt.Sprint(i), 1), strings.Replace(highID, "1", fmt.Sprint(i), 1)
		_, a1, b1 := signalingtest.NewLink(delay, "alice", "bob")
		_, a2, b2 := signalingtest.NewLink(delay, "alice", "bob")
		toBob, toAlice := listen(w.bob, b1), listen(w.alice, a2)
		var out, lost *signaling.Call
		dialLow := func() { out = mustDial(t, w.alice, a1, low) }
		dialHigh := func() { lost = mustDial(t, w.bob, b2, high) }
		if gap < 0 {
			dialLow, dialHigh, gap = dialHigh, dialLow, -gap
		}
		dialLow()
		<-time.After(gap)
		dialHigh()
		in := <-toBob
		must(t, in.err)
		if got := <-toAlice; got.call != nil || !strings.Contains(got.err.Error(), "glare") {
			t.Errorf("alice takes the losing call: %v", got.err)
		}
		if ended := endOf(t, lost); ended.Reason != signaling.ReasonGlare {
			t.Errorf("the losing call ended with %s", ended.Reason)
		}
		if in.call.ID() != low || in.call.Replaces() != high {
			t.Errorf("bob takes %s, which replaces %q", in.call.ID(), in.call.Replaces())
		}
		must(t, in.call.Accept(answer))
		next[signaling.RemoteAccepted](t, out)
		next[signaling.SASReady](t, out)
		must(t, out.Hangup())
		wantLeft(t, out, signaling.ReasonHangup)
		next[signaling.SASReady](t, in.call)
		wantEnded(t, in.call, signaling.ReasonHangup, true)
		<-time.After(time.Minute) // the lost call is forgotten
	}
}

// glareLateOffer lets the losing call be refused, and forgotten, before the
// offer of the winning one arrives.
func glareLateOffer(t *testing.T, w *world) {
	_, a1, b1 := signalingtest.NewLink(20*delay, "alice", "bob")
	_, a2, b2 := signalingtest.NewLink(delay, "alice", "bob")
	toBob := listen(w.bob, b1)
	listen(w.alice, a2)
	mustDial(t, w.alice, a1, lowID)
	wantEnded(t, mustDial(t, w.bob, b2, highID), signaling.ReasonGlare, true)
	in := <-toBob
	must(t, in.err)
	if in.call.Replaces() != highID {
		t.Errorf("the winning call replaces %q", in.call.Replaces())
	}
}

func glareSeveral(t *testing.T, w *world) {
	const middleID = "77000000000000000000000000000001"
	_, a1, b1 := signalingtest.NewLink(delay, "alice", "bob")
	_, a2, b2 := signalingtest.NewLink(delay, "alice", "bob")
	_, a3, b3 := signalingtest.NewLink(delay, "alice", "bob")
	toBob, toAlice := listen(w.bob, b1), listen(w.alice, a3)
	listen(w.bob, b2)
	mustDial(t, w.alice, a1, lowID)
	mustDial(t, w.alice, a2, highID)
	lost := mustDial(t, w.bob, b3, middleID)
	if got := <-toAlice; got.call != nil {
		t.Errorf("alice takes a call that is not the lowest: %v", got.call.ID())
	}
	if got := <-toBob; got.call == nil || got.call.ID() != lowID {
		t.Errorf("bob does not take the lowest: %v", got.err)
	}
	if e := endOf(t, lost); e.Reason != signaling.ReasonGlare {
		t.Errorf("the middle call ended with %s", e.Reason)
	}
}

func mustDial(t *testing.T, m *signaling.Manager, s signaling.Stream, id string) *signaling.Call {
	t.Helper()
	c, err := m.Dial(s, offer(id))
	must(t, err)
	return c
}

// endOf reads a call's events to the last.
func endOf(t *testing.T, c *signaling.Call) (last signaling.Ended) {
	t.Helper()
	for ev := range c.Events() {
		if e, ok := ev.(signaling.Ended); ok {
			last = e
		}
	}
	return last
}

func glareEqual(t *testing.T, w *world) {
	_, a1, b1 := signalingtest.NewLink(delay, "alice", "bob")
	_, a2, b2 := signalingtest.NewLink(delay, "alice", "bob")
	toBob, toAlice := listen(w.bob, b1), listen(w.alice, a2)
	one, two := mustDial(t, w.alice, a1, lowID), mustDial(t, w.bob, b2, lowID)
	for _, got := range []arrival{<-toBob, <-toAlice} {
		if !errors.Is(got.err, signaling.ErrDuplicate) {
			t.Errorf("a call with the other's id: %v", got.err)
		}
	}
	for _, c := range []*signaling.Call{one, two} {
		if e := endOf(t, c); e.Reason != signaling.ReasonProtocolError || !e.Remote {
			t.Errorf("ended with %+v", e)
		}
	}
}

func glareAccepted(t *testing.T, w *world) {
	out, in, _ := w.talk()
	_, a, b := signalingtest.NewLink(delay, "alice", "bob")
	toAlice := listen(w.alice, a)
	second := mustDial(t, w.bob, b, "")
	got := <-toAlice
	must(t, got.err)
	if got.call.Replaces() != "" || got.call.ID() != second.ID() || out.State().Name() != "active" || in.State().Name() != "active" {
		t.Errorf("a second call disturbs the first: %v, %v", out.State(), in.State())
	}
}
