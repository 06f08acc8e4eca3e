package overlay

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

// knockLimit is how long a dial for a call waits for leave: where nobody answers it
// goes on without, as most peers are not crowded.
const knockLimit = 40 * time.Millisecond

// Knock asks those who will see a dial of a peer that it is for a call: the peer
// itself, and the relays of its circuits that we are not connected to. A crowded
// server lets it in before those who join.
func (o *Overlay) Knock(ctx context.Context, p peer.AddrInfo) {
	if o.connected(p.ID) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, knockLimit)
	defer cancel()
	q := gate.Question{From: o.host.ID(), Class: uint8(storm.SetUp)}
	var doors sync.WaitGroup
	for _, addr := range o.doors(p) {
		doors.Go(func() { _, _ = o.asker.port.Ask(ctx, addr, q) })
	}
	doors.Wait()
}

// doors lists where the QUIC connections to a peer will come in.
func (o *Overlay) doors(p peer.AddrInfo) []netip.AddrPort {
	var list []netip.AddrPort
	for _, a := range p.Addrs {
		way, circuit := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
		if len(circuit) > 0 {
			relay, err := peer.AddrInfoFromP2pAddr(way)
			if err != nil || o.connected(relay.ID) {
				continue
			}
		}
		if addr, ok := udpAddr(way); ok && !slices.Contains(list, addr) && len(list) < maxAddrs {
			list = append(list, addr)
		}
	}
	return list
}
