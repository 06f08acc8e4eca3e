package memnet

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// packetQueue is how many datagrams wait for the reader; more are lost without a
// word, as behind a QUIC socket.
const packetQueue = 32

// packetConn is the datagrams beside the connections of one port. ReadFrom has one
// caller at a time.
type packetConn struct {
	host *Host
	at   netip.AddrPort
	in   chan datagram

	once   sync.Once
	closed chan struct{}

	mu       sync.Mutex
	deadline time.Time
}

type datagram struct {
	from netip.AddrPort
	data []byte
	free bool // costs nothing, as what its host does then
}

var _ net.PacketConn = (*packetConn)(nil)

func newPacketConn(h *Host, at netip.AddrPort) (*packetConn, error) {
	p := &packetConn{host: h, at: at, in: make(chan datagram, packetQueue), closed: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.dead:
		return nil, errKilled
	case h.packets[at] != nil:
		return nil, errAddrUsed
	}
	h.packets[at] = p
	return p, nil
}

// WriteTo sends a datagram; it does not wait.
func (p *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, &net.AddrError{Err: "no UDP address", Addr: addr.String()}
	}
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	default:
	}
	to := netip.AddrPortFrom(udp.AddrPort().Addr().Unmap(), udp.AddrPort().Port())
	h := p.host
	h.mu.Lock()
	d := datagram{from: p.at, data: append([]byte(nil), b...), free: h.free > 0}
	h.mu.Unlock()
	if !d.free {
		h.note(func(c *Count) { c.Sent++ })
		h.net.tell(Packet{From: h.addr, To: to.Addr(), Data: b})
	}
	h.net.travel(h.addr, to.Addr(), h.charge(h.net.costs.Datagram, d.free), func() { h.net.datagram(to, d) })
	return len(b), nil
}

// datagram is the arrival of a datagram.
func (n *Network) datagram(to netip.AddrPort, d datagram) {
	h := n.at(to.Addr())
	if h == nil || !h.enter() {
		return
	}
	if !d.free {
		h.note(func(c *Count) { c.Received++ })
	}
	time.AfterFunc(time.Until(h.charge(n.costs.Datagram, d.free)), func() {
		h.leave()
		h.mu.Lock()
		p := h.packets[to]
		h.mu.Unlock()
		if p != nil {
			p.put(d)
		}
	})
}

func (p *packetConn) put(d datagram) {
	select {
	case p.in <- d:
	default:
		p.host.note(func(c *Count) { c.Lost++ })
	}
}

// ReadFrom waits for the next datagram.
func (p *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	p.mu.Lock()
	deadline := p.deadline
	p.mu.Unlock()
	var late <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		late = t.C
	}
	select {
	case d := <-p.in:
		return copy(b, d.data), net.UDPAddrFromAddrPort(d.from), nil
	case <-p.closed:
		return 0, nil, net.ErrClosed
	case <-late:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// Close ends a ReadFrom that waits.
func (p *packetConn) Close() error {
	p.host.mu.Lock()
	if p.host.packets[p.at] == p {
		delete(p.host.packets, p.at)
	}
	p.host.mu.Unlock()
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *packetConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(p.at) }

func (p *packetConn) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetReadDeadline is for the reads that begin after it.
func (p *packetConn) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	return nil
}

func (p *packetConn) SetWriteDeadline(time.Time) error { return nil }
