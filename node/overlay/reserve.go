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

	"github.com/peerd/peerd/node/storm"
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

// book keeps the reservation held, or gets one from the first server willing, but not
// from the one named.
func (r *reach) book(ctx context.Context, held, but peer.ID) (place, error) {
	relays := r.o.supporting(proto.ProtoIDv2Hop)
	if held != "" {
		relays = append([]peer.ID{held}, relays...)
	}
	err := errNoRelay
	for _, p := range relays {
		if p == but {
			continue
		}
		got, refusal := relayclient.Reserve(ctx, r.o.host, peer.AddrInfo{ID: p})
		if refusal == nil {
			return place{p, r.o.circuitsVia(p), got.Expiration}, nil
		}
		err = fmt.Errorf("relay %s refused: %w", tail(p), refusal)
	}
	return place{}, err
}

// holdLocked notes what reservations we hold, and when to see to the second one. The
// connections to those relays, and to no earlier ones, are protected from being trimmed.
func (r *reach) holdLocked(first, second place) {
	conns := r.o.host.ConnManager()
	for _, p := range []peer.ID{r.first.relay, r.second.relay} {
		if p != "" && p != first.relay && p != second.relay {
			conns.Unprotect(p, relayTag)
		}
	}
	for _, p := range []peer.ID{first.relay, second.relay} {
		if p != "" {
			conns.Protect(p, relayTag)
		}
	}
	r.first, r.second = first, second
	now := r.o.now()
	switch {
	case first.relay == "":
		r.due = time.Time{}
	case second.relay == "":
		r.due = now.Add(storm.Spread(storm.SecondRelay, unit()))
	default:
		r.due = now.Add(max(second.expires.Sub(now)/2, time.Second))
	}
}

// ownCircuitsLocked lists our addresses through both relays in turn, as only some are told.
func (r *reach) ownCircuitsLocked() (circuits []ma.Multiaddr) {
	for i := range max(len(r.first.circuits), len(r.second.circuits)) {
		for _, p := range []place{r.first, r.second} {
			if i < len(p.circuits) {
				circuits = append(circuits, p.circuits[i])
			}
		}
	}
	return circuits
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
