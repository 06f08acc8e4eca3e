package overlay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	relayclient "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	ma "github.com/multiformats/go-multiaddr"
)

// relayTag protects the connection to the relay that holds our reservation.
const relayTag = "relay"

// errNoRelay: no connected server offers circuits.
var errNoRelay = errors.New("no connected server carries circuits")

// supporting lists the connected servers that speak a protocol, in random order.
func (o *Overlay) supporting(proto protocol.ID) []peer.ID {
	var list []peer.ID
	for _, p := range o.Servers() {
		if got, err := o.host.Peerstore().SupportsProtocols(p, proto); err == nil && len(got) > 0 {
			list = append(list, p)
		}
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// reserve keeps the reservation we hold, or gets one from the first server willing.
func (r *reach) reserve(ctx context.Context) (peer.ID, time.Time, error) {
	relays := r.o.supporting(proto.ProtoIDv2Hop)
	r.mu.Lock()
	held := r.relay
	r.mu.Unlock()
	if held != "" {
		relays = append([]peer.ID{held}, relays...)
	}
	err := errNoRelay
	for _, p := range relays {
		got, refusal := relayclient.Reserve(ctx, r.o.host, peer.AddrInfo{ID: p})
		if refusal == nil {
			return p, got.Expiration, nil
		}
		err = fmt.Errorf("relay %s refused: %w", tail(p), refusal)
	}
	return "", time.Time{}, err
}

// holdLocked notes whose reservation we hold, "" for none; its connection, and no
// earlier one's, is protected from being trimmed.
func (r *reach) holdLocked(relay peer.ID) {
	if relay == r.relay {
		return
	}
	conns := r.o.host.ConnManager()
	if r.relay != "" {
		conns.Unprotect(r.relay, relayTag)
	}
	if relay != "" {
		conns.Protect(relay, relayTag)
	}
	r.relay = relay
}

// circuitsVia returns our own addresses through a relay we are connected to, one
// per transport and address family: a caller may have only some of them.
func (o *Overlay) circuitsVia(relay peer.ID) []ma.Multiaddr {
	tail, err := ma.NewMultiaddr("/p2p/" + relay.String() + "/p2p-circuit")
	if err != nil {
		return nil
	}
	var circuits []ma.Multiaddr
	type kind struct{ quic, ip6 bool }
	have := make(map[kind]bool)
	for _, a := range withoutLocal(o.dialable(relay)) {
		k := kind{isQUIC(a), isIP6(a)}
		if !have[k] && len(circuits) < maxCircuits {
			circuits = append(circuits, a.Encapsulate(tail))
		}
		have[k] = true
	}
	return circuits
}
