package relay

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"
)

var discard = slog.New(slog.DiscardHandler)

func TestPermitted(t *testing.T) {
	tests := []struct {
		relay, client, peer string
		want                bool
	}{
		{"44.128.0.1", "44.128.0.2", "44.128.0.3", true},
		{"44.128.0.1", "192.168.0.2", "44.128.0.3", true},
		{"44.128.0.1", "44.128.0.2", "192.168.0.3", false},
		{"44.128.0.1", "192.168.0.2", "192.168.0.3", false},
		{"192.168.0.1", "192.168.0.2", "192.168.0.3", true},
		{"192.168.0.1", "192.168.0.2", "44.128.0.3", true},
		{"192.168.0.1", "44.128.0.2", "192.168.0.3", false}, // a forwarded port is no door
		{"192.168.0.1", "192.168.0.2", "100.64.3.4", true},
		{"44.128.0.1", "44.128.0.2", "100.64.3.4", false},
		{"44.128.0.1", "44.128.0.2", "127.0.0.1", false},
		{"192.168.0.1", "192.168.0.2", "127.0.0.1", false},
		{"127.0.0.1", "127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.1", "44.128.0.1", false},
		{"44.128.0.1", "44.128.0.2", "169.254.169.254", false},
		{"44.128.0.1", "44.128.0.2", "224.0.0.251", false},
		{"44.128.0.1", "44.128.0.2", "255.255.255.255", false},
		{"44.128.0.1", "44.128.0.2", "0.0.0.0", false},
		{"2a00::1", "2a00::2", "2a00::3", true},
		{"2a00::1", "2a00::2", "fd00::3", false},
		{"fd00::1", "fd00::2", "fd00::3", true},
		{"2a00::1", "2a00::2", "fe80::3", false},
		{"2a00::1", "2a00::2", "ff02::1", false},
		{"2a00::1", "2a00::2", "::1", false},
		{"2a00::1", "2a00::2", "64:ff9b::a00:1", false},
		{"2a00::1", "2a00::2", "2002:a00:1::", false},
	}
	for _, tt := range tests {
		got := permitted(netip.MustParseAddr(tt.relay), netip.MustParseAddr(tt.client), netip.MustParseAddr(tt.peer))
		if got != tt.want {
			t.Errorf("relay %s, client %s, peer %s: %v, want %v", tt.relay, tt.client, tt.peer, got, tt.want)
		}
	}
	if permitted(netip.MustParseAddr("44.128.0.1"), netip.Addr{}, netip.Addr{}) {
		t.Error("no address at all is permitted")
	}
}

func TestOwnAddressIsReachedOnlyWhereAnAllocationLives(t *testing.T) {
	s, clk := newTestServer(t, Limits{})
	s.own[loopback] = true // as on a machine whose address others can reach
	for _, client := range []string{"alice", "bob"} {
		mustAllocate(t, newClient(t, mustGrant(t, s, clk, client), "tcp"))
	}
	var ends []*socket
	s.mu.Lock()
	for _, sock := range s.relayed {
		ends = append(ends, sock)
	}
	s.mu.Unlock()
	if !ends[0].mayReach(ends[1].LocalAddr()) {
		t.Error("two allocations of one relay cannot reach each other")
	}
	if ends[0].mayReach(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.Port()}) {
		t.Error("an allocation reaches another service of the relay's machine")
	}
}

func TestWellKnownPortsAreNotReached(t *testing.T) {
	s, clk := newTestServer(t, Limits{})
	mustAllocate(t, newClient(t, mustGrant(t, s, clk, "alice"), "udp"))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sock := range s.relayed {
		if sock.mayReach(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53}) {
			t.Error("a name server can be asked through the relay")
		}
		if sock.mayReach(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5353}) {
			t.Error("an address that is not UDP is reached")
		}
	}
}

func TestBucketHoldsOneSecond(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBucket(1000, now)
	steps := []struct {
		after time.Duration
		n     int
		want  bool
	}{
		{0, 1000, true},
		{0, 1, false},
		{500 * time.Millisecond, 501, false},
		{0, 500, true},
		{time.Hour, 1001, false},
		{0, 1000, true},
		{-time.Hour, 1, false}, // a clock set back gives nothing and takes nothing
		{time.Hour + time.Second, 1000, true},
	}
	for i, step := range steps {
		now = now.Add(step.after)
		if got := b.take(step.n, now); got != step.want {
			t.Errorf("step %d: take %d = %v, want %v", i, step.n, got, step.want)
		}
	}
}

func TestEveryLocalAddressListens(t *testing.T) {
	addrs, err := localAddresses()
	if err != nil {
		t.Fatal(err)
	}
	if len(addrs) == 0 {
		t.Skip("this machine has no address but loopback")
	}
	s, err := NewServer(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, addr := range addrs {
		if addr.IsLoopback() || addr.IsLinkLocalUnicast() {
			t.Errorf("listens on %s", addr)
		}
		c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, uint16(s.Port()))))
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		c.Close()
	}
}
