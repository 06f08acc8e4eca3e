package overlay

import (
	"bytes"
	"context"
	"slices"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

const (
	// stepLimit is how long one step of a walk by questions waits for an answer.
	stepLimit = 400 * time.Millisecond
	// maxSteps bounds the questions of a walk.
	maxSteps = 24
)

// nearest walks by questions, which need no connections, to the n servers nearest
// to a place in key space that answer. Where questions are not answered at all,
// those of the routing table that are nearest are the answer.
func (o *Overlay) nearest(ctx context.Context, key kb.ID, n int) []peer.ID {
	w := &walk{o: o, key: key, seen: make(map[peer.ID]stepState)}
	w.add(o.dht.RoutingTable().NearestPeers(key, bucketSize))
	for steps := 0; steps < maxSteps && ctx.Err() == nil; {
		next := w.unasked(n)
		if len(next) == 0 {
			break
		}
		next = next[:min(concurrency, len(next))]
		steps += len(next)
		w.ask(ctx, next)
	}
	return w.best(n)
}

// walk is one search.
type walk struct {
	o    *Overlay
	key  kb.ID
	list []peer.ID // nearest first
	seen map[peer.ID]stepState
}

type stepState uint8

const (
	unasked stepState = iota
	answers
	silent
)

// add enters peers that were heard of.
func (w *walk) add(peers []peer.ID) {
	for _, p := range peers {
		if _, known := w.seen[p]; !known && p != w.o.host.ID() {
			w.seen[p] = unasked
			w.list = append(w.list, p)
		}
	}
	slices.SortFunc(w.list, func(a, b peer.ID) int {
		return bytes.Compare(xor(w.key, kb.ConvertPeerID(a)), xor(w.key, kb.ConvertPeerID(b)))
	})
}

// unasked lists those among the n nearest not known to be silent whom to ask.
func (w *walk) unasked(n int) []peer.ID {
	var next []peer.ID
	for _, p := range w.list {
		switch w.seen[p] {
		case unasked:
			next = append(next, p)
			n--
		case answers:
			n--
		case silent:
		}
		if n == 0 {
			break
		}
	}
	return next
}

// ask asks several at once.
func (w *walk) ask(ctx context.Context, peers []peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	type result struct {
		from peer.ID
		near []peer.ID
		ok   bool
	}
	results := make(chan result, len(peers))
	for _, p := range peers {
		go func() {
			near, ok := w.o.askNear(ctx, p, w.key)
			results <- result{p, near, ok}
		}()
	}
	for range peers {
		r := <-results
		if w.seen[r.from] = silent; r.ok {
			w.seen[r.from] = answers
			w.add(r.near)
		}
	}
}

// best lists the n nearest that answer; those that do not come after them, as they
// may only be hard to ask.
func (w *walk) best(n int) []peer.ID {
	var live, mute []peer.ID
	for _, p := range w.list {
		if w.seen[p] == answers || w.o.members.has(p) {
			live = append(live, p)
		} else {
			mute = append(mute, p)
		}
	}
	if len(live) == 0 {
		live = mute
	}
	return live[:min(n, len(live))]
}

// askNear asks one server for those nearest to key. One that cannot be asked but
// is there counts as answering.
func (o *Overlay) askNear(ctx context.Context, p peer.ID, key kb.ID) (near []peer.ID, ok bool) {
	addrs := o.askAddrs(p)
	if len(addrs) == 0 {
		return nil, true
	}
	a, err := o.asker.put(ctx, addrs, gate.Question{From: o.host.ID(), Class: uint8(storm.LookUp), Key: key})
	if err != nil {
		return nil, false
	}
	for _, r := range a.Referrals {
		o.host.Peerstore().AddAddrs(r.ID, r.Addrs, peerstore.RecentlyConnectedAddrTTL)
		near = append(near, r.ID)
	}
	if len(near) > 0 { // a client names nobody
		o.cache.answered(p, o.knownAddrs(p), o.now())
	}
	return near, true
}

// nearestKnown answers such a question from the routing table.
func (o *Overlay) nearestKnown(key kb.ID, asker peer.ID) []peer.AddrInfo {
	var list []peer.AddrInfo
	for _, p := range o.dht.RoutingTable().NearestPeers(key, gate.MaxReferrals+1) {
		if addrs := o.dialable(p); p != asker && len(addrs) > 0 && len(list) < gate.MaxReferrals {
			slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return btoi(!isQUIC(a)) - btoi(!isQUIC(b)) })
			list = append(list, peer.AddrInfo{ID: p, Addrs: addrs})
		}
	}
	return list
}
