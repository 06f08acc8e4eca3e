// Package memnet is a network in memory for real libp2p hosts: connections and
// datagrams with latency, and hosts with one processor each that handshakes,
// messages and refusals keep busy. It opens no socket and all its waiting is on
// timers and channels, so inside testing/synctest it runs in virtual time, where
// overload shows because work has to wait for its processor.
package memnet

import (
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Links are what lies between the hosts.
type Links struct {
	// RTT is the mean round trip between two hosts.
	RTT time.Duration
	// Vary is by what part of the mean a pair's round trip differs from it at most.
	Vary float64
	// Loss is the share of packets that are lost. What a connection loses it sends
	// again, Resend round trips later.
	Loss, Resend float64
}

// MeasuredResend is how much later QUIC delivers what was lost on a young connection,
// in round trips, with their mean over what TestLoss loses.
const MeasuredResend = 2.1

// latency is the time of one way. It is the same both ways and at all times.
func (l Links) latency(a, b netip.Addr) time.Duration {
	if b.Less(a) {
		a, b = b, a
	}
	h := fnv.New64a()
	_, _ = h.Write(a.AsSlice())
	_, _ = h.Write(b.AsSlice())
	unit := float64(h.Sum64()>>11) / (1 << 53)
	return time.Duration(float64(l.RTT) / 2 * (1 + l.Vary*(2*unit-1)))
}

// late is how much later a packet of a connection arrives because it was lost.
func (l Links) late(a, b netip.Addr) (d time.Duration) {
	for l.lost() {
		d += time.Duration(l.Resend * 2 * float64(l.latency(a, b)))
	}
	return d
}

func (l Links) lost() bool { return l.Loss > 0 && rand.Float64() < l.Loss }

// Network joins hosts. All methods are safe for concurrent use.
type Network struct {
	costs Costs
	links Links

	mu    sync.Mutex
	hosts map[netip.Addr]*Host // those that are alive
	tap   func(Packet)
}

// Packet is what a tap is told of.
type Packet struct {
	From, To netip.Addr
	Data     []byte
	// Opening is how the stream began that Data is sent on, which names its protocol;
	// nil for a datagram.
	Opening []byte
	// More rides on the packet before.
	More bool
}

// Tap has f be told of all that is sent from now on, but for handshakes and what costs
// nothing; nil ends it. It must not keep what it is told, nor block.
func (n *Network) Tap(f func(Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

func (n *Network) tell(p Packet) {
	n.mu.Lock()
	f := n.tap
	n.mu.Unlock()
	if f != nil {
		f(p)
	}
}

// New makes a network without hosts.
func New(costs Costs, links Links) *Network {
	return &Network{costs: costs, links: links, hosts: make(map[netip.Addr]*Host)}
}

// Start brings a host up at an address; one that was there before is killed.
func (n *Network) Start(addr netip.Addr, machine Machine) *Host {
	h := newHost(n, addr, machine)
	n.mu.Lock()
	before := n.hosts[addr]
	n.hosts[addr] = h
	n.mu.Unlock()
	if before != nil {
		before.Kill()
	}
	return h
}

// at returns the host that is alive at an address, or nil: a dead address, where
// packets vanish without an answer.
func (n *Network) at(addr netip.Addr) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[addr]
}

func (n *Network) remove(h *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[h.addr] == h {
		delete(n.hosts, h.addr)
	}
}

// travel calls f when a packet arrives that departs at a given time, if it arrives.
func (n *Network) travel(from, to netip.Addr, depart time.Time, f func()) {
	if !n.links.lost() {
		time.AfterFunc(time.Until(depart)+n.links.latency(from, to), f)
	}
}

// carry calls f when a packet of a connection arrives, however often it is sent.
func (n *Network) carry(from, to netip.Addr, f func()) {
	time.AfterFunc(n.links.latency(from, to)+n.links.late(from, to), f)
}
