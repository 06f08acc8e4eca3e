//go:build cgo

package phone

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/pureopus"
	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/signaling"
)

// eve speaks the protocol by hand, so that she can lie in it.
type eve struct {
	t       *testing.T
	id      *identity.Identity
	node    *node.Node
	engine  *media.Engine
	signals *signaling.Manager
}

func newEve(t *testing.T, bootstrap []string) *eve {
	t.Helper()
	id, _, err := identity.New("eve", nil)
	must(t, err)
	e := &eve{t: t, id: id, signals: signaling.NewManager(signaling.Config{})}
	e.node, err = node.Open(context.Background(), node.Config{
		Identity: id, Dir: t.TempDir(), Role: node.RoleClient, Bootstrap: bootstrap, Memory: true,
		Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	e.engine, err = media.NewEngine(media.EngineConfig{})
	must(t, err)
	t.Cleanup(func() { e.signals.Close(); _ = e.engine.Close(); _ = e.node.Close() })
	eventually(t, "eve is online", func() bool { return e.node.Status().State == node.Online })
	return e
}

func (e *eve) session(offerer bool) *media.Session {
	e.t.Helper()
	s, err := e.engine.NewSession(media.SessionConfig{
		Offerer: offerer,
		Decoder: func() (audio.Decoder, error) { return pureopus.NewDecoder() },
	})
	must(e.t, err)
	return s
}

// truth is what an honest phone would send.
func (e *eve) truth(role, callID string, s *media.Session, other identity.DeviceID) (cert, binding []byte) {
	e.t.Helper()
	fp, err := parseFingerprint(s.Fingerprint())
	must(e.t, err)
	binding, err = boundCall{id: callID, role: role, signer: e.id.Device(), other: other}.sign(e.id.SignDevice, fp)
	must(e.t, err)
	return e.id.Certificate().Marshal(), binding
}

// lies are what eve may say instead of the truth, and what she is told.
func lies(t *testing.T, other *identity.Identity) map[string]struct {
	tell   func(cert, binding *[]byte)
	reason string
} {
	t.Helper()
	type lie = struct {
		tell   func(cert, binding *[]byte)
		reason string
	}
	return map[string]lie{
		"forged certificate":        {func(c, _ *[]byte) { (*c)[len(*c)-1] ^= 1 }, "bad_identity"},
		"certificate of somebody":   {func(c, _ *[]byte) { *c = other.Certificate().Marshal() }, "bad_identity"},
		"no certificate":            {func(c, _ *[]byte) { *c = []byte("certificate") }, "bad_identity"},
		"certificate of tomorrow":   {func(c, _ *[]byte) { (*c)[0] = 99 }, "bad_identity"},
		"fingerprint of somebody":   {func(_, b *[]byte) { (*b)[5] ^= 1 }, "bad_fingerprint"},
		"binding signed by nobody":  {func(_, b *[]byte) { (*b)[len(*b)-1] ^= 1 }, "bad_fingerprint"},
		"binding of another length": {func(_, b *[]byte) { *b = (*b)[:20] }, "bad_fingerprint"},
	}
}

func TestLyingCallerIsRefused(t *testing.T) {
	t.Parallel()
	all := strangers(t, 2, nil)
	bob := all[1]
	e := newEve(t, all[0].Status().Addresses)
	link, err := identity.ParseLink(bob.Link())
	must(t, err)
	for name, lie := range lies(t, all[0].id) {
		t.Run(name, func(t *testing.T) {
			peer, err := e.node.Connect(t.Context(), link)
			must(t, err)
			stream, err := e.node.Stream(t.Context(), peer.Device, signaling.Protocol)
			must(t, err)
			s := e.session(true)
			defer s.Close()
			sdp, err := s.Offer(t.Context())
			must(t, err)
			id, err := e.signals.NewCallID()
			must(t, err)
			cert, binding := e.truth(roleCaller, id, s, peer.Device)
			lie.tell(&cert, &binding)
			call, err := e.signals.Dial(callStream{stream}, signaling.Offer{CallID: id, Certificate: cert, Binding: binding, SDP: sdp})
			must(t, err)
			if got := endOf(call); got != lie.reason {
				t.Errorf("eve was told %q, want %q", got, lie.reason)
			}
			if len(bob.Calls()) != 0 {
				t.Errorf("it rang: %+v", bob.Calls())
			}
		})
	}
	// After all this bob can be called as before.
	all[0].knows(bob)
	mine := all[0].calls(bob)
	bob.ringing()
	must(t, bob.Answer(""))
	all[0].in(mine, StateActive)
}

func TestLyingCalleeIsLeft(t *testing.T) {
	t.Parallel()
	all := strangers(t, 1, nil)
	alice := all[0]
	e := newEve(t, alice.Status().Addresses)
	must(t, alice.AddContact("eve", e.id.Link().String()))
	told := make(chan string, 1)
	var tell func(cert, binding *[]byte)
	e.node.Handle(signaling.Protocol, func(stream node.Stream) {
		call, err := e.signals.Incoming(callStream{stream})
		if err != nil {
			told <- err.Error()
			return
		}
		s := e.session(false)
		defer s.Close()
		sdp, err := s.Answer(context.Background(), call.Offer().SDP)
		if err != nil {
			told <- err.Error()
			return
		}
		cert, binding := e.truth(roleCallee, call.ID(), s, stream.Device())
		tell(&cert, &binding)
		if err := call.Ringing(signaling.Answer{Certificate: cert, Binding: binding, SDP: sdp}); err != nil {
			told <- err.Error()
			return
		}
		told <- endOf(call)
	})
	for name, lie := range lies(t, alice.id) {
		t.Run(name, func(t *testing.T) {
			tell = lie.tell
			mine, err := alice.Dial("eve")
			must(t, err)
			if got := <-told; got != lie.reason {
				t.Errorf("eve was told %q, want %q", got, lie.reason)
			}
			c := alice.in(mine, StateEnded)
			if c.EndReason != lie.reason || c.EndedBy != "local" || c.Error == "" {
				t.Errorf("the call ended %q by %q: %q", c.EndReason, c.EndedBy, c.Error)
			}
			if _, ever := alice.card.streams(); ever != 0 {
				t.Error("the sound device was opened")
			}
		})
	}
}

// TestGarbageInsteadOfACall sends what is no call at all.
func TestGarbageInsteadOfACall(t *testing.T) {
	t.Parallel()
	all := strangers(t, 2, nil)
	bob := all[1]
	e := newEve(t, all[0].Status().Addresses)
	link, err := identity.ParseLink(bob.Link())
	must(t, err)
	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\x00\x00\x02{}", "\xff\xff\xff\xff", strings.Repeat("\x00", 100)} {
		peer, err := e.node.Connect(t.Context(), link)
		must(t, err)
		stream, err := e.node.Stream(t.Context(), peer.Device, signaling.Protocol)
		must(t, err)
		_, err = stream.Write([]byte(garbage))
		must(t, err)
		_, _ = stream.Read(make([]byte, 1)) // until bob has had enough of it
		_ = stream.Reset()
	}
	if len(bob.Calls()) != 0 {
		t.Errorf("it rang: %+v", bob.Calls())
	}
}

func TestBlockedContactCannotCall(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	must(t, bob.BlockContact("alice"))
	alice.ended(alice.calls(bob), "declined", "remote")
	if len(bob.Calls()) != 0 {
		t.Errorf("it rang: %+v", bob.Calls())
	}
	if _, err := bob.Dial("alice"); err == nil {
		t.Error("a blocked contact was called")
	}
	bob.knows(alice)
	mine := alice.calls(bob)
	bob.ringing()
	must(t, bob.Answer(""))
	alice.in(mine, StateActive)
}

// endOf waits for the end of a call and returns its reason.
func endOf(call *signaling.Call) string {
	reason := "nothing"
	for ev := range call.Events() {
		if end, ok := ev.(signaling.Ended); ok {
			reason = string(end.Reason)
		}
	}
	return reason
}
