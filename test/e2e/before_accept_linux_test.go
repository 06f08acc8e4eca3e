package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
	"github.com/peerd/peerd/test/netlab"
)

// Ports of the two phones' sound, so that it can be cut and told apart, and of
// the relay, which is refused in these tests: sound through it would be
// wrapped where no capture sees it.
const (
	alicePort = 40001
	bobPort   = 40002
	relayPort = 40003
)

// scene is two phones on two hosts of their own, with everything that leaves
// either captured outside of the processes.
type scene struct {
	t            *testing.T
	atA, atB     *netlab.Host
	a, b         *harness.Daemon
	fromA, fromB *netlab.Capture

	call     *harness.Running
	out, in  harness.Call
	accepted time.Time // when somebody was about to accept; zero: nobody did
}

// An order is what happens to a call, in the words of the state machine: offer,
// ring, path up, path lost, accept, reject, cancel, hang-up, timeout, loss.
type order struct {
	name  string
	plays func(*scene)
	sound bool // whether sound flows in the end
}

// orders are what can come before and around accept. In each, no RTP may leave
// before somebody has accepted, and none at all where nobody does.
var orders = []order{
	{"offer, ring, path up, accept, hang-up by caller", func(s *scene) { s.ring().pathUp().accept().sound().hangup(s.a) }, true},
	{"offer, ring, path up, accept, hang-up by callee", func(s *scene) { s.ring().pathUp().accept().sound().hangup(s.b) }, true},
	{"offer, ring, path up, reject", func(s *scene) { s.ring().pathUp().reject() }, false},
	{"offer, ring, path up, cancel", func(s *scene) { s.ring().pathUp().cancel() }, false},
	{"offer, ring, path up, hang-up by callee", func(s *scene) { s.ring().pathUp().hangup(s.b) }, false},
	{"offer, ring, path up, timeout", func(s *scene) { s.ring().pathUp().timeout() }, false},
	{"offer, ring, path up, caller is lost", func(s *scene) { s.ring().pathUp().kill(s.a, s.b) }, false},
	{"offer, ring, path up, callee is lost", func(s *scene) { s.ring().pathUp().kill(s.b, s.a) }, false},
	{"offer, ring, path up, path lost, reject", func(s *scene) { s.ring().pathUp().cut().reject() }, false},
	{"offer, ring, path up, path lost, cancel", func(s *scene) { s.ring().pathUp().cut().cancel() }, false},
	{"offer, ring, path up, path lost, path up, accept", func(s *scene) { s.ring().pathUp().cut().mend().accept().sound().hangup(s.a) }, true},
	{"offer, ring, path up, path lost, accept, path up", func(s *scene) { s.ring().pathUp().cut().accept().mend().sound().hangup(s.a) }, true},
	{"offer, ring without a path, reject", func(s *scene) { s.cut().ring().reject() }, false},
	{"offer, ring without a path, cancel", func(s *scene) { s.cut().ring().cancel() }, false},
	{"offer, ring without a path, caller is lost", func(s *scene) { s.cut().ring().kill(s.a, s.b) }, false},
	{"offer, ring without a path, path up, accept", func(s *scene) { s.cut().ring().mend().pathUp().accept().sound().hangup(s.b) }, true},
	{"offer, ring without a path, accept, path up", func(s *scene) { s.cut().ring().accept().mend().sound().hangup(s.b) }, true},
	{"offer, ring without a path, accept, hang-up", func(s *scene) { s.cut().ring().accept().hangup(s.a) }, false},
	{"offer, cancel at once", func(s *scene) { s.offer().cancel() }, false},
	{"offer of a stranger, ring, accept, path up", func(s *scene) { s.estrange().ring().accept().sound().hangup(s.a) }, true},
	{"offer of a stranger, ring, reject", func(s *scene) { s.estrange().ring().reject() }, false},
	{"offers crossing, accept by both, hang-up", func(s *scene) { s.cross().sound().hangup(s.a) }, true},
}

func TestNoSoundLeavesBeforeTheCallIsAccepted(t *testing.T) {
	for _, o := range orders {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			o.plays(s)
			s.check(o.sound)
		})
	}
}

func newScene(t *testing.T) *scene {
	lab := netlab.New(t)
	s := &scene{t: t, atA: lab.Host("alice"), atB: lab.Host("bob")}
	s.atA.Refuse(relayPort)
	opt := in(s.atA, alice())
	opt.First, opt.Role, opt.Args = true, "server", []string{"--media-port", fmt.Sprint(alicePort), "--relay-port", fmt.Sprint(relayPort)}
	s.a = harness.Start(t, opt)
	s.a.AwaitOnline(t)
	opt = in(s.atB, bob(), s.a)
	opt.Args = []string{"--media-port", fmt.Sprint(bobPort)}
	s.b = harness.Start(t, opt)
	s.b.AwaitOnline(t)
	acquaint(t, s.a, s.b)
	s.fromA, s.fromB = s.atA.Capture(), s.atB.Capture()
	return s
}

func (s *scene) offer() *scene {
	s.call = s.a.Go(s.t, "call", "bob", "--json")
	s.out = s.a.AwaitCall(s.t, "there is a call", func(c harness.Call) bool { return c.Direction == "outgoing" })
	return s
}

func (s *scene) ring() *scene {
	s.offer()
	isThis := func(c harness.Call) bool { return c.ID == s.out.ID && c.State == "ringing" }
	s.in = s.b.AwaitCall(s.t, "it rings", isThis)
	s.out = s.a.AwaitCall(s.t, "it rings there", isThis)
	return s
}

// pathUp waits until each end has completed ICE and DTLS, which is seen from
// outside by the path that it tells.
func (s *scene) pathUp() *scene {
	hasPath := func(c harness.Call) bool { return c.ID == s.out.ID && c.Path != "" }
	s.a.AwaitCall(s.t, "the path is up at the caller", hasPath)
	s.b.AwaitCall(s.t, "the path is up at the callee", hasPath)
	return s
}

// cut drops what arrives at either phone's sound port; what leaves is still
// captured.
func (s *scene) cut() *scene {
	s.atA.Block(alicePort)
	s.atB.Block(bobPort)
	return s
}

func (s *scene) mend() *scene {
	s.atA.Unblock()
	s.atB.Unblock()
	return s
}

// estrange makes the callee forget who the caller is.
func (s *scene) estrange() *scene {
	s.b.Run(s.t, 0, "contacts", "remove", "alice")
	return s
}

func (s *scene) accept() *scene {
	s.accepted = time.Now()
	s.b.Run(s.t, 0, "answer", s.in.ID)
	return s
}

// cross has both call each other, which is both accepting.
func (s *scene) cross() *scene {
	s.accepted = time.Now()
	s.call = s.a.Go(s.t, "call", "bob", "--json")
	s.b.Go(s.t, "call", "alice", "--json")
	return s
}

// sound waits until both hear each other.
func (s *scene) sound() *scene {
	hears := func(c harness.Call) bool { return c.State == "active" && c.AudioMS != nil }
	s.a.AwaitCall(s.t, "the caller hears something", hears)
	s.b.AwaitCall(s.t, "the callee hears something", hears)
	s.a.AwaitPlayed(s.t, time.Second)
	s.b.AwaitPlayed(s.t, time.Second)
	return s
}

func (s *scene) hangup(who *harness.Daemon) {
	who.Run(s.t, 0, "hangup")
	s.call.Wait()
	s.end()
}

func (s *scene) reject() {
	s.b.Run(s.t, 0, "reject", s.in.ID)
	s.call.Expect(4)
	s.end()
}

func (s *scene) cancel() {
	s.call.Interrupt()
	s.call.Expect(1)
	s.end()
}

func (s *scene) timeout() {
	s.call.Expect(5)
	s.end()
}

func (s *scene) kill(who, other *harness.Daemon) {
	who.Kill()
	other.AwaitEnd(s.t, s.out.ID)
}

// end waits until no call is left at either end.
func (s *scene) end() {
	for _, d := range []*harness.Daemon{s.a, s.b} {
		d.AwaitNoCall(s.t)
	}
}

// check looks for RTP on the wire before accept, where accept came, and at all
// where it did not.
func (s *scene) check(sound bool) {
	s.t.Helper()
	for _, end := range []struct {
		name    string
		capture *netlab.Capture
	}{{"alice", s.fromA}, {"bob", s.fromB}} {
		seen, rtp := 0, 0
		for _, p := range end.capture.Packets() { // of all ports
			seen++
			if !p.RTP() {
				continue
			}
			rtp++
			if s.accepted.IsZero() || p.At.Before(s.accepted) {
				s.t.Fatalf("%s sent RTP to %v at %v, accept was at %v", end.name, p.To, p.At, s.accepted)
			}
		}
		if sound && rtp == 0 {
			s.t.Errorf("of %d datagrams that %s sent, none was RTP: the capture proves nothing", seen, end.name)
		}
	}
	if !sound && s.accepted.IsZero() {
		s.a.NeverPlayed(s.t)
		s.b.NeverPlayed(s.t)
	}
}
