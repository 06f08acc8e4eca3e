package overlay

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/peerd/peerd/node/overlay/gate"
)

// DefaultPort is the UDP and TCP port of a host that is told no address.
const DefaultPort = 27470

// dialTimeout bounds a dial, in a private network as well.
const dialTimeout = 5 * time.Second

// ErrPortInUse: an address asked for is taken by another program.
var ErrPortInUse = errors.New("listen address in use")

// ErrBadAddress: an address is no multiaddr, or none this host can listen on or dial.
var ErrBadAddress = errors.New("bad address")

// hooks are what a host asks its overlay.
type hooks struct {
	// advertise completes the list of addresses that identify tells others.
	advertise func([]ma.Multiaddr) []ma.Multiaddr
	// admit decides on a connection that comes in, by UDP or not.
	admit func(from netip.AddrPort, udp bool) bool
	// rank says when to dial which address.
	rank func([]ma.Multiaddr) []network.AddrDelay
}

// newHost makes a host that listens nowhere yet, and fills in its sockets.
func newHost(cfg Config, s *sockets, ask hooks) (host.Host, error) {
	limits, err := newResourceManager()
	if err != nil {
		return nil, fmt.Errorf("resource limits: %w", err)
	}
	limits = &gate.Guard{ResourceManager: limits, Admit: ask.admit}
	conns, err := newConnManager()
	if err != nil {
		return nil, fmt.Errorf("connection manager: %w", err)
	}
	return libp2p.New(
		libp2p.Identity(cfg.Key),
		libp2p.UserAgent("peerd/1"),
		libp2p.NoListenAddrs,
		libp2p.QUICReuse(s.newQUIC),
		transports(cfg.Network, dialTimeout),
		libp2p.ResourceManager(limits),
		libp2p.ConnectionManager(conns),
		libp2p.EnableRelay(),
		libp2p.EnableHolePunching(holepunch.DirectDialTimeout(2*time.Second)),
		libp2p.AddrsFactory(ask.advertise),
		libp2p.DisableMetrics(),
		libp2p.WithDialTimeout(dialTimeout),
		// A crowd of dead peers is no proof that the network blocks UDP or IPv6.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.SwarmOpts(swarm.WithDialRanker(ask.rank), swarm.WithDialTimeoutLocal(dialTimeout)),
	)
}

// listen makes the host listen on every address asked for, or on the default port,
// or, when that is taken, on any free one.
func listen(h host.Host, asked []string) error {
	if len(asked) == 0 {
		if listenAll(h, defaultAddrs(DefaultPort)) == nil {
			return nil
		}
		return listenAll(h, defaultAddrs(0))
	}
	return listenAll(h, asked)
}

func defaultAddrs(port int) []string {
	return []string{
		fmt.Sprintf("/ip4/0.0.0.0/udp/%d/quic-v1", port),
		fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port),
		fmt.Sprintf("/ip6/::/udp/%d/quic-v1", port),
		fmt.Sprintf("/ip6/::/tcp/%d", port),
	}
}

// listenAll listens on all addresses or on none. A machine without IPv6 is no error.
func listenAll(h host.Host, addrs []string) error {
	var open []ma.Multiaddr
	for _, text := range addrs {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return fmt.Errorf("%w: %q: %w", ErrBadAddress, text, err)
		}
		if err = portFree(addr); err == nil {
			err = h.Network().Listen(addr)
		}
		if err != nil && isIP6(addr) && len(open) > 0 && !inUse(err) {
			continue
		}
		if err != nil {
			h.Network().(*swarm.Swarm).ListenClose(open...)
			return listenError(text, err)
		}
		open = append(open, addr)
	}
	return nil
}

// portFree says whether a TCP port asked for is free. The library's listeners set
// SO_REUSEPORT, by which two daemons would share a port and its callers.
func portFree(addr ma.Multiaddr) error {
	network, hostport, err := manet.DialArgs(addr)
	if err != nil || !strings.HasPrefix(network, "tcp") || strings.HasSuffix(hostport, ":0") {
		return nil
	}
	l, err := net.Listen(network, hostport)
	if err != nil {
		return err
	}
	return l.Close()
}

func listenError(addr string, err error) error {
	switch {
	case inUse(err):
		return fmt.Errorf("%w: %s is taken by another program", ErrPortInUse, addr)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("listen on %s: permission denied (ports below 1024 need privileges)", addr)
	}
	return fmt.Errorf("%w: cannot listen on %s: %w", ErrBadAddress, addr, err)
}

// inUse also reads the text: the swarm joins the errors of its listeners as text.
func inUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), syscall.EADDRINUSE.Error())
}

func isIP6(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_IP6)
	return err == nil
}

// ParsePeers reads multiaddrs that end in /p2p/ID and joins those of the same peer.
func ParsePeers(addrs []string) ([]peer.AddrInfo, error) {
	list := make([]ma.Multiaddr, 0, len(addrs))
	for _, text := range addrs {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: a character is wrong or missing, perhaps in the id at its end; copy it whole from peerd status there", ErrBadAddress, text)
		}
		if _, err := peer.AddrInfoFromP2pAddr(addr); err != nil {
			return nil, fmt.Errorf("%w: %q does not end in /p2p/ and a node's id", ErrBadAddress, text)
		}
		list = append(list, addr)
	}
	return peer.AddrInfosFromP2pAddrs(list...)
}
