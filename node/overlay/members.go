package overlay

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/storm"
)

// members are the connected hosts that speak peerd. Only these count as alive: what
// else is known may have died with what took the connection.
type members struct {
	mu    sync.Mutex
	conns map[peer.ID]bool // true for servers
}

func newMembers() *members { return &members{conns: make(map[peer.ID]bool)} }

// set notes a connected member and reports whether that is news.
func (m *members) set(p peer.ID, server bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, known := m.conns[p]
	m.conns[p] = server
	return !known || was != server
}

// gone notes a disconnection and reports whether it was a member's.
func (m *members) gone(p peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.conns[p]
	delete(m.conns, p)
	return known
}

// has reports whether a peer is a connected member.
func (m *members) has(p peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.conns[p]
	return known
}

func (m *members) list(servers bool) []peer.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []peer.ID
	for p, server := range m.conns {
		if server || !servers {
			ids = append(ids, p)
		}
	}
	slices.Sort(ids)
	return ids
}

// Members returns the connected hosts that speak peerd, servers and clients.
func (o *Overlay) Members() []peer.ID { return o.members.list(false) }

// Servers returns the connected servers.
func (o *Overlay) Servers() []peer.ID { return o.members.list(true) }

// watchMembers follows identification and disconnection of hosts.
func (o *Overlay) watchMembers() error {
	sub, err := o.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerProtocolsUpdated),
		new(event.EvtPeerConnectednessChanged), new(event.EvtLocalAddressesUpdated),
	}, eventbus.BufSize(1024))
	if err != nil {
		return err
	}
	o.wg.Go(func() {
		defer sub.Close()
		for {
			select {
			case e := <-sub.Out():
				o.onEvent(e)
			case <-o.ctx.Done():
				return
			}
		}
	})
	return nil
}

func (o *Overlay) onEvent(e any) {
	switch e := e.(type) {
	case event.EvtPeerIdentificationCompleted:
		o.identified(e.Peer)
		o.reach.observe(e.Conn, e.ObservedAddr)
	case event.EvtPeerProtocolsUpdated:
		o.identified(e.Peer)
	case event.EvtPeerConnectednessChanged:
		if e.Connectedness == network.NotConnected && o.members.gone(e.Peer) {
			// Walks would wait for it. It is entered again when it is back.
			o.dht.RoutingTable().RemovePeer(e.Peer)
			o.log.Debug("connection lost", "peer", e.Peer)
			o.reach.lost(e.Peer)
			o.door.left(e.Peer)
			o.watched.forget(e.Peer)
			o.lose(e.Peer)
			o.tell(storm.Event[peer.ID]{Kind: storm.Lost, Peer: e.Peer})
			o.changed()
		}
	case event.EvtLocalAddressesUpdated:
		o.reach.news()
		o.changed()
	}
}

// identified sorts a connected host: a member when it speaks a protocol of ours,
// a server when it serves the DHT. A new server goes straight into the routing
// table: it has just answered.
func (o *Overlay) identified(p peer.ID) {
	if !o.connected(p) {
		return
	}
	protos, err := o.host.Peerstore().SupportsProtocols(p, dhtProtocol, MemberProtocol)
	if err != nil || len(protos) == 0 {
		return
	}
	server := slices.Contains(protos, dhtProtocol)
	if server {
		_, _ = o.dht.RoutingTable().TryAddPeer(p, true, true)
		addrs, dialled := o.trueAddrs(p)
		o.door.joined(peer.AddrInfo{ID: p, Addrs: addrs})
		if dialled {
			o.cache.dialled(p, addrs, o.now(), o.host.Peerstore().LatencyEWMA(p))
		}
	}
	o.outages.end(p)
	if o.members.set(p, server) {
		o.watched.forget(p) // what answered before may have been another process
		if server {
			o.reach.news()
			o.tell(storm.Event[peer.ID]{Kind: storm.Met, Peer: p})
			o.searchIfShort()
		}
		o.changed()
	}
}

func (o *Overlay) connected(p peer.ID) bool {
	c := o.host.Network().Connectedness(p)
	return c == network.Connected || c == network.Limited
}

// dialable returns the addresses under which a connected host can be dialled
// again: the one we dialled, and those it listens on.
func (o *Overlay) dialable(p peer.ID) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, c := range o.host.Network().ConnsToPeer(p) {
		if c.Stat().Direction == network.DirOutbound && !IsCircuit(c.RemoteMultiaddr()) {
			addrs = append(addrs, c.RemoteMultiaddr())
		}
	}
	for _, a := range o.host.Peerstore().Addrs(p) {
		if len(addrs) < maxCachedAddrs && !IsCircuit(a) && !ma.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// trueAddrs returns those of a connected server's addresses that are not mere
// claims: the one that we dialled and others at the same IP address; or, where it
// dialled us, those at the address it came from.
func (o *Overlay) trueAddrs(p peer.ID) (addrs []ma.Multiaddr, dialled bool) {
	from := make(map[netip.Addr]bool)
	for _, c := range o.host.Network().ConnsToPeer(p) {
		if ip, ok := ipOf(c.RemoteMultiaddr()); ok && !IsCircuit(c.RemoteMultiaddr()) {
			from[ip] = true
			dialled = dialled || c.Stat().Direction == network.DirOutbound
		}
	}
	for _, a := range o.dialable(p) {
		if ip, ok := ipOf(a); ok && from[ip] {
			addrs = append(addrs, a)
		}
	}
	return addrs, dialled
}

// isServer reports whether a peer is a connected server.
func (o *Overlay) isServer(p peer.ID) bool {
	o.members.mu.Lock()
	defer o.members.mu.Unlock()
	return o.members.conns[p]
}

// IsCircuit says whether an address leads through a circuit relay.
func IsCircuit(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// MemberProtocol is spoken by every member, so that members know each other.
const MemberProtocol protocol.ID = "/peerd/presence/1"
