//go:build cgo

package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/pureopus"
	"github.com/peerd/peerd/cmd/peerd/internal/store"
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
	return newEveAs(t, id, bootstrap)
}

// newEveAs is an eve with a device of somebody.
func newEveAs(t *testing.T, id *identity.Identity, bootstrap []string) *eve {
	t.Helper()
	var err error
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

// expired is a certificate for eve's own device whose time is over; its account
// is eve's own too.
func (e *eve) expired() []byte {
	e.t.Helper()
	request, err := e.id.DeviceRequest()
	must(e.t, err)
	old, _, err := identity.New("eve", nil)
	must(e.t, err)
	_, cert, err := old.Approve(request, time.Now().Add(-2*identity.CertificateLife))
	must(e.t, err)
	if err := cert.VerifyFor(e.id.Device(), time.Now()); !errors.Is(err, identity.ErrExpiredCertificate) {
		e.t.Fatalf("the certificate is to be expired, and is: %v", err)
	}
	return cert.Marshal()
}

// lies are what eve may say instead of the truth, and what she is told.
func (e *eve) lies(other *identity.Identity) map[string]struct {
	tell   func(cert, binding *[]byte)
	reason string
} {
	e.t.Helper()
	expired := e.expired()
	type lie = struct {
		tell   func(cert, binding *[]byte)
		reason string
	}
	return map[string]lie{
		"forged certificate":        {func(c, _ *[]byte) { (*c)[len(*c)-1] ^= 1 }, "bad_identity"},
		"certificate of somebody":   {func(c, _ *[]byte) { *c = other.Certificate().Marshal() }, "bad_identity"},
		"no certificate":            {func(c, _ *[]byte) { *c = []byte("certificate") }, "bad_identity"},
		"expired certificate":       {func(c, _ *[]byte) { *c = expired }, "bad_identity"},
		"certificate of tomorrow":   {func(c, _ *[]byte) { (*c)[0] = 99 }, "bad_identity"},
		"fingerprint of somebody":   {func(_, b *[]byte) { (*b)[5] ^= 1 }, "bad_fingerprint"},
		"binding signed by nobody":  {func(_, b *[]byte) { (*b)[len(*b)-1] ^= 1 }, "bad_fingerprint"},
		"binding of another length": {func(_, b *[]byte) { *b = (*b)[:20] }, "bad_fingerprint"},
	}
}

// calls calls with a lie, and returns the call's id and what eve is told.
func (e *eve) calls(t *testing.T, link identity.Link, tell func(cert, binding *[]byte)) (id, reason string) {
	t.Helper()
	id, err := e.signals.NewCallID()
	must(t, err)
	return id, e.callsBy(t, id, link, tell)
}

// callsBy is calls with an id of eve's choice.
func (e *eve) callsBy(t *testing.T, id string, link identity.Link, tell func(cert, binding *[]byte)) (reason string) {
	t.Helper()
	return endOf(e.places(t, id, link, func(o *signaling.Offer) { tell(&o.Certificate, &o.Binding) }))
}

// places calls with an offer that is changed before it leaves.
func (e *eve) places(t *testing.T, id string, link identity.Link, change func(*signaling.Offer)) *signaling.Call {
	t.Helper()
	peer, err := e.node.Connect(t.Context(), link)
	must(t, err)
	stream, err := e.node.Stream(t.Context(), peer.Device, signaling.Protocol)
	must(t, err)
	s := e.session(true)
	t.Cleanup(func() { must(t, s.Close()) })
	offer := signaling.Offer{CallID: id}
	offer.SDP, err = s.Offer(t.Context())
	must(t, err)
	offer.Certificate, offer.Binding = e.truth(roleCaller, id, s, peer.Device)
	change(&offer)
	call, err := e.signals.Dial(callStream{stream}, offer)
	must(t, err)
	return call
}

// TestNothingIsSentToAddressesOfALiar: a description that is not the one bound to
// the device is not acted on.
func TestNothingIsSentToAddressesOfALiar(t *testing.T) {
	t.Parallel()
	all := strangers(t, 2, nil)
	bob := all[1]
	e := newEve(t, all[0].Status().Addresses)
	must(t, bob.AddContact("eve", e.id.Link().String()))
	eventually(t, "bob knows eve's device", func() bool { return bob.knowsDevice(e.id.Device().String()) })
	link, err := identity.ParseLink(bob.Link())
	must(t, err)
	victim, err := net.ListenPacket("udp4", "127.0.0.1:0")
	must(t, err)
	defer victim.Close()
	id, err := e.signals.NewCallID()
	must(t, err)
	told := endOf(e.places(t, id, link, func(o *signaling.Offer) {
		o.Binding, err = boundCall{id: id, role: roleCaller, signer: e.id.Device(), other: bob.id.Device()}.sign(e.id.SignDevice, fingerprint{1})
		must(t, err)
		port := victim.LocalAddr().(*net.UDPAddr).Port
		o.SDP = fmt.Appendf(o.SDP, "a=candidate:1 1 udp 2130706431 127.0.0.1 %d typ host\r\n", port)
	}))
	if told != "bad_fingerprint" {
		t.Errorf("eve was told %q", told)
	}
	must(t, victim.SetReadDeadline(time.Now().Add(time.Millisecond)))
	if n, from, err := victim.ReadFrom(make([]byte, 1500)); err == nil {
		t.Errorf("%v sent %d bytes to where the liar pointed", from, n)
	}
}

// logOf makes phone number i write what matters to a log that can be searched.
func logOf(i int, log *logLines) func(int, *Config) {
	return func(j int, cfg *Config) {
		if j == i {
			cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
		}
	}
}

// logLines is a log in memory.
type logLines struct {
	mu  sync.Mutex
	all []string
}

func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(line))
	return len(line), nil
}

// about returns the lines that name a call.
func (l *logLines) about(id string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, id[:8]) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestLyingCallerIsRefused(t *testing.T) {
	t.Parallel()
	var log logLines
	var refused []string
	all := strangers(t, 2, logOf(1, &log))
	bob := all[1]
	e := newEve(t, all[0].Status().Addresses)
	link, err := identity.ParseLink(bob.Link())
	must(t, err)
	for name, lie := range e.lies(all[0].id) {
		t.Run(name, func(t *testing.T) {
			id, got := e.calls(t, link, lie.tell)
			if got != lie.reason {
				t.Errorf("eve was told %q, want %q", got, lie.reason)
			}
			refused = append(refused, id)
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
	for _, id := range refused {
		if lines := log.about(id); len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") {
			t.Errorf("a refusal costs one line, not %q", lines)
		}
	}
}

// TestHistoryIsNotRewritten calls by the id of a call of another day.
func TestHistoryIsNotRewritten(t *testing.T) {
	t.Parallel()
	bob := strangers(t, 1, nil)[0]
	e := newEve(t, bob.Status().Addresses)
	link, err := identity.ParseLink(bob.Link())
	must(t, err)
	id, err := e.signals.NewCallID()
	must(t, err)
	old := store.Call{ID: id, Direction: store.Direction(Incoming), Name: "alice", Started: 1000, Ended: 2000, Reason: "hangup"}
	must(t, bob.store.PutCall(old))
	if got := e.callsBy(t, id, link, func(_, _ *[]byte) {}); got != "protocol_error" {
		t.Errorf("eve was told %q", got)
	}
	if c, err := bob.Call(id); err != nil || c.Remote.Name != "alice" || c.EndReason != "hangup" || len(bob.Calls()) != 1 {
		t.Errorf("the history says now %+v, %v", c, err)
	}
}

func TestLyingCalleeIsLeft(t *testing.T) {
	t.Parallel()
	var log logLines
	all := strangers(t, 1, logOf(0, &log))
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
	for name, lie := range e.lies(alice.id) {
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
			if lines := log.about(mine); len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") {
				t.Errorf("a refusal costs one line, not %q", lines)
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
