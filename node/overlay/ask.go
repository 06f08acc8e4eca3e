package overlay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

const (
	// maxAskAddrs of a peer's addresses are asked, the next one askStagger after the
	// last has not answered.
	maxAskAddrs = 3
	askStagger  = 100 * time.Millisecond
	// askAgain without an answer, they are asked once more: datagrams get lost.
	askAgain = 300 * time.Millisecond
	// deafAfter questions without any answer since the start, a network is taken for
	// one that drops UDP, until an answer comes.
	deafAfter = 2
)

// asker puts questions to servers. It keeps what they gave us to show again.
type asker struct {
	o    *Overlay
	port *gate.Port

	heard  atomic.Bool  // an answer has come since Open
	silent atomic.Int32 // questions without one

	mu    sync.Mutex
	slots map[peer.ID][]byte // what the last answer promised
}

// maxSlots bounds the slots remembered.
const maxSlots = 64

// openPort begins to ask and answer on the sockets the host listens on.
func (o *Overlay) openPort() {
	o.asker.port = gate.NewPort(o.questionConns(), o.sockets.route, o.door.serve, o.door.read)
	o.door.tellOf(o.asker.port)
}

// questionConns shares the UDP sockets of the QUIC listeners.
func (o *Overlay) questionConns() []gate.Conn {
	var conns []gate.Conn
	for _, a := range o.host.Network().ListenAddresses() {
		addr, ok := udpAddr(a)
		if !ok {
			continue
		}
		conn, err := o.sockets.open(net.UDPAddrFromAddrPort(addr))
		if err != nil {
			o.log.Warn("no questions on this address", "addr", a, "err", err)
			continue
		}
		conns = append(conns, conn)
	}
	return conns
}

// udpAddr returns where the QUIC listener of an address receives datagrams.
func udpAddr(a ma.Multiaddr) (netip.AddrPort, bool) {
	if !isQUIC(a) || IsCircuit(a) {
		return netip.AddrPort{}, false
	}
	udp, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_QUIC_V1 })
	addr, err := manet.ToNetAddr(udp)
	if err != nil {
		return netip.AddrPort{}, false
	}
	u, ok := addr.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	at := u.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), true
}

// ask puts a question to a peer and waits for the answer until ctx ends. A peer
// that cannot be asked, having no address for it, may be dialled: so says the
// answer then; so may one that is connected when a neighbour was lost. With a log-in goes
// the question who is near our own record.
func (o *Overlay) ask(ctx context.Context, p peer.ID, class storm.Class, again bool) (gate.Answer, error) {
	addrs := o.askAddrs(p)
	if len(addrs) == 0 || (class == storm.Presence && o.isServer(p)) {
		return gate.Answer{Come: true}, nil
	}
	q := o.question(p, class, again)
	q.Serves = o.willServe()
	if class == storm.LogIn {
		q.Key = o.keeping.firstKey()
	}
	a, err := o.asker.put(ctx, addrs, q)
	switch {
	case err != nil && o.mute(p, err):
		return gate.Answer{Come: true}, nil
	case err != nil:
		return a, err
	}
	o.heed(p, a)
	near := o.named(a)
	if a.Come && len(q.Key) > 0 {
		o.scout(p, near)
		a.Referrals = nil // they are near the record, not in need of company
	}
	return a, nil
}

// question is one to a peer, with what it gave us to show again.
func (o *Overlay) question(p peer.ID, class storm.Class, again bool) gate.Question {
	q := gate.Question{From: o.host.ID(), Class: uint8(class), Ticket: o.cache.ticket(p)}
	if again {
		q.Slot = o.asker.slot(p)
	}
	return q
}

// mute says that a peer is not to be asked, as err tells, but dialled.
func (o *Overlay) mute(p peer.ID, err error) bool {
	return errors.Is(err, gate.ErrNoSocket) || (o.asker.deaf() && o.hasTCP(p))
}

// heed notes what an answer says of the crowd, and what it promises.
func (o *Overlay) heed(p peer.ID, a gate.Answer) {
	if a.Come || a.Wait > 0 { // a client that has no work to give tells nothing of the crowd
		o.door.heard(a.Come && a.Wait == 0)
	}
	o.asker.promised(p, a.Slot)
}

// named lists whom an answer names, and keeps their addresses.
func (o *Overlay) named(a gate.Answer) []peer.ID {
	near := make([]peer.ID, 0, len(a.Referrals))
	for _, r := range a.Referrals {
		o.host.Peerstore().AddAddrs(r.ID, r.Addrs, peerstore.RecentlyConnectedAddrTTL)
		near = append(near, r.ID)
	}
	return near
}

// willServe says that we serve, or shall once our address is proven: servers let such
// in first while there are few.
func (o *Overlay) willServe() bool {
	return o.Serving() || (o.cfg.MayServe && o.hasPublicAddr())
}

// put sends the question to one address after the other, and once again; the first
// answer counts.
func (k *asker) put(ctx context.Context, addrs []netip.AddrPort, q gate.Question) (gate.Answer, error) {
	return race(ctx, k, addrs, func(ctx context.Context, to netip.AddrPort) (gate.Answer, error) { return k.port.Ask(ctx, to, q) })
}

// read asks for the value of a record as put asks a question.
func (k *asker) read(ctx context.Context, addrs []netip.AddrPort, name string) ([]byte, error) {
	return race(ctx, k, addrs, func(ctx context.Context, to netip.AddrPort) ([]byte, error) { return k.port.Read(ctx, to, name) })
}

// race asks at one address after the other, and once again; the first answer counts.
func race[A any](ctx context.Context, k *asker, addrs []netip.AddrPort, ask func(context.Context, netip.AddrPort) (A, error)) (answer A, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		answer A
		err    error
	}
	results := make(chan result, 2*len(addrs))
	stagger := time.NewTicker(askStagger)
	defer stagger.Stop()
	again := time.NewTimer(askAgain)
	defer again.Stop()
	next, running := 0, 0
	launch := func() {
		if next < len(addrs) {
			addr := addrs[next]
			next, running = next+1, running+1
			go func() {
				var r result
				r.answer, r.err = ask(ctx, addr)
				results <- r
			}()
		}
	}
	for launch(); running > 0; {
		select {
		case r := <-results:
			if r.err == nil {
				k.heard.Store(true)
				return r.answer, nil
			}
			err = r.err
			running--
			if ctx.Err() == nil {
				launch()
			}
		case <-stagger.C:
			launch()
		case <-again.C:
			next = 0
			launch()
		}
	}
	k.silent.Add(1)
	return answer, err
}

// deaf says that no answer ever came, to several questions: UDP does not get
// through, and what is left is to connect by TCP.
func (k *asker) deaf() bool { return !k.heard.Load() && k.silent.Load() >= deafAfter }

// rank has TCP wait longer where answers tell that UDP gets through.
func (k *asker) rank(addrs []ma.Multiaddr) []network.AddrDelay {
	if k.heard.Load() {
		return rankDials(addrs, tcpDelayUDP)
	}
	return rankDials(addrs, tcpDelay)
}

func (k *asker) slot(p peer.ID) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.slots[p]
}

func (k *asker) promised(p peer.ID, slot []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.slots == nil || len(k.slots) >= maxSlots {
		k.slots = make(map[peer.ID][]byte)
	}
	if delete(k.slots, p); len(slot) > 0 {
		k.slots[p] = slot
	}
}

// knownAddrs are all addresses under which a peer may be found.
func (o *Overlay) knownAddrs(p peer.ID) []ma.Multiaddr {
	addrs := o.dialable(p)
	for _, known := range [][]peer.AddrInfo{o.cache.find(p), o.cfg.Bootstrap, o.lan.list()} {
		for _, info := range known {
			for _, a := range info.Addrs {
				if info.ID == p && !ma.Contains(addrs, a) {
					addrs = append(addrs, a)
				}
			}
		}
	}
	return addrs
}

func (o *Overlay) askAddrs(p peer.ID) []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, a := range o.knownAddrs(p) {
		if u, ok := udpAddr(a); ok && len(addrs) < maxAskAddrs && !slices.Contains(addrs, u) {
			addrs = append(addrs, u)
		}
	}
	return addrs
}

func (o *Overlay) hasTCP(p peer.ID) bool {
	return slices.ContainsFunc(o.knownAddrs(p), func(a ma.Multiaddr) bool { return !isQUIC(a) && !IsCircuit(a) })
}
