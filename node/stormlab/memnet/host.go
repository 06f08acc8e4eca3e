package memnet

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// Port is where hosts listen.
	Port = 27470
	// firstFreePort is the first port of those who only dial.
	firstFreePort = 49152
	// backlog is how many datagrams and first packets a socket holds for a processor
	// that does not get to them; more are lost, as in a kernel's buffer.
	backlog = 256
	// idleTimeout ends a connection that nothing was heard on; keepAlive is when a
	// silent end is asked. Both are those of QUIC in libp2p.
	idleTimeout = 30 * time.Second
	keepAlive   = 15 * time.Second
)

// Host is a machine with one process on it, from its start to its death.
type Host struct {
	net     *Network
	addr    netip.Addr
	machine Machine
	cpu     *processor

	mu        sync.Mutex
	dead      bool
	nextPort  uint16
	listeners map[netip.AddrPort]*listener
	packets   map[netip.AddrPort]*packetConn
	conns     map[*conn]struct{}
	free      int // measurements under way: what is dialled costs nothing
	waiting   int // datagrams and first packets not yet looked at
	count     Count
}

// Count is what a host has done since its start.
type Count struct {
	Dialled  int // connections begun
	Opened   int // of these, those that came about
	Accepted int // connections of others
	Refused  int // connections of others refused before the handshake
	Lost     int // packets lost because the processor was too busy
	Sent     int // messages on streams, and datagrams
	Received int
}

func newHost(n *Network, addr netip.Addr, machine Machine) *Host {
	return &Host{
		net: n, addr: addr, machine: machine, cpu: newProcessor(machine),
		nextPort:  firstFreePort,
		listeners: make(map[netip.AddrPort]*listener), packets: make(map[netip.AddrPort]*packetConn),
		conns: make(map[*conn]struct{}),
	}
}

// Multiaddr is the address to listen on.
func (h *Host) Multiaddr() ma.Multiaddr { return Multiaddr(h.addr) }

// Transports is an option that makes a libp2p host dial and listen on this network
// and on no other. It can be used for several hosts of the same machine.
func (h *Host) Transports() libp2p.Option {
	return libp2p.Transport(func(key crypto.PrivKey, rcmgr network.ResourceManager) (transport.Transport, error) {
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			return nil, err
		}
		return &memTransport{host: h, key: key, id: id, rcmgr: rcmgr}, nil
	})
}

// PacketConn opens the datagrams that share a listener's port.
func (h *Host) PacketConn(laddr *net.UDPAddr) (net.PacketConn, error) {
	return newPacketConn(h, laddr.AddrPort())
}

// CPU is the processor time spent since the start.
func (h *Host) CPU() time.Duration { return h.Use().Busy }

// Record has the processor check and store a record, before whatever comes next.
func (h *Host) Record() { h.charge(h.net.costs.Record, false) }

// Use tells what the processor did since the start.
func (h *Host) Use() Use { return h.cpu.use() }

// Count tells what the host did since the start.
func (h *Host) Count() Count {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// Uncharged makes the connections that this host opens, and what is said on them ever
// after, cost nothing and count for nothing, until the function returned is called. It
// is for measurements, which must not weigh on what they measure.
func (h *Host) Uncharged() (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.free--
	}
}

// Kill ends the process without a word to anybody. The ends of its connections at
// other hosts notice as with QUIC: when the next process at the address does not
// know the connection, or when nothing was heard for long.
func (h *Host) Kill() {
	h.net.remove(h)
	h.mu.Lock()
	h.dead = true
	conns := h.conns
	h.conns = nil
	h.mu.Unlock()
	for c := range conns {
		c.shut(errKilled)
		c.orphan()
	}
}

// charge queues work and returns when it is done.
func (h *Host) charge(cost time.Duration, free bool) time.Time {
	if free {
		return time.Now()
	}
	return h.cpu.take(cost)
}

// Connections is how many are open.
func (h *Host) Connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// note changes the counters.
func (h *Host) note(change func(*Count)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.count)
}

// enter makes room for a packet that waits for the processor; it reports false when
// the packet is lost instead, because there is no room or the host is dead.
func (h *Host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		return false
	}
	if h.waiting >= backlog {
		h.count.Lost++
		return false
	}
	h.waiting++
	return true
}

func (h *Host) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting--
}

// hold keeps a connection until it is closed; a dead host holds none.
func (h *Host) hold(c *conn) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		return errKilled
	}
	h.conns[c] = struct{}{}
	return nil
}

func (h *Host) drop(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
}

func (h *Host) isDead() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dead
}

func (h *Host) listener(at netip.AddrPort) *listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listeners[at]
}

// freePort gives out a port to dial from.
func (h *Host) freePort() netip.AddrPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.nextPort++; h.nextPort < firstFreePort {
		h.nextPort = firstFreePort
	}
	return netip.AddrPortFrom(h.addr, h.nextPort)
}

// Multiaddr is where the host at an address listens.
func Multiaddr(addr netip.Addr) ma.Multiaddr { return quicAddr(netip.AddrPortFrom(addr, Port)) }

func quicAddr(a netip.AddrPort) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", a.Addr(), a.Port()))
}
