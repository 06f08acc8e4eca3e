package overlay

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

// A server that dies without a word leaves connections behind that look open for
// half a minute. So the neighbours are pinged in turn, one a second; when one is
// gone all others are at once, as they may be, too.
const (
	pingEvery = time.Second
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
		neighbours := o.neighbours()
		if len(neighbours) == 0 {
			continue
		}
		if !o.there(neighbours[turn%len(neighbours)]) {
			var wg sync.WaitGroup
			for _, p := range neighbours {
				wg.Go(func() { o.there(p) })
			}
			wg.Wait()
		}
	}
}

// there pings a neighbour, and closes the connections to one that is gone or was
// started anew. One that answers no ping, but a stream, stays: UDP may be cut.
func (o *Overlay) there(p peer.ID) bool {
	addr, ok := o.pingAddr(p)
	if !ok {
		return true
	}
	strained := leniency * o.watched.strained()
	limit := pingLimit + strained + 2*o.host.Peerstore().LatencyEWMA(p)
	for range pingTries {
		ctx, cancel := context.WithTimeout(o.ctx, limit)
		boot, err := o.asker.port.Ping(ctx, addr)
		cancel()
		if o.ctx.Err() != nil {
			return true
		}
		if err == nil {
			same, grown := o.watched.same(p, boot)
			if grown {
				o.tell(storm.Event[peer.ID]{Kind: storm.Grown, Peer: p})
			}
			if same {
				return true
			}
			break
		}
	}
	ctx, cancel := context.WithTimeout(o.ctx, streamLimit+strained)
	defer cancel()
	if Answers(ctx, o.host, p) || o.ctx.Err() != nil {
		return true
	}
	_ = o.host.Network().ClosePeer(p)
	return false
}

// pingAddr is where a neighbour's QUIC connection that we dialled goes.
func (o *Overlay) pingAddr(p peer.ID) (netip.AddrPort, bool) {
	for _, c := range o.host.Network().ConnsToPeer(p) {
		if addr, ok := udpAddr(c.RemoteMultiaddr()); ok {
			return addr, true
		}
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
