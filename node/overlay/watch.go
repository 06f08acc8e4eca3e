package overlay

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

// A server that dies without a word leaves connections behind that look open for
// half a minute. So the neighbours are pinged in turn, one a second, and now and then in
// place of one of them a server that holds our records; when one is gone all others are
// pinged at once, as they may be, too.
const (
	pingEvery = time.Second
	// holderEvery pings one is of a holder: of three one may be missing, of neighbours none.
	holderEvery = 4
	// pingTries pings without a pong, each given pingLimit, make a neighbour gone.
	pingTries = 2
	pingLimit = 500 * time.Millisecond // and twice the usual round trip
	// streamLimit bounds the last question, on the connection itself: who is only
	// overloaded must not lose all connections for it.
	streamLimit = 1500 * time.Millisecond
	// leniency is how many times as long as this process itself was kept waiting for the
	// processor lately a neighbour may take beyond all that: it may share the machine.
	leniency   = 4
	mostStrain = 2 * time.Second
)

// watched is what is known of neighbours by pings.
type watched struct {
	mu    sync.Mutex
	boots map[peer.ID]uint64 // as of the last pong

	strain time.Duration // how late this process's own timers are, halved each second
}

// watchLoop pings neighbours in turn.
func (o *Overlay) watchLoop() {
	for turn := 0; ; turn++ {
		begun := time.Now()
		if !o.sleep(pingEvery) {
			return
		}
		o.watched.late(time.Since(begun) - pingEvery)
		neighbours, holders := o.neighbours(), o.holdersApart()
		var whom peer.ID
		switch {
		case len(holders) > 0 && (turn%holderEvery == 0 || len(neighbours) == 0):
			whom = holders[turn/holderEvery%len(holders)]
		case len(neighbours) > 0:
			whom = neighbours[turn%len(neighbours)]
		default:
			continue
		}
		if !o.there(whom) {
			var wg sync.WaitGroup
			for _, p := range slices.Concat(neighbours, holders) {
				wg.Go(func() { o.there(p) })
			}
			wg.Wait()
		}
	}
}

// holdersApart lists the servers that hold own records and are not connected.
func (o *Overlay) holdersApart() []peer.ID {
	return slices.DeleteFunc(o.keeping.holding(), o.members.has)
}

// there pings a neighbour or holder. One that is gone or was started anew is so for the
// policy from now on, and connections to it are closed. A neighbour that answers no ping,
// but a stream, stays: UDP may be cut.
func (o *Overlay) there(p peer.ID) bool {
	addr, ok := o.pingAddr(p)
	if !ok {
		return true
	}
	if !o.members.has(p) {
		return o.holds(p, addr)
	}
	if o.pings(p, addr) {
		return true
	}
	ctx, cancel := context.WithTimeout(o.ctx, streamLimit+leniency*o.watched.strained())
	defer cancel()
	if Answers(ctx, o.host, p) || o.ctx.Err() != nil {
		return true
	}
	_ = o.host.Network().ClosePeer(p)
	return false
}

// holds pings a holder that is not connected. One that does not answer holds nothing.
func (o *Overlay) holds(p peer.ID, addr netip.AddrPort) bool {
	if o.pings(p, addr) {
		return true
	}
	o.watched.forget(p)
	o.keeping.lost(p)
	o.tell(storm.Event[peer.ID]{Kind: storm.Unstored, Peer: p})
	return false
}

// pings says that a process answers pings, and is the one that it was.
func (o *Overlay) pings(p peer.ID, addr netip.AddrPort) bool {
	limit := pingLimit + leniency*o.watched.strained() + 2*o.host.Peerstore().LatencyEWMA(p)
	for range pingTries {
		ctx, cancel := context.WithTimeout(o.ctx, limit)
		boot, err := o.asker.port.Ping(ctx, addr)
		cancel()
		if o.ctx.Err() != nil {
			return true
		}
		if err != nil {
			continue
		}
		same, grown := o.watched.same(p, boot)
		if grown {
			o.tell(storm.Event[peer.ID]{Kind: storm.Grown, Peer: p})
		}
		return same
	}
	return false
}

// pingAddr is where a neighbour's QUIC connection goes, or a holder was asked.
func (o *Overlay) pingAddr(p peer.ID) (netip.AddrPort, bool) {
	conns := o.host.Network().ConnsToPeer(p)
	for _, c := range conns {
		if addr, ok := udpAddr(c.RemoteMultiaddr()); ok {
			return addr, true
		}
	}
	if addrs := o.askAddrs(p); len(conns) == 0 && len(addrs) > 0 {
		return addrs[0], true
	}
	return netip.AddrPort{}, false
}

// same notes a boot number and says whether it is of the process known, or the first;
// and whether servers came near that one since.
func (w *watched) same(p peer.ID, boot uint64) (same, grown bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.boots == nil {
		w.boots = make(map[peer.ID]uint64)
	}
	old, known := w.boots[p]
	w.boots[p] = boot
	if !known {
		return true, false
	}
	return gate.SameBoot(old, boot)
}

// late notes by how much a timer was late. What is less than a tenth of a second is
// nothing out of the ordinary.
func (w *watched) late(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if by < time.Second/10 {
		by = 0
	}
	w.strain = max(min(by, mostStrain), w.strain/2)
}

func (w *watched) strained() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.strain
}

// forget drops what is known of a peer that is gone.
func (w *watched) forget(p peer.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.boots, p)
}
