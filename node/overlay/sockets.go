package overlay

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"

	"github.com/peerd/peerd/node/overlay/gate"
)

// sockets gives access to the UDP sockets on which the host listens for QUIC: what
// is no QUIC on them is ours.
type sockets struct {
	// open shares the socket that listens on an address.
	open func(listening *net.UDPAddr) (gate.Conn, error)
	// route returns the local address of the socket from which the host dials.
	route func(to *net.UDPAddr) net.Addr
	// close ends the sockets; the host has been closed before.
	close func() error
}

// use takes the datagrams of a network in place of those beside QUIC. Its hosts have
// one socket each.
func (s *sockets) use(n Network) {
	var local net.Addr
	s.open = func(listening *net.UDPAddr) (gate.Conn, error) {
		conn, err := n.PacketConn(listening)
		if err != nil {
			return nil, err
		}
		local = conn.LocalAddr()
		return gate.Packets(conn), nil
	}
	s.route = func(*net.UDPAddr) net.Addr { return local }
}

// newQUIC makes the manager of a host's QUIC sockets as the library does, and keeps
// hold of it: the resource manager is asked before the handshake, and source
// addresses are verified when it wants them to be.
func (s *sockets) newQUIC(reset quic.StatelessResetKey, token quic.TokenGeneratorKey, limits network.ResourceManager) (*quicreuse.ConnManager, error) {
	var all opened
	manager, err := quicreuse.NewConnManager(reset, token,
		quicreuse.OverrideListenUDP(all.listen),
		quicreuse.ConnContext(connContext(limits)),
		quicreuse.VerifySourceAddress(limits.VerifySourceAddress))
	if err != nil {
		return nil, err
	}
	s.close = manager.Close
	listeners := make(map[string][]*net.UDPAddr)
	s.open = func(listening *net.UDPAddr) (gate.Conn, error) {
		listeners[family(listening)] = append(listeners[family(listening)], listening)
		return all.find(listening)
	}
	s.route = func(to *net.UDPAddr) net.Addr {
		if own := listeners[family(to)]; len(own) == 1 && suits(own[0].IP, to.IP) {
			return own[0] // without asking the kernel for the way
		}
		socket, err := manager.TransportForDial(family(to), to)
		if err != nil {
			return nil
		}
		defer socket.DecreaseCount()
		return socket.LocalAddr()
	}
	return manager, nil
}

// opened are the UDP sockets of a host.
type opened struct {
	mu   sync.Mutex
	list []*gate.Socket
}

// listen opens one.
func (o *opened) listen(network string, at *net.UDPAddr) (net.PacketConn, error) {
	conn, err := gate.Listen(network, at)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, conn)
	return conn, nil
}

// errNotOurs: QUIC listens on a socket that it has not from us.
var errNotOurs = errors.New("no socket of ours listens there")

// find returns the one that listens at an address.
func (o *opened) find(at *net.UDPAddr) (gate.Conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, conn := range slices.Backward(o.list) { // those before may be closed
		if conn.LocalAddr().String() == at.String() {
			return conn, nil
		}
	}
	return nil, errNotOurs
}

// suits says that what is sent to an address leaves from a listener's for sure.
func suits(listener, to net.IP) bool {
	return listener.IsUnspecified() || (listener.IsLoopback() && to.IsLoopback())
}

func family(addr *net.UDPAddr) string {
	if addr.IP.To4() != nil {
		return "udp4"
	}
	return "udp6"
}

// connContext asks the resource manager about a connection that comes in: an error
// refuses it, and the connection's scope ends with it.
func connContext(limits network.ResourceManager) func(context.Context, *quic.ClientInfo) (context.Context, error) {
	return func(ctx context.Context, client *quic.ClientInfo) (context.Context, error) {
		addr, err := quicreuse.ToQuicMultiaddr(client.RemoteAddr, quic.Version1)
		if err != nil {
			addr = nil // the manager decides on that, too
		}
		scope, err := limits.OpenConnection(network.DirInbound, false, addr)
		if err != nil {
			return ctx, err
		}
		ctx = network.WithConnManagementScope(ctx, scope)
		context.AfterFunc(ctx, scope.Done)
		return ctx, nil
	}
}
