package overlay

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
)

// errUnidentified: a connected host does not say that it is a member. It may be
// none, or so busy that it did not answer in time.
var errUnidentified = errors.New("it does not say what it is")

// meet makes a host a connected member. The library asks what a host is once in
// the life of a connection: one that failed to answer is connected to anew.
func (o *Overlay) meet(ctx context.Context, p peer.AddrInfo) error {
	for _, c := range o.host.Network().ConnsToPeer(p.ID) {
		if !o.asked(ctx, c) {
			return ctx.Err() // not answered yet
		}
	}
	if o.identified(p.ID); o.members.has(p.ID) {
		return nil
	}
	_ = o.host.Network().ClosePeer(p.ID)
	if err := Dial(ctx, o.host, p); err != nil {
		return err
	}
	if o.identified(p.ID); !o.members.has(p.ID) {
		return errUnidentified
	}
	return nil
}

// asked waits until the library has asked what is at the other end of c, with
// whatever outcome.
func (o *Overlay) asked(ctx context.Context, c network.Conn) bool {
	h, ok := o.host.(interface{ IDService() identify.IDService })
	if !ok {
		return true
	}
	select {
	case <-h.IDService().IdentifyWait(c):
		return true
	case <-ctx.Done():
		return false
	}
}

// Dial connects to a peer at the addresses given and those known already, also
// over a circuit. The library's own back-off, which has no jitter, is cleared:
// whoever calls Dial has decided that now is the time.
func Dial(ctx context.Context, h host.Host, p peer.AddrInfo) error {
	clearBackoff(h, p.ID)
	h.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.TempAddrTTL)
	return h.Connect(network.WithAllowLimitedConn(ctx, "peerd"), peer.AddrInfo{ID: p.ID})
}

func clearBackoff(h host.Host, p peer.ID) {
	if s, ok := h.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p)
	}
}
