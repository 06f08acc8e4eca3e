package relay

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/turn/v5"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// clock is a clock that a test sets forward.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newTestServer(t *testing.T, limits Limits) (*Server, *clock) {
	t.Helper()
	clk := newClock()
	s, err := NewServer(Config{Addresses: []netip.Addr{loopback}, Limits: limits, Now: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, clk
}

// ask has a client ask the server over a pipe.
func ask(t *testing.T, s *Server, clk *clock, client string) (Grant, error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(far, client)
		far.Close()
	}()
	grant, err := Request(near, loopback, clk.Now())
	if serr := <-served; serr != nil {
		t.Errorf("serve: %v", serr)
	}
	return grant, err
}

// newClient is a TURN client over the given transport with the grant's
// credentials.
func newClient(t *testing.T, g Grant, transport string) *turn.Client {
	t.Helper()
	server := strings.TrimPrefix(g.STUN[0], "stun:")
	var pc net.PacketConn
	if transport == "tcp" {
		c, err := net.Dial("tcp", server)
		if err != nil {
			t.Fatal(err)
		}
		pc = turn.NewSTUNConn(c)
	} else {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pc = c
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server, TURNServerAddr: server, Conn: pc,
		Username: g.Username, Password: g.Password, LoggerFactory: loggers{discard},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		pc.Close()
	})
	return client
}

func mustGrant(t *testing.T, s *Server, clk *clock, client string) Grant {
	t.Helper()
	g, err := ask(t, s, clk, client)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mustAllocate(t *testing.T, c *turn.Client) net.PacketConn {
	t.Helper()
	relayed, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { relayed.Close() })
	return relayed
}

// eventually waits until a condition holds that other goroutines bring about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestGrantNamesTheAddressTheStreamWentTo(t *testing.T) {
	s, clk := newTestServer(t, Limits{})
	g := mustGrant(t, s, clk, "alice")
	at := netip.AddrPortFrom(loopback, uint16(s.Port())).String()
	if len(g.STUN) != 1 || g.STUN[0] != "stun:"+at {
		t.Errorf("STUN = %v, want the server at %s", g.STUN, at)
	}
	if len(g.TURN) != 2 || g.TURN[0] != "turn:"+at+"?transport=udp" || g.TURN[1] != "turn:"+at+"?transport=tcp" {
		t.Errorf("TURN = %v", g.TURN)
	}
	if want := clk.Now().Add(10 * time.Minute); !g.Expires.Equal(want) {
		t.Errorf("expires %v, want %v", g.Expires, want)
	}
}

func TestSTUNTellsTheClientItsAddress(t *testing.T) {
	s, clk := newTestServer(t, Limits{})
	client := newClient(t, mustGrant(t, s, clk, "alice"), "udp")
	mapped, err := client.SendBindingRequest()
	if err != nil {
		t.Fatal(err)
	}
	if !addrOf(mapped).IsLoopback() {
		t.Errorf("mapped address %v, want a loopback one", mapped)
	}
}

func TestRelaysBothWays(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			s, clk := newTestServer(t, Limits{})
			relayed := mustAllocate(t, newClient(t, mustGrant(t, s, clk, "alice"), transport))
			peer, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			exchange(t, relayed, peer)
			if c := s.Counters(); c.Allocations != 1 || c.Allocated != 1 || c.Bytes < 10 {
				t.Errorf("counters %+v", c)
			}
		})
	}
}

// exchange sends a datagram to the peer through the relay and one back.
func exchange(t *testing.T, relayed, peer net.PacketConn) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	_, _ = relayed.SetDeadline(deadline), peer.SetDeadline(deadline)
	buf := make([]byte, 100)
	if _, err := relayed.WriteTo([]byte("hello"), peer.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	n, from, err := peer.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("peer heard %q, %v", buf[:n], err)
	}
	if from.String() != relayed.LocalAddr().String() {
		t.Errorf("peer heard it from %v, want the relayed address %v", from, relayed.LocalAddr())
	}
	if _, err = peer.WriteTo([]byte("world"), from); err != nil {
		t.Fatal(err)
	}
	if n, _, err = relayed.ReadFrom(buf); err != nil || string(buf[:n]) != "world" {
		t.Fatalf("client heard %q, %v", buf[:n], err)
	}
}

func TestExpiredCredentialMakesNoAllocationButKeepsOne(t *testing.T) {
	s, clk := newTestServer(t, Limits{})
	g := mustGrant(t, s, clk, "alice")
	held := newClient(t, g, "udp")
	mustAllocate(t, held)
	clk.add(11 * time.Minute)
	if _, err := newClient(t, g, "udp").Allocate(); err == nil {
		t.Error("an expired credential made an allocation")
	}
	if err := held.CreatePermission(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000}); err != nil {
		t.Errorf("an allocation that is held: %v", err)
	}
	clk.add(7 * time.Hour)
	if err := held.CreatePermission(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5001}); err == nil {
		t.Error("a credential outlived the longest allocation")
	}
}

func TestMadeUpCredentialsAreRefused(t *testing.T) {
	s, clk := newTestServer(t, Limits{})
	good := mustGrant(t, s, clk, "alice")
	for _, username := range []string{"", "alice", "x:alice", "1900000000:", "1900000000:mallory"} {
		g := good
		g.Username = username
		if _, err := newClient(t, g, "udp").Allocate(); err == nil {
			t.Errorf("user name %q was let in", username)
		}
	}
}

func TestAllocationsAreBoundedPerClient(t *testing.T) {
	s, clk := newTestServer(t, Limits{PerClient: 2})
	g := mustGrant(t, s, clk, "alice")
	first := mustAllocate(t, newClient(t, g, "udp"))
	mustAllocate(t, newClient(t, g, "tcp"))
	if _, err := newClient(t, g, "udp").Allocate(); err == nil {
		t.Fatal("a third allocation was made")
	}
	if _, err := ask(t, s, clk, "alice"); !errors.Is(err, ErrRefused) {
		t.Errorf("asking again: %v, want ErrRefused", err)
	}
	mustAllocate(t, newClient(t, mustGrant(t, s, clk, "bob"), "udp"))
	first.Close()
	eventually(t, "the closed allocation makes room", func() bool { return s.Counters().Allocations == 2 })
	mustAllocate(t, newClient(t, g, "udp"))
}

func TestAllocationsAreBoundedInAll(t *testing.T) {
	s, clk := newTestServer(t, Limits{Allocations: 1})
	g := mustGrant(t, s, clk, "bob")
	mustAllocate(t, newClient(t, mustGrant(t, s, clk, "alice"), "udp"))
	if _, err := newClient(t, g, "udp").Allocate(); err == nil {
		t.Error("an allocation beyond the limit was made")
	}
}

func TestAllocationEndsAtItsLongestLife(t *testing.T) {
	s, clk := newTestServer(t, Limits{Lifetime: 50 * time.Millisecond})
	if _, err := newClient(t, mustGrant(t, s, clk, "alice"), "udp").Allocate(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the allocation ends", func() bool { return s.Counters().Allocations == 0 })
}

func TestConnectionsAreBounded(t *testing.T) {
	s, clk := newTestServer(t, Limits{Conns: 1})
	g := mustGrant(t, s, clk, "alice")
	mustAllocate(t, newClient(t, g, "tcp"))
	if _, err := newClient(t, g, "tcp").Allocate(); err == nil {
		t.Error("a second TCP connection was served")
	}
}

func TestPermissionIsRefusedOverTheWire(t *testing.T) {
	s, clk := newTestServer(t, Limits{})
	client := newClient(t, mustGrant(t, s, clk, "alice"), "udp")
	mustAllocate(t, client)
	for _, peer := range []string{"192.168.1.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "44.128.0.9"} {
		if err := client.CreatePermission(&net.UDPAddr{IP: net.ParseIP(peer), Port: 5000}); err == nil {
			t.Errorf("a relay on loopback permits %s", peer)
		}
	}
	if s.Counters().Refused != 5 {
		t.Errorf("refused %d, want 5", s.Counters().Refused)
	}
}

func TestDatagramsOverTheRateAreDropped(t *testing.T) {
	s, clk := newTestServer(t, Limits{Rate: 1000})
	relayed := mustAllocate(t, newClient(t, mustGrant(t, s, clk, "alice"), "udp"))
	peer, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	for range 5 {
		if _, err := relayed.WriteTo(make([]byte, 400), peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "two pass and three are dropped", func() bool {
		c := s.Counters()
		return c.Bytes == 800 && c.Dropped == 3
	})
}

func TestCloseEndsAllocationsAndMayBeCalledTwice(t *testing.T) {
	s, clk := newTestServer(t, Limits{})
	g := mustGrant(t, s, clk, "alice")
	mustAllocate(t, newClient(t, g, "udp"))
	mustAllocate(t, newClient(t, g, "tcp"))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if c := s.Counters(); c.Allocations != 0 || c.Conns != 0 {
		t.Errorf("after Close: %+v", c)
	}
	if _, err := ask(t, s, clk, "alice"); !errors.Is(err, ErrRefused) {
		t.Errorf("asking a closed relay: %v", err)
	}
}

func TestPortInUseIsAnError(t *testing.T) {
	s, _ := newTestServer(t, Limits{})
	if other, err := NewServer(Config{Addresses: []netip.Addr{loopback}, Port: s.Port()}); err == nil {
		other.Close()
		t.Error("two relays on one port")
	}
}
