package e2e_test

import (
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
)

func TestCallIsHungUpByTheCaller(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := connect(t, a, b)
	b.AwaitPlayed(t, talk)
	a.Run(t, 0, "hangup")
	call.Call(0)
	ended(t, a, out.ID, "answered", "hangup", "local")
	ended(t, b, in.ID, "answered", "hangup", "remote")
	b.Heard(t).Is(t, aliceSays())
}

func TestCallIsHungUpByTheCallee(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := connect(t, a, b)
	a.AwaitPlayed(t, talk)
	b.Run(t, 0, "hangup")
	call.Call(0)
	ended(t, b, in.ID, "answered", "hangup", "local")
	ended(t, a, out.ID, "answered", "hangup", "remote")
	a.Heard(t).Is(t, bobSays())
}

func TestCallIsRejected(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := ring(t, a, b)
	b.Run(t, 0, "reject")
	call.Call(4)
	ended(t, a, out.ID, "declined", "declined", "remote")
	ended(t, b, in.ID, "declined", "declined", "local")
	a.NeverPlayed(t)
	b.NeverPlayed(t)
}

func TestCallIsCancelledByTheCaller(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := ring(t, a, b)
	call.Interrupt()
	call.Call(1)
	ended(t, a, out.ID, "cancelled", "cancelled", "local")
	ended(t, b, in.ID, "cancelled", "cancelled", "remote")
	b.NeverPlayed(t)
}

func TestCallIsNotAnswered(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := ring(t, a, b)
	call.Call(5)
	ended(t, a, out.ID, "no_answer", "no_answer", "local")
	ended(t, b, in.ID, "no_answer", "no_answer", "remote")
	a.NeverPlayed(t)
	b.NeverPlayed(t)
}

func TestContactThatIsBlockedIsDeclinedWithoutRinging(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	b.Run(t, 0, "contacts", "block", "alice")
	call := a.Go(t, "call", "bob", "--json").Call(4)
	if call.EndReason != "declined" {
		t.Errorf("a blocked caller is told %s", call.EndReason)
	}
	for _, c := range b.Calls() {
		t.Errorf("at the callee there is a call: %+v", c)
	}
}

func TestCallToAContactNobodyHasSeenFindsNobody(t *testing.T) {
	t.Parallel()
	phones := online(t, alice(), bob())
	a, b := phones[0], phones[1]
	b.Stop(t)
	a.Run(t, 0, "contacts", "add", "bob", b.Link)
	a.Go(t, "call", "bob", "--json").Call(6)
	a.NeverPlayed(t)
}

func TestPeerIsLostInACall(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, _ := connect(t, a, b)
	b.Kill()
	call.Call(1)
	ended(t, a, out.ID, "answered", "lost", "local")
}

func TestPeerIsLostWhileItRings(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	_, _, in := ring(t, a, b)
	b.AwaitCall(t, "the path is up", func(c harness.Call) bool { return c.ID == in.ID && c.Path != "" })
	killed := time.Now()
	a.Kill()
	c := b.AwaitEnd(t, in.ID)
	if c.EndReason != "lost" {
		t.Errorf("the callee puts the end down to %s, want lost", c.EndReason)
	}
	if rang := time.Since(killed); rang > 20*time.Second { // half of what its idle connection lasts, and more
		t.Errorf("it rang for %v after the caller had died", rang)
	}
	b.NeverPlayed(t)
}

func TestDaemonStopsInACall(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, _ := connect(t, a, b)
	b.Stop(t)
	call.Call(0)
	ended(t, a, out.ID, "answered", "shutdown", "remote")
}

func TestPhoneWithoutRoomIsBusy(t *testing.T) {
	t.Parallel()
	opt := bob()
	opt.Args = []string{"--max-calls", "1"}
	phones := online(t, alice(), opt, carol())
	a, b, c := phones[0], phones[1], phones[2]
	acquaint(t, a, b)
	acquaint(t, c, b)
	call, _, in := connect(t, a, b)
	busy := c.Go(t, "call", "bob", "--json").Call(4)
	if busy.EndReason != "busy" || busy.Outcome != "busy" {
		t.Errorf("the second caller is told %s", busy.EndReason)
	}
	b.AwaitPlayed(t, talk)
	a.Run(t, 0, "hangup")
	call.Call(0)
	ended(t, b, in.ID, "answered", "hangup", "remote")
	b.Heard(t).Is(t, aliceSays()) // as if nobody else had called
}

func TestTheOnlyCallIsMeantWhereNoneIsNamed(t *testing.T) {
	t.Parallel()
	phones := online(t, harness.Options{Name: "alice"})
	for _, verb := range []string{"answer", "reject", "hangup", "hold", "resume", "mute", "unmute"} {
		if res := phones[0].Run(t, 6, verb); res.Stderr == "" {
			t.Errorf("peerd %s without a call says nothing", verb)
		}
	}
}
