package overlay

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

// A server that dies without a word leaves connections behind that look open for
// half a minute. So neighbours, servers that hold own records and the one through which
// alone others reach us are pinged in turn (storm.Whom), one a second. When one does not
// answer at once all others are pinged, as they may be gone, too.
const (
	pingEvery = time.Second
	pingLimit = 300 * time.Millisecond // and twice the usual round trip
	// streamLimit bounds the second question, on the connection itself and by a second ping:
	// who is only overloaded, or heard neither, must not lose all connections for it.
	streamLimit = time.Second
	// leniency is how many times as long as this process itself was kept waiting for the
	// processor lately a neighbour may take beyond all that: it may share the machine.
	leniency   = 4
	mostStrain = 2 * time.Second
)

// watched is what is known of neighbours by pings.
type watched struct {
	mu    sync.Mutex
	boots map[booted]uint64 // as of the last pong

	strain time.Duration // how late this process's own timers are, halved each second
}

// booted is a process as it is known: who it is, and where it answered. At an address that
// a holder claims somebody else may answer.
type booted struct {
	id peer.ID
	at netip.AddrPort
}

// watchLoop pings neighbours and holders in turn.
func (o *Overlay) watchLoop() {
	for t := 1; ; t++ {
		begun := time.Now()
		if !o.sleep(pingEvery) {
			return
		}
		o.watched.late(time.Since(begun) - pingEvery)
		neighbours, holders := o.neighbours(), o.holdersApart()
		var relay *peer.ID
		if p := o.reach.through(); p != "" {
			relay = &p
		}
		whom, ok := storm.Whom(storm.PingTurns, t, neighbours, holders, relay)
		if !ok {
			continue
		}
		var others sync.WaitGroup
		o.there(whom, func() {
			for _, p := range slices.Concat(neighbours, holders) {
				if p != whom {
					others.Go(func() { o.there(p, nil) })
				}
			}
		})
		others.Wait()
	}
}

// holdersApart lists the servers that hold own records and are no neighbours.
func (o *Overlay) holdersApart() []peer.ID {
	neighbours := o.neighbours()
	return slices.DeleteFunc(o.keeping.holding(), func(p peer.ID) bool { return slices.Contains(neighbours, p) })
}

// there pings a neighbour or holder. One that is gone or was started anew is so for the
// policy from now on, and connections to it are closed. doubt, if not nil, is called when
// it does not answer at once. A neighbour that answers no ping, but a stream, stays: UDP
// may be cut.
func (o *Overlay) there(p peer.ID, doubt func()) bool {
	addrs := o.pingAddrs(p)
	if len(addrs) == 0 {
		return true
	}
	strained := leniency * o.watched.strained()
	is := o.ping(p, addrs, pingLimit+strained+2*o.host.Peerstore().LatencyEWMA(p))
	if is == present {
		return true
	}
	if doubt != nil {
		doubt()
	}
	if is == absent && o.answersAfterAll(p, addrs, streamLimit+strained) || o.ctx.Err() != nil {
		return true
	}
	if o.members.has(p) {
		_ = o.host.Network().ClosePeer(p)
		return false
	}
	o.watched.forget(p)
	o.lose(p)
	o.tell(storm.Event[peer.ID]{Kind: storm.Unstored, Peer: p})
	return false
}

// answersAfterAll asks on the connection, where there is one, and by a second ping.
func (o *Overlay) answersAfterAll(p peer.ID, addrs []netip.AddrPort, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(o.ctx, limit)
	defer cancel()
	ways := []func() bool{func() bool { return o.ping(p, addrs, limit) == present }}
	if o.members.has(p) {
		ways = append(ways, func() bool { return Answers(ctx, o.host, p) })
	}
	answers := make(chan bool, len(ways))
	for _, ask := range ways {
		go func() { answers <- ask() }()
	}
	for range ways {
		if <-answers {
			return true
		}
	}
	return false
}

// pinged is what a ping tells.
type pinged uint8

const (
	absent  pinged = iota // no answer
	present               // the process known
	another               // another one than before
)

// ping asks whether a process is there, and is the one that it was.
func (o *Overlay) ping(p peer.ID, addrs []netip.AddrPort, limit time.Duration) pinged {
	ctx, cancel := context.WithTimeout(o.ctx, limit)
	defer cancel()
	type pong struct {
		at   netip.AddrPort
		boot uint64
	}
	got, err := race(ctx, &o.asker, addrs, func(ctx context.Context, to netip.AddrPort) (pong, error) {
		boot, err := o.asker.port.Ping(ctx, to)
		return pong{to, boot}, err
	})
	if err != nil {
		return absent
	}
	same, grown := o.watched.same(booted{p, got.at}, got.boot)
	if grown {
		o.tell(storm.Event[peer.ID]{Kind: storm.Grown, Peer: p})
	}
	if !same {
		return another
	}
	return present
}

// pingAddrs is where a peer's QUIC connection goes; where there is no connection, wherever
// it may be asked.
func (o *Overlay) pingAddrs(p peer.ID) []netip.AddrPort {
	conns := o.host.Network().ConnsToPeer(p)
	for _, c := range conns {
		if addr, ok := udpAddr(c.RemoteMultiaddr()); ok {
			return []netip.AddrPort{addr}
		}
	}
	if len(conns) > 0 {
		return nil
	}
	return o.askAddrs(p)
}

// same notes a boot number and says whether it is of the process known, or the first;
// and whether servers came near that one since.
func (w *watched) same(p booted, boot uint64) (same, grown bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.boots == nil {
		w.boots = make(map[booted]uint64)
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
	maps.DeleteFunc(w.boots, func(b booted, _ uint64) bool { return b.id == p })
}
