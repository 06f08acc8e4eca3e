package overlay

import (
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Limits of one host. An office or a carrier puts many phones behind one
// address, and after a power cut all of them come within seconds: the library's
// 8 connections and 0.2 new ones per second per address would keep them out.
const (
	maxInbound   = 1024 // inbound connections
	maxHandshake = 256  // inbound connections whose handshake is under way
	highWater    = 768  // trimming begins here: below maxInbound, or nothing is ever trimmed
	lowWater     = 512

	connsPerAddress = 256 // open connections from one IPv4 address or IPv6 /56
	ratePerAddress  = 20  // new connections per second from it, after a burst
	burstPerAddress = 256
)

// Circuits carry signalling only: a call's messages are some 10 kB.
const (
	circuitDuration = 30 * time.Minute
	circuitData     = 4 << 20 // bytes, each direction
)

func newConnManager() (*connmgr.BasicConnMgr, error) {
	return connmgr.NewConnManager(lowWater, highWater, connmgr.WithGracePeriod(20*time.Second))
}

func newResourceManager() (network.ResourceManager, error) {
	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: 2 * maxInbound, ConnsInbound: maxInbound, ConnsOutbound: maxInbound,
			Streams: 16 * maxInbound, StreamsInbound: 8 * maxInbound, StreamsOutbound: 8 * maxInbound,
			FD: 2 * maxInbound, Memory: 1 << 30,
		},
		Transient: rcmgr.ResourceLimits{
			Conns: 2 * maxHandshake, ConnsInbound: maxHandshake, ConnsOutbound: maxHandshake,
			Streams: 4 * maxHandshake, StreamsInbound: 2 * maxHandshake, StreamsOutbound: 2 * maxHandshake,
			FD: 2 * maxHandshake, Memory: 256 << 20,
		},
	}.Build(rcmgr.DefaultLimits.AutoScale())
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: connsPerAddress}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: connsPerAddress}, {PrefixLength: 48, ConnCount: 2 * connsPerAddress}}),
		rcmgr.WithNetworkPrefixLimit(loopback4(), loopback6()),
		rcmgr.WithConnRateLimiters(newRateLimiter()),
		rcmgr.WithMetricsDisabled())
}

func loopback4() []rcmgr.NetworkPrefixLimit {
	return []rcmgr.NetworkPrefixLimit{{Network: netip.MustParsePrefix("127.0.0.0/8"), ConnCount: math.MaxInt}}
}

func loopback6() []rcmgr.NetworkPrefixLimit {
	return []rcmgr.NetworkPrefixLimit{{Network: netip.MustParsePrefix("::1/128"), ConnCount: math.MaxInt}}
}

func newRateLimiter() *rate.Limiter {
	each := rate.Limit{RPS: ratePerAddress, Burst: burstPerAddress}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: each}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: each}},
			GracePeriod:      time.Minute,
		},
	}
}

func circuitResources() relay.Resources {
	r := relay.DefaultResources()
	r.Limit = &relay.RelayLimit{Duration: circuitDuration, Data: circuitData}
	r.MaxReservations = 512
	r.MaxCircuits = 64
	r.MaxReservationsPerIP = 128
	r.MaxReservationsPerASN = 512
	return r
}
