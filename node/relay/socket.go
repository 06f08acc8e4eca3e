package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/turn/v5"
)

// generator makes the relayed sockets of one listening address.
type generator struct {
	server *Server
	addr   netip.Addr
}

func (g *generator) Validate() error { return nil }

// AllocatePacketConn opens a relayed socket on the address that the client
// reached, counted against the client and bounded in rate and life.
func (g *generator) AllocatePacketConn(cfg turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	var lc net.ListenConfig
	at := netip.AddrPortFrom(g.addr, uint16(cfg.RequestedPort))
	raw, err := lc.ListenPacket(context.Background(), cfg.Network, at.String())
	if err != nil {
		g.server.refused.Add(1)
		return nil, nil, fmt.Errorf("open a relayed socket: %w", err)
	}
	sock := &socket{
		UDPConn: raw.(*net.UDPConn),
		server:  g.server,
		holder:  parseAccount(cfg.UserID),
		in:      newBucket(g.server.limits.Rate, g.server.now()),
		out:     newBucket(g.server.limits.Rate, g.server.now()),
	}
	if err := g.server.reserve(sock); err != nil {
		return nil, nil, err
	}
	return sock, raw.LocalAddr(), nil
}

func (g *generator) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	g.server.refused.Add(1)
	return nil, nil, errOnlyUDP
}

func (g *generator) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	g.server.refused.Add(1)
	return nil, errOnlyUDP
}

// reserve counts the socket, or closes it where there is no room.
func (s *Server) reserve(sock *socket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.roomFor(sock.holder) {
		s.refused.Add(1)
		sock.UDPConn.Close()
		return errOverLimit
	}
	s.count(sock.holder, 1)
	s.relayed[sock.at()] = sock
	s.held.Add(1)
	s.allocated.Add(1)
	sock.life = time.AfterFunc(s.limits.Lifetime, func() { sock.Close() })
	return nil
}

func (s *Server) release(sock *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.relayed, sock.at())
	s.count(sock.holder, -1)
	s.held.Done()
}

// isRelayed tells whether an allocation lives at this address.
func (s *Server) isRelayed(at netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.relayed[at]
	return ok
}

// socket is a relayed address: what a client sends leaves here and what its
// peer sends arrives here.
type socket struct {
	*net.UDPConn
	server  *Server
	holder  account
	in, out *bucket
	life    *time.Timer
	once    sync.Once
	err     error
}

func (c *socket) at() netip.AddrPort {
	at := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// ReadFrom returns the next datagram within the limits; others are dropped, as
// a network without room for them would.
func (c *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.UDPConn.ReadFrom(b)
		if err != nil || c.pass(c.in, n) {
			return n, from, err
		}
	}
}

// WriteTo sends to a peer within the limits. The rest is dropped without an
// error, which pion would log for every packet.
func (c *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	if !c.mayReach(to) {
		c.server.refused.Add(1)
		return len(b), nil
	}
	if !c.pass(c.out, len(b)) {
		return len(b), nil
	}
	return c.UDPConn.WriteTo(b, to)
}

func (c *socket) pass(direction *bucket, n int) bool {
	now := c.server.now()
	if !direction.take(n, now) || !c.server.total.take(n, now) {
		c.server.dropped.Add(1)
		return false
	}
	c.server.bytes.Add(uint64(n))
	return true
}

func (c *socket) Close() error {
	c.once.Do(func() {
		c.life.Stop()
		c.err = c.UDPConn.Close()
		c.server.release(c)
	})
	return c.err
}

// bucket is a token bucket of bytes that holds one second's worth.
type bucket struct {
	mu   sync.Mutex
	rate float64 // bytes/s, and the most it holds
	left float64
	last time.Time
}

func newBucket(rate int, now time.Time) *bucket {
	return &bucket{rate: float64(rate), left: float64(rate), last: now}
}

func (b *bucket) take(n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.last).Seconds(); passed > 0 {
		b.left = min(b.rate, b.left+passed*b.rate)
		b.last = now
	}
	if b.left < float64(n) {
		return false
	}
	b.left -= float64(n)
	return true
}
