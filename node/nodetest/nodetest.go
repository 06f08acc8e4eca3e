// Package nodetest starts small overlays of real nodes on loopback, for the tests
// of node and of whatever stands on it.
package nodetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
)

// Patience is how long Wait and the helpers wait: far longer than anything takes,
// as the machine may be busy.
const Patience = 60 * time.Second

// Overlay is a running overlay.
type Overlay struct {
	// Servers begin the overlay; the first one began alone.
	Servers []*Member
	// Clients are phones that know the servers as bootstrap nodes.
	Clients []*Member
}

// Member is a node with what it was made of, so that it can be restarted.
type Member struct {
	*node.Node
	Identity *identity.Identity
	Config   node.Config
}

// New starts servers and clients on loopback and waits until all are online. They
// are closed when the test ends.
func New(t testing.TB, servers, clients int) *Overlay {
	t.Helper()
	o := &Overlay{}
	for i := range servers {
		o.Servers = append(o.Servers, Start(t, Config(t, fmt.Sprintf("server%d", i), node.RoleServer, o.Bootstrap())))
	}
	for i := range clients {
		o.Clients = append(o.Clients, Start(t, Config(t, fmt.Sprintf("client%d", i), node.RoleClient, o.Bootstrap())))
	}
	for _, m := range slices.Concat(o.Servers, o.Clients) {
		m.WaitOnline(t)
	}
	return o
}

// Bootstrap returns the addresses of the servers.
func (o *Overlay) Bootstrap() []string {
	var addrs []string
	for _, s := range o.Servers {
		addrs = append(addrs, s.Status().Addresses...)
	}
	return addrs
}

// Config makes the configuration of a new node with a new identity.
func Config(t testing.TB, name, role string, bootstrap []string) node.Config {
	t.Helper()
	id, _, err := identity.New(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return node.Config{
		Identity: id, Dir: t.TempDir(), Role: role, Bootstrap: bootstrap,
		Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"},
		Log:    Logger(t).With("node", name),
	}
}

// Start opens a node; it is closed when the test ends.
func Start(t testing.TB, cfg node.Config) *Member {
	t.Helper()
	n, err := node.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &Member{Node: n, Identity: cfg.Identity, Config: cfg}
}

// Restart closes a node and opens it again from its directory.
func (m *Member) Restart(t testing.TB) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m.Node = Start(t, m.Config).Node
}

// Link is the contact link of the member's account.
func (m *Member) Link() identity.Link { return m.Identity.Link() }

// WaitOnline waits until the node is online.
func (m *Member) WaitOnline(t testing.TB) node.Status {
	t.Helper()
	return m.WaitStatus(t, "online", func(s node.Status) bool { return s.State == node.Online })
}

// WaitStatus waits until the node's status is as ok wants it.
func (m *Member) WaitStatus(t testing.TB, what string, ok func(node.Status) bool) node.Status {
	t.Helper()
	Wait(t, what, func() bool { return ok(m.Status()) }, func() string { return fmt.Sprintf("%+v", m.Status()) })
	return m.Status()
}

// WaitPresence waits until m sees an account in a state.
func (m *Member) WaitPresence(t testing.TB, account identity.AccountID, state node.PresenceState) {
	t.Helper()
	Wait(t, "presence "+string(state), func() bool { return m.Presence(account).State == state },
		func() string { return fmt.Sprintf("%+v", m.Presence(account)) })
}

// Wait polls a condition and fails the test when it does not come true.
func Wait(t testing.TB, what string, cond func() bool, now func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s; it is %s", Patience, what, now())
		}
	}
}

// Logger writes to the test's log while the test runs.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}
