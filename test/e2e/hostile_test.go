package e2e_test

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/signaling"
	"github.com/peerd/peerd/test/harness"
)

// attacker is a bare libp2p host with a device key and a certificate, which
// speaks the protocols of docs/protocol.md as it likes.
type attacker struct {
	t    *testing.T
	id   *identity.Identity
	host host.Host
	at   peer.ID // the victim
}

func newAttacker(t *testing.T, victim *harness.Daemon) *attacker {
	t.Helper()
	id, _, err := identity.New("mallory", nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(libp2p.Identity(id.DeviceKey()), libp2p.NoListenAddrs, libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	info, err := peer.AddrInfoFromString(victim.Status().Addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(t.Context(), *info); err != nil {
		t.Fatal(err)
	}
	return &attacker{t, id, h, info.ID}
}

// open opens a stream that nothing keeps open for long.
func (a *attacker) open(proto string) network.Stream {
	a.t.Helper()
	s, err := a.host.NewStream(a.t.Context(), a.at, protocol.ID(proto))
	if err != nil {
		a.t.Fatal(err)
	}
	_ = s.SetDeadline(time.Now().Add(30 * time.Second))
	return s
}

// say sends bytes as they are and reads what comes until the stream ends.
func (a *attacker) say(proto string, raw []byte) (answer []byte) {
	a.t.Helper()
	s := a.open(proto)
	defer func() { _ = s.Reset() }()
	_, _ = s.Write(raw) // it may be refused before all is taken
	_ = s.CloseWrite()
	answer, _ = io.ReadAll(s) // a reset is an answer, too
	return answer
}

// frame is a message with its length before it, in so many bytes.
func frame(head int, body string) []byte {
	length := make([]byte, 8)
	binary.BigEndian.PutUint64(length, uint64(len(body)))
	return append(length[8-head:], body...)
}

// A nuisance is what strangers can send to a protocol; the victim puts it down
// to a reason, once.
type nuisance struct {
	name, proto string
	raw         []byte
	reason      string
}

const (
	callProto     = signaling.Protocol
	presenceProto = "/peerd/presence/1"
	relayProto    = "/peerd/relay/1"
	reachProto    = "/peerd/reach/1"
)

var nuisances = []nuisance{
	{"garbage to call", callProto, frame(4, "\x00\xff no message"), "protocol_error"},
	{"oversized to call", callProto, []byte("\xff\xff\xff\xff and more"), "protocol_error"},
	{"unknown version to call", callProto, frame(4, `{"v":99,"type":"offer"}`), "unsupported_version"},
	{"another message first to call", callProto, frame(4, `{"v":1,"type":"hold"}`), "protocol_error"},
	{"offer without anything to call", callProto, frame(4, `{"v":1,"type":"offer"}`), "protocol_error"},
	{"garbage to presence", presenceProto, frame(4, "\x00\xff no message"), "bad presence message"},
	{"oversized to presence", presenceProto, []byte("\xff\xff\xff\xff and more"), "message too large"},
	{"unknown version to presence", presenceProto, frame(4, `{"v":99}`), "version 99"},
	{"garbage to relay", relayProto, frame(2, "\x00\xff no message"), "not a relay message"},
	{"oversized to relay", relayProto, []byte("\xff\xff and more"), "not a relay message"},
	{"unknown version to relay", relayProto, frame(2, `{"v":99}`), "version 99"},
	{"garbage to reach", reachProto, frame(4, "\x00\xff no message"), "bad reach message"},
	{"oversized to reach", reachProto, []byte("\xff\xff\xff\xff and more"), "message too large"},
	{"unknown version to reach", reachProto, frame(4, `{"v":99}`), "version 99"},
}

// TestHostileMessagesAreRefusedOnceAndDisturbNobody sends bad messages to a
// server, and to phones, one of which is in a call meanwhile.
func TestHostileMessagesAreRefusedOnceAndDisturbNobody(t *testing.T) {
	t.Parallel()
	server := harness.Start(t, harness.Options{Name: "server", First: true, Role: "server"})
	server.AwaitOnline(t)
	oa, ob := alice(), bob()
	oa.Plain, ob.Plain = true, true // it is their sound that is judged
	oa.Bootstrap, ob.Bootstrap = []*harness.Daemon{server}, []*harness.Daemon{server}
	a, b := pair(t, oa, ob)
	echo := harness.Start(t, harness.Options{Name: "echo", Bootstrap: []*harness.Daemon{server}, Answer: "echo"})
	echo.AwaitOnline(t)
	call, out, in := connect(t, a, b)

	t.Run("messages", func(t *testing.T) {
		for _, n := range nuisances {
			t.Run(n.name, func(t *testing.T) {
				victim := b
				if n.proto == relayProto || n.proto == reachProto {
					victim = server
				}
				m := newAttacker(t, victim)
				answer := m.say(n.proto, n.raw)
				m.blamed(victim, n.reason)
				if n.proto == callProto && !strings.Contains(string(answer), `"`+n.reason+`"`) {
					t.Errorf("the sender is told %q", answer)
				}
			})
		}
	})
	t.Run("offers", func(t *testing.T) {
		for _, f := range frauds {
			t.Run(f.name, func(t *testing.T) {
				victim := b
				if f.accepted {
					victim = echo
				}
				m := newAttacker(t, victim)
				if got := m.call(f); got != f.reason {
					t.Errorf("the caller is told %q", got)
				}
				m.blamed(victim, string(f.reason))
			})
		}
	})

	b.AwaitPlayed(t, max(talk, b.Played(t)+time.Second))
	a.AwaitPlayed(t, talk)
	a.Run(t, 0, "hangup")
	call.Call(0)
	ended(t, a, out.ID, "answered", "hangup", "local")
	ended(t, b, in.ID, "answered", "hangup", "remote")
	a.Heard(t).Is(t, bobSays())
	b.Heard(t).Is(t, aliceSays())
}

// blamed waits until the victim has a warning about the attacker, and checks
// that it is one and names the reason.
func (a *attacker) blamed(victim *harness.Daemon, reason string) {
	a.t.Helper()
	limit := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(a.warnings(victim)) == 0 {
		select {
		case <-tick.C:
		case <-limit:
			a.t.Errorf("%s has no warning about it", victim.Name())
			return
		}
	}
	if w := a.warnings(victim); len(w) != 1 || !strings.Contains(w[0], reason) {
		a.t.Errorf("%s does not say once %q:\n%s", victim.Name(), reason, strings.Join(w, ""))
	}
}

func (a *attacker) warnings(victim *harness.Daemon) (found []string) {
	a.t.Helper()
	log, err := os.ReadFile(filepath.Join(victim.Home, "log"))
	if err != nil {
		a.t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		loud := strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")
		if loud && strings.Contains(line, a.host.ID().String()) {
			found = append(found, line)
		}
	}
	return found
}
