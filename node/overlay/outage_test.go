package overlay

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	record "github.com/libp2p/go-libp2p-record"
)

// logged is a log that a test reads.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// joining opens a client that is told of one node, and returns what it logs.
func joining(t *testing.T, bootstrap peer.AddrInfo) (*Overlay, *logged) {
	t.Helper()
	key, _ := newID(t)
	log := &logged{}
	o, err := Open(Config{
		Key: key, Dir: t.TempDir(), Memory: true, Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now,
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Bootstrap: []peer.AddrInfo{bootstrap},
		Validators: record.NamespacedValidator{"pa": anything{}},
		Handlers:   map[protocol.ID]network.StreamHandler{MemberProtocol: func(s network.Stream) { _ = s.Reset() }},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o, log
}

const warning = `level=WARN msg="bootstrap node does not answer"`

// TestSilentBootstrapNodeIsToldOfOnce: one line for each outage, with what to do.
func TestSilentBootstrapNodeIsToldOfOnce(t *testing.T) {
	early := member(t, true)
	cfg := early.cfg
	cfg.Listen = nil
	for _, a := range early.interfaceAddrs() {
		cfg.Listen = append(cfg.Listen, a.String())
	}
	named := peer.AddrInfo{ID: early.host.ID(), Addrs: early.interfaceAddrs()}
	if err := early.Close(); err != nil {
		t.Fatal(err)
	}
	client, log := joining(t, named)
	eventually(t, "two rounds without success", func() bool { return client.Joining().Rounds > 1 })
	if n := log.count(warning); n != 1 || log.count("is it running") != 1 {
		t.Errorf("told of %d times:\n%s", n, &log.buf)
	}
	late, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = late.Close() })
	eventually(t, "joined", func() bool { return len(client.Servers()) == 1 })
	if err := late.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "told of the second outage", func() bool { return log.count(warning) == 2 })
}

// TestAnotherNodeAtTheAddress: what is at the bootstrap node's address has
// another id than the one named.
func TestAnotherNodeAtTheAddress(t *testing.T) {
	server := member(t, true)
	for _, a := range server.interfaceAddrs() {
		t.Run(a.Protocols()[1].Name, func(t *testing.T) {
			_, wrong := newID(t)
			client, _ := joining(t, peer.AddrInfo{ID: wrong, Addrs: []ma.Multiaddr{a}})
			eventually(t, "a round without success", func() bool { return client.Joining().Why != "" })
			why := client.Joining().Why
			for _, want := range []string{
				"another node answers at 127.0.0.1:", "expected is " + wrong.String(), "found is " + server.host.ID().String(), "peerd status",
			} {
				if !strings.Contains(why, want) {
					t.Errorf("no %q in: %s", want, why)
				}
			}
		})
	}
}
