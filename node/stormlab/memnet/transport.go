package memnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

var (
	errKilled   = errors.New("this host was killed")
	errRefused  = errors.New("connection refused")
	errPeer     = errors.New("somebody else answers at this address")
	errAddrUsed = errors.New("address in use")
	errTimeout  = fmt.Errorf("connection timed out: %w", os.ErrDeadlineExceeded)
	errUnknown  = errors.New("the other end does not know this connection")
)

// memTransport dials and listens for one key. It takes QUIC's place, so that
// addresses look like those of the real network.
type memTransport struct {
	host  *Host
	key   crypto.PrivKey
	id    peer.ID
	rcmgr network.ResourceManager

	mu    sync.Mutex
	bound netip.AddrPort // the listener's address: dials leave from there
}

var _ transport.Transport = (*memTransport)(nil)

func (t *memTransport) Protocols() []int { return []int{ma.P_QUIC_V1} }

func (t *memTransport) Proxy() bool { return false }

func (t *memTransport) String() string { return "memnet" }

func (t *memTransport) CanDial(addr ma.Multiaddr) bool {
	_, err := addrPort(addr)
	return err == nil
}

// addrPort reads /ip4/A/udp/P/quic-v1.
func addrPort(addr ma.Multiaddr) (netip.AddrPort, error) {
	naddr, err := manet.ToNetAddr(addr)
	if err != nil {
		base, _ := ma.SplitLast(addr)
		if base == nil {
			return netip.AddrPort{}, err
		}
		if naddr, err = manet.ToNetAddr(base); err != nil {
			return netip.AddrPort{}, err
		}
	}
	udp, ok := naddr.(*net.UDPAddr)
	if _, notQUIC := addr.ValueForProtocol(ma.P_QUIC_V1); !ok || notQUIC != nil {
		return netip.AddrPort{}, fmt.Errorf("%s is no QUIC address", addr)
	}
	at := udp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

// Listen takes the connections that come to an address of this host.
func (t *memTransport) Listen(laddr ma.Multiaddr) (transport.Listener, error) {
	at, err := addrPort(laddr)
	if err != nil {
		return nil, err
	}
	if at.Addr() != t.host.addr {
		return nil, fmt.Errorf("%s is no address of this host", at)
	}
	l := &listener{t: t, at: at, incoming: make(chan *conn, backlog), closed: make(chan struct{})}
	t.host.mu.Lock()
	defer t.host.mu.Unlock()
	switch {
	case t.host.dead:
		return nil, errKilled
	case t.host.listeners[at] != nil:
		return nil, errAddrUsed
	}
	t.host.listeners[at] = l
	t.mu.Lock()
	t.bound = at
	t.mu.Unlock()
	return l, nil
}

// local is the address that dials leave from.
func (t *memTransport) local() netip.AddrPort {
	t.mu.Lock()
	bound := t.bound
	t.mu.Unlock()
	if bound.IsValid() {
		return bound
	}
	return t.host.freePort()
}

// Dial opens a connection to a host and makes sure that it is p.
func (t *memTransport) Dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	to, err := addrPort(raddr)
	if err != nil {
		return nil, err
	}
	scope, err := t.rcmgr.OpenConnection(network.DirOutbound, false, raddr)
	if err != nil {
		return nil, err
	}
	if err = scope.SetPeer(p); err == nil {
		var c *conn
		if c, err = t.dial(ctx, to, raddr, p, scope); err == nil {
			return c, nil
		}
	}
	scope.Done()
	return nil, err
}

func (t *memTransport) dial(ctx context.Context, to netip.AddrPort, raddr ma.Multiaddr, p peer.ID, scope network.ConnManagementScope) (*conn, error) {
	h := t.host
	if h.isDead() {
		return nil, errKilled
	}
	h.mu.Lock()
	free := h.free > 0
	h.mu.Unlock()
	a := &attempt{t: t, from: t.local(), to: to, free: free, reply: make(chan reply, 1)}
	if !free {
		h.note(func(c *Count) { c.Dialled++ })
	}
	costs := h.net.costs
	if err := wait(ctx, h.charge(costs.Refused, free)); err != nil {
		return nil, err
	}
	r, err := a.knock(ctx)
	if err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := wait(ctx, h.charge(costs.Dial-costs.Refused, free)); err != nil {
		return nil, err
	}
	if r.conn.t.id != p {
		return nil, errPeer
	}
	c := newConn(t, a.from, raddr, r.conn.t, scope, free)
	c.pair(r.conn)
	if err := h.hold(c); err != nil {
		return nil, err
	}
	if !free {
		h.note(func(c *Count) { c.Opened++ })
	}
	h.net.carry(a.from.Addr(), to.Addr(), r.conn.finish)
	return c, nil
}

// wait returns at a time, or earlier when ctx ends.
func wait(ctx context.Context, until time.Time) error {
	d := time.Until(until)
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attempt is one dial under way.
type attempt struct {
	t        *memTransport
	from, to netip.AddrPort
	free     bool
	reply    chan reply

	mu   sync.Mutex
	seen bool // the other host has the first packet
}

type reply struct {
	conn *conn // the other end
	err  error
}

// firstWait is how long a dialler waits before it repeats its first packet; the
// wait doubles each time, as in QUIC.
const firstWait = 300 * time.Millisecond

// knock sends the first packet until there is an answer or ctx ends.
func (a *attempt) knock(ctx context.Context) (reply, error) {
	patience := time.NewTimer(0)
	defer patience.Stop()
	for next := firstWait; ; next *= 2 {
		a.t.host.net.travel(a.from.Addr(), a.to.Addr(), time.Now(), a.arrive)
		patience.Reset(next)
		select {
		case r := <-a.reply:
			return r, nil
		case <-patience.C:
		case <-ctx.Done():
			return reply{}, fmt.Errorf("no answer: %w", ctx.Err())
		}
	}
}

// arrive is the first packet at the other host.
func (a *attempt) arrive() {
	h := a.t.host.net.at(a.to.Addr())
	if h == nil {
		return
	}
	l := h.listener(a.to)
	if l == nil || !a.first() {
		return
	}
	if !h.enter() {
		a.forget()
		return
	}
	time.AfterFunc(time.Until(h.charge(h.net.costs.Refuse, a.free)), func() {
		h.leave()
		l.admit(a)
	})
}

// first reports whether this is the first copy of the first packet that arrived.
func (a *attempt) first() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.seen
	a.seen = true
	return !was
}

// forget lets the next copy in.
func (a *attempt) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = false
}

// answer sends r to the dialler.
func (a *attempt) answer(r reply) {
	a.t.host.net.carry(a.to.Addr(), a.from.Addr(), func() {
		select {
		case a.reply <- r:
		default:
		}
	})
}

// listener takes connections for one key at one address.
type listener struct {
	t        *memTransport
	at       netip.AddrPort
	incoming chan *conn
	once     sync.Once
	closed   chan struct{}
}

// admit asks the resource manager, as QUIC does before a handshake, and then does
// the handshake.
func (l *listener) admit(a *attempt) {
	h, remote := l.t.host, quicAddr(a.from)
	if h.isDead() {
		return
	}
	// A source address that must be verified first costs another round trip.
	var extra time.Duration
	if l.t.rcmgr.VerifySourceAddress(net.UDPAddrFromAddrPort(a.from)) {
		extra = 2 * h.net.links.latency(a.to.Addr(), a.from.Addr())
	}
	scope, err := l.t.rcmgr.OpenConnection(network.DirInbound, false, remote)
	if err != nil {
		if !a.free {
			h.note(func(c *Count) { c.Refused++ })
		}
		a.answer(reply{err: fmt.Errorf("%w: %s", errRefused, a.to)})
		return
	}
	c := newConn(l.t, a.to, remote, a.t, scope, a.free)
	c.listener = l
	costs := h.net.costs
	rest := costs.Accept - costs.Refuse + h.machine.Connection
	time.AfterFunc(time.Until(h.charge(rest, a.free))+extra, func() {
		// A dialler that has gone away leaves a handshake that never ends.
		c.unfinished = time.AfterFunc(handshakeLimit, func() { c.shut(errTimeout) })
		a.answer(reply{conn: c})
	})
}

// handshakeLimit is how long half a handshake is kept.
const handshakeLimit = 5 * time.Second

// deliver hands a finished connection over.
func (l *listener) deliver(c *conn) bool {
	select {
	case <-l.closed:
		return false
	default:
	}
	select {
	case l.incoming <- c:
		return true
	default:
		return false
	}
}

// Accept waits for the next connection.
func (l *listener) Accept() (transport.CapableConn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, transport.ErrListenerClosed
	}
}

// Close frees the address.
func (l *listener) Close() error {
	l.t.host.mu.Lock()
	if l.t.host.listeners[l.at] == l {
		delete(l.t.host.listeners, l.at)
	}
	l.t.host.mu.Unlock()
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return net.UDPAddrFromAddrPort(l.at) }

func (l *listener) Multiaddr() ma.Multiaddr { return quicAddr(l.at) }
