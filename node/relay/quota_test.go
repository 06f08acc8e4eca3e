package relay

import (
	"net"
	"testing"
)

func TestNetworkOfAClient(t *testing.T) {
	at := func(ip string) net.Addr { return &net.UDPAddr{IP: net.ParseIP(ip), Port: 9} }
	for _, c := range []struct {
		a, b net.Addr
		same bool
	}{
		{at("192.0.2.1"), at("192.0.2.1"), true},
		{at("192.0.2.1"), at("192.0.2.2"), false},
		{at("192.0.2.1"), &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 7}, true},
		{at("2001:db8:0:1::1"), at("2001:db8:0:1:ffff::2"), true},
		{at("2001:db8:0:1::1"), at("2001:db8:0:2::1"), false},
	} {
		if same := network(c.a) == network(c.b); same != c.same {
			t.Errorf("%v and %v: one address is %v", c.a, c.b, same)
		}
	}
	who := account{client: "alice", from: network(at("192.0.2.1")).String()}
	if parseAccount(who.String()) != who {
		t.Errorf("%+v is read as %+v", who, parseAccount(who.String()))
	}
}

// TestAllocationsAreBoundedPerAddress: phones cost nothing to make.
func TestAllocationsAreBoundedPerAddress(t *testing.T) {
	s, clk := newTestServer(t, Limits{PerAddress: 2})
	first := mustAllocate(t, newClient(t, mustGrant(t, s, clk, "alice"), "udp"))
	mustAllocate(t, newClient(t, mustGrant(t, s, clk, "bob"), "udp"))
	carol := mustGrant(t, s, clk, "carol")
	if _, err := newClient(t, carol, "udp").Allocate(); err == nil {
		t.Fatal("a third allocation was made from one address")
	}
	s.mu.Lock()
	elsewhere := s.roomFor(account{client: "carol", from: "192.0.2.1/32"})
	s.mu.Unlock()
	if !elsewhere {
		t.Error("one address took the room of all")
	}
	first.Close()
	eventually(t, "the closed allocation makes room", func() bool { return s.Counters().Allocations == 1 })
	mustAllocate(t, newClient(t, carol, "udp"))
}

// from is a connection that comes from an address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }
func (f from) Close() error         { return nil }

func TestConnectionsAreBoundedPerAddress(t *testing.T) {
	s, _ := newTestServer(t, Limits{PerAddress: 2})
	comes := func(ip string) (*conn, bool) {
		c := &conn{Conn: from{addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 9}}, server: s}
		return c, s.admit(c)
	}
	first, _ := comes("192.0.2.1")
	comes("192.0.2.1")
	if _, ok := comes("192.0.2.1"); ok {
		t.Error("a third connection from one address was served")
	}
	if _, ok := comes("192.0.2.2"); !ok {
		t.Error("one address took the room of all")
	}
	first.Close()
	if _, ok := comes("192.0.2.1"); !ok {
		t.Error("the closed connection made no room")
	}
}

func TestHouseOfPhonesHasRoom(t *testing.T) {
	l := Limits{}.orDefault()
	if l.PerAddress < 2*64 || l.Allocations < 2*l.PerAddress || l.Conns < 2*l.PerAddress {
		t.Errorf("64 phones behind one address, and as many elsewhere, do not fit into %+v", l)
	}
}
