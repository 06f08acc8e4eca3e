package overlay

import (
	"net/netip"
	"slices"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// maxAddrs bounds the addresses worth publishing: a record has one kilobyte.
const (
	maxAddrs    = 8
	maxCircuits = 4
)

// ipOf returns the address in the first component of a, unmapped and without zone.
func ipOf(a ma.Multiaddr) (netip.Addr, bool) {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap().WithZone(""), ok
}

// local says that an address is of no use to anybody else: loopback or link-local.
func local(a ma.Multiaddr) bool {
	ip, ok := ipOf(a)
	return !ok || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
}

// withoutLocal drops loopback and link-local addresses, unless there are no others:
// then this is a lab on one machine, where they are what others dial.
func withoutLocal(addrs []ma.Multiaddr) []ma.Multiaddr {
	var far []ma.Multiaddr
	for _, a := range addrs {
		if !local(a) {
			far = append(far, a)
		}
	}
	if len(far) == 0 {
		return addrs
	}
	return far
}

// useful chooses the addresses to publish, the best first: those proven by
// dial-back, circuits, then what the interfaces have that was not refuted. Once we
// are known to sit behind a relay, unproven public addresses would only cost the
// caller time; private ones may still be reached from the same network.
func useful(interfaces, proven, circuits []ma.Multiaddr) []ma.Multiaddr {
	var out []ma.Multiaddr
	add := func(addrs []ma.Multiaddr, most int) {
		for _, a := range addrs {
			if most > 0 && len(out) < maxAddrs && !ma.Contains(out, a) {
				out = append(out, a)
				most--
			}
		}
	}
	add(proven, maxAddrs)
	add(circuits, maxCircuits)
	for _, a := range withoutLocal(interfaces) {
		if len(circuits) == 0 || manet.IsPrivateAddr(a) {
			add([]ma.Multiaddr{a}, maxAddrs)
		}
	}
	return out
}

// interfaceAddrs are the addresses this host listens on, unspecified ones resolved.
func (o *Overlay) interfaceAddrs() []ma.Multiaddr {
	addrs, err := o.host.Network().InterfaceListenAddresses()
	if err != nil {
		return nil
	}
	var direct []ma.Multiaddr
	for _, a := range addrs {
		if !IsCircuit(a) {
			direct = append(direct, a)
		}
	}
	return direct
}

// owns says whether one of our interfaces has the IP address of a.
func (o *Overlay) owns(a ma.Multiaddr) bool {
	ip, ok := ipOf(a)
	for _, mine := range o.interfaceAddrs() {
		if own, is := ipOf(mine); ok && is && own == ip {
			return true
		}
	}
	return false
}

// Addresses returns the addresses worth telling others, the best first.
func (o *Overlay) Addresses() []ma.Multiaddr {
	proven, circuits := o.reach.addresses()
	return useful(o.interfaceAddrs(), proven, circuits)
}

// ListenIPs are the addresses of this machine that others can reach it at:
// loopback only when there is no other.
func (o *Overlay) ListenIPs() []netip.Addr {
	var ips []netip.Addr
	for _, a := range withoutLocal(o.interfaceAddrs()) {
		if ip, ok := ipOf(a); ok && !ip.IsLinkLocalUnicast() && !slices.Contains(ips, ip) {
			ips = append(ips, ip)
		}
	}
	return ips
}
