package gate

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// ErrRefused: an inbound connection came unasked while the server is under load.
var ErrRefused = errors.New("not admitted")

// Guard is a resource manager that asks whether an inbound connection may be
// opened, before the handshake: of QUIC before anything but its first datagram
// is read. Circuits, which come over connections that are open already, and what
// this host dials itself are not asked about.
type Guard struct {
	network.ResourceManager
	// Admit decides on a connection from an address, udp says whether by QUIC.
	Admit func(from netip.AddrPort, udp bool) bool
}

// OpenConnection implements network.ResourceManager.
func (g *Guard) OpenConnection(dir network.Direction, usefd bool, endpoint ma.Multiaddr) (network.ConnManagementScope, error) {
	if dir == network.DirInbound && endpoint != nil {
		if from, udp, ok := origin(endpoint); ok && !g.Admit(from, udp) {
			return nil, ErrRefused
		}
	}
	return g.ResourceManager.OpenConnection(dir, usefd, endpoint)
}

// origin is the address and port of a direct connection's other end.
func origin(endpoint ma.Multiaddr) (from netip.AddrPort, udp, ok bool) {
	ip, err := manet.ToIP(endpoint)
	if err != nil {
		return from, false, false
	}
	addr, _ := netip.AddrFromSlice(ip)
	for _, c := range endpoint {
		switch code := c.Protocol().Code; code {
		case ma.P_CIRCUIT:
			return from, false, false
		case ma.P_UDP, ma.P_TCP:
			if !ok && len(c.RawValue()) == 2 {
				from = netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(c.RawValue()))
				udp, ok = code == ma.P_UDP, true
			}
		}
	}
	return from, udp, ok
}
