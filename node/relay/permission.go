package relay

import (
	"net"
	"net/netip"

	"github.com/pion/turn/v5"
)

// minPeerPort is the lowest port that is relayed to: no phone listens below
// it, and name servers and the like shall not be asked through a relay.
const minPeerPort = 1024

// never are the ranges that are no peer's address (RFC 6890), or that hide an
// IPv4 address which the checks below would then not see (RFC 6052, 3056,
// 4380).
var never = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("2001::/32"),
}

// carrier is the space between a carrier and its subscribers (RFC 6598).
var carrier = netip.MustParsePrefix("100.64.0.0/10")

// permission decides whom clients of a listening address may talk to.
func (s *Server) permission(listen netip.Addr) turn.PermissionHandler {
	return func(clientAddr net.Addr, peerIP net.IP) bool {
		peer, ok := netip.AddrFromSlice(peerIP)
		if ok && permitted(listen, addrOf(clientAddr), peer.Unmap()) {
			return true
		}
		s.refused.Add(1)
		return false
	}
}

// permitted is the rule: public peers for everybody, private ones only where
// the relay and the client are themselves on a private network, and loopback
// ones only where the relay is on loopback. A relay in a data centre thus
// opens no door into the network behind it.
func permitted(relay, client, peer netip.Addr) bool {
	for _, p := range never {
		if p.Contains(peer) {
			return false
		}
	}
	switch {
	case !peer.IsValid() || peer.IsUnspecified() || peer.IsMulticast() || peer.IsLinkLocalUnicast():
		return false
	case relay.IsLoopback() || peer.IsLoopback():
		return relay.IsLoopback() && peer.IsLoopback()
	case private(peer):
		return private(relay) && private(client)
	}
	return true
}

func private(addr netip.Addr) bool { return addr.IsPrivate() || carrier.Contains(addr) }

// mayReach checks the port, which a TURN permission does not name. An address
// of the relay's own is a peer only where another allocation lives: two clients that
// can send nothing but TCP meet there, and nothing else on this machine can be
// reached.
func (c *socket) mayReach(to net.Addr) bool {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return false
	}
	peer := netip.AddrPortFrom(udp.AddrPort().Addr().Unmap(), udp.AddrPort().Port())
	if c.server.own[peer.Addr()] {
		return c.server.isRelayed(peer)
	}
	return peer.Port() >= minPeerPort
}

func addrOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
