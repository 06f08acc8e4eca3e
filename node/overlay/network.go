package overlay

import (
	"net"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// Network stands in for the network of this machine, as that of a lab does.
type Network interface {
	// Transports is an option for hosts that dial and listen there, and nowhere else.
	Transports() libp2p.Option
	// PacketConn opens the datagrams that share the port of a listener at laddr.
	// Addresses are *net.UDPAddr; WriteTo does not wait.
	PacketConn(laddr *net.UDPAddr) (net.PacketConn, error)
}

// Store keeps the DHT's records.
type Store = ds.Batching

// transports are those of a network, or QUIC and TCP of this machine.
func transports(n Network, tcpTimeout time.Duration) libp2p.Option {
	if n != nil {
		return n.Transports()
	}
	return libp2p.ChainOptions(
		libp2p.Transport(quic.NewTransport),
		libp2p.Transport(tcp.NewTCPTransport, tcp.WithConnectionTimeout(tcpTimeout)),
	)
}
