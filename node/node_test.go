package node_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/nodetest"
)

func TestLoginOfFive(t *testing.T) {
	o := nodetest.New(t, 2, 3)
	for _, c := range o.Clients {
		s := c.WaitStatus(t, "both servers", func(s node.Status) bool { return s.Login.Acks >= 2 && s.Overlay.Peers >= 2 })
		if s.Alone || !s.Login.Published || s.Reachable != node.ReachDirect || s.Overlay.Role != node.RoleClient {
			t.Errorf("client: %+v", s)
		}
		if len(s.Login.Missing) != 0 || s.Login.TookMS <= 0 || len(s.Addresses) == 0 {
			t.Errorf("client: %+v", s)
		}
		t.Logf("online after %d ms", s.Login.TookMS)
	}
}

func TestFirstNodeIsAlone(t *testing.T) {
	for _, role := range []string{node.RoleServer, node.RoleAuto} {
		m := nodetest.Start(t, nodetest.Config(t, "first", role, nil))
		s := m.WaitOnline(t)
		if !s.Alone || s.Overlay.Role != node.RoleServer || s.Overlay.Peers != 0 {
			t.Errorf("role %s: %+v", role, s)
		}
	}
}

func TestFindByLink(t *testing.T) {
	o := nodetest.New(t, 2, 2)
	alice, bob := o.Clients[0], o.Clients[1]
	echo(bob)
	p, err := alice.Connect(t.Context(), bob.Link())
	if err != nil {
		t.Fatal(err)
	}
	if p.Device != bob.Identity.Device() || p.Certificate.Account != bob.Identity.Account() {
		t.Errorf("found %+v", p)
	}
	roundTrip(t, alice, p.Device)
}

func TestNobodyBehindTheLink(t *testing.T) {
	o := nodetest.New(t, 1, 1)
	ghost := nodetest.Config(t, "ghost", node.RoleClient, nil).Identity
	if _, err := o.Clients[0].Connect(t.Context(), ghost.Link()); !errorIs(err, node.ErrNotFound) {
		t.Errorf("error is %v, want ErrNotFound", err)
	}
}

func TestContactsWithoutBootstrapNode(t *testing.T) {
	o := nodetest.New(t, 1, 2)
	alice, bob := o.Clients[0], o.Clients[1]
	echo(bob)
	befriend(t, alice, bob)
	if err := o.Servers[0].Close(); err != nil {
		t.Fatal(err)
	}
	alice.WaitStatus(t, "offline", func(s node.Status) bool { return s.State == node.Offline })
	p, err := alice.Connect(t.Context(), bob.Link())
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, alice, p.Device)
}

func TestContactsFindEachOtherAfterRestartWithoutBootstrapNode(t *testing.T) {
	o := nodetest.New(t, 1, 2)
	alice, bob := o.Clients[0], o.Clients[1]
	befriend(t, alice, bob)
	if err := o.Servers[0].Close(); err != nil {
		t.Fatal(err)
	}
	alice.Restart(t)
	alice.SetContacts([]identity.Link{bob.Link()})
	bob.WaitPresence(t, alice.Identity.Account(), node.Connected)
	echo(bob)
	p, err := alice.Connect(t.Context(), bob.Link())
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, alice, p.Device)
}

func TestGoodbyeIsSeenAtOnce(t *testing.T) {
	o := nodetest.New(t, 1, 2)
	alice, bob := o.Clients[0], o.Clients[1]
	befriend(t, alice, bob)
	events, end := alice.Subscribe()
	defer end()
	if err := bob.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(nodetest.Patience)
	for {
		select {
		case e := <-events:
			if e.Presence != nil && e.Presence.Account == bob.Identity.Account() && e.Presence.Presence.State == node.Gone {
				if !e.Presence.Presence.SignedOff {
					t.Errorf("gone without a goodbye: %+v", e.Presence.Presence)
				}
				return
			}
		case <-deadline:
			t.Fatalf("no goodbye; presence is %+v", alice.Presence(bob.Identity.Account()))
		}
	}
}

func TestWarmRestartWithDeadBootstrapNodes(t *testing.T) {
	o := nodetest.New(t, 3, 1)
	c := o.Clients[0]
	c.WaitStatus(t, "three neighbours", func(s node.Status) bool { return s.Overlay.Peers >= 3 })
	c.Config.Bootstrap = []string{
		"/ip4/127.0.0.1/tcp/9/p2p/" + nodetest.Config(t, "dead", node.RoleServer, nil).Identity.Device().String(),
	}
	c.Restart(t)
	s := c.WaitOnline(t)
	t.Logf("warm after %d ms", s.Login.TookMS)
}

func TestServerComesBack(t *testing.T) {
	o := nodetest.New(t, 1, 2)
	server := o.Servers[0]
	server.Config.Listen = nil
	for _, a := range server.Status().Addresses {
		server.Config.Listen = append(server.Config.Listen, strings.TrimSuffix(a, "/p2p/"+server.Identity.Device().String()))
	}
	server.Config.Role = node.RoleServer
	server.Restart(t)
	for _, c := range o.Clients {
		c.WaitOnline(t)
		c.WaitStatus(t, "the server again", func(s node.Status) bool { return s.Overlay.Peers > 0 })
	}
	p, err := o.Clients[0].Connect(t.Context(), o.Clients[1].Link())
	if err != nil || p.Device != o.Clients[1].Identity.Device() {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestThirtyAtOnce(t *testing.T) {
	o := nodetest.New(t, 1, 0)
	var all []*nodetest.Member
	for range 30 {
		cfg := nodetest.Config(t, "phone", node.RoleClient, o.Bootstrap())
		cfg.Memory = true
		all = append(all, nodetest.Start(t, cfg))
	}
	for _, m := range all {
		m.WaitOnline(t)
	}
}

func TestMissingSaysWhy(t *testing.T) {
	dead := nodetest.Config(t, "dead", node.RoleServer, nil).Identity.Device().String()
	m := nodetest.Start(t, nodetest.Config(t, "lost", node.RoleClient, []string{"/ip4/127.0.0.1/tcp/9/p2p/" + dead}))
	s := m.WaitStatus(t, "a reason", func(s node.Status) bool {
		return len(s.Login.Missing) > 0 && s.Login.Missing[0].What == node.MissingNeighbours &&
			len(s.Login.Missing[0].Why) > len("no server is connected")
	})
	if s.State != node.Starting || s.Login.Missing[0].Since.IsZero() {
		t.Errorf("%+v", s)
	}
	t.Logf("%+v", s.Login.Missing)
}

func TestSilentBootstrapNodeIsNamedInWords(t *testing.T) {
	id := "/p2p/" + nodetest.Config(t, "silent", node.RoleServer, nil).Identity.Device().String()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0") // connects, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for where, addr := range map[string]string{
		udp.LocalAddr().String(): "/ip4/127.0.0.1/udp/" + portOf(udp.LocalAddr()) + "/quic-v1",
		tcp.Addr().String():      "/ip4/127.0.0.1/tcp/" + portOf(tcp.Addr()),
	} {
		m := nodetest.Start(t, nodetest.Config(t, "lost", node.RoleClient, []string{addr + id}))
		s := m.WaitStatus(t, "a reason", func(s node.Status) bool {
			return len(s.Login.Missing) > 0 && strings.Contains(s.Login.Missing[0].Why, "no server answers: ")
		})
		why := s.Login.Missing[0].Why
		if !strings.Contains(why, "no answer from "+where) || !strings.Contains(why, "is it running") || strings.Contains(why, "deadline") {
			t.Errorf("%s: %s", addr, why)
		}
		t.Log(why)
	}
}

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

func TestPortInUse(t *testing.T) {
	first := nodetest.Start(t, nodetest.Config(t, "first", node.RoleServer, nil))
	for _, addr := range first.Status().Addresses {
		cfg := nodetest.Config(t, "second", node.RoleClient, nil)
		cfg.Listen = []string{addr[:len(addr)-len("/p2p/")-len(first.Identity.Device().String())]}
		if n, err := node.Open(t.Context(), cfg); !errorIs(err, node.ErrPortInUse) {
			t.Errorf("listen on %s: %v, want ErrPortInUse", cfg.Listen, err)
			if n != nil {
				n.Close()
			}
		}
	}
}

func TestBadConfig(t *testing.T) {
	good := nodetest.Config(t, "good", node.RoleClient, nil)
	for name, change := range map[string]func(*node.Config){
		"role":      func(c *node.Config) { c.Role = "boss" },
		"bootstrap": func(c *node.Config) { c.Bootstrap = []string{"/ip4/127.0.0.1/tcp/1"} },
		"listen":    func(c *node.Config) { c.Listen = []string{"localhost:1"} },
		"identity":  func(c *node.Config) { c.Identity = nil },
	} {
		cfg := good
		change(&cfg)
		if _, err := node.Open(t.Context(), cfg); !errorIs(err, node.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
}

func TestRelaysAreGranted(t *testing.T) {
	o := nodetest.New(t, 2, 1)
	ctx, cancel := context.WithTimeout(t.Context(), nodetest.Patience)
	defer cancel()
	grants, err := o.Clients[0].Relays(ctx)
	if err != nil || len(grants) == 0 || len(grants[0].TURN) == 0 || len(grants[0].STUN) == 0 {
		t.Errorf("grants %+v, %v", grants, err)
	}
}

func TestCloseTwice(t *testing.T) {
	m := nodetest.Start(t, nodetest.Config(t, "twice", node.RoleServer, nil))
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNoConnectAfterClose: nothing is begun that Close would not wait for.
func TestNoConnectAfterClose(t *testing.T) {
	cfg := nodetest.Config(t, "alice", node.RoleClient, nil)
	bob := nodetest.Config(t, "bob", node.RoleClient, nil).Identity.Link()
	n, err := node.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err = n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err = n.Connect(t.Context(), bob); !errors.Is(err, node.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// befriend makes two members contacts of each other and waits until both know it.
func befriend(t *testing.T, a, b *nodetest.Member) {
	t.Helper()
	a.SetContacts([]identity.Link{b.Link()})
	b.SetContacts([]identity.Link{a.Link()})
	a.WaitPresence(t, b.Identity.Account(), node.Connected)
	b.WaitPresence(t, a.Identity.Account(), node.Connected)
}

const echoProtocol = "/peerd/test/echo/1"

func echo(m *nodetest.Member) {
	m.Handle(echoProtocol, func(s node.Stream) {
		defer s.Close()
		_, _ = io.Copy(s, s)
	})
}

func roundTrip(t *testing.T, m *nodetest.Member, device identity.DeviceID) {
	t.Helper()
	s, err := m.Stream(t.Context(), device, echoProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err = io.WriteString(s, "hello\n"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(s).ReadString('\n')
	if err != nil || line != "hello\n" || s.Device() != device {
		t.Errorf("echo %q from %s: %v", line, s.Device(), err)
	}
}

func errorIs(err, target error) bool { return errors.Is(err, target) }
