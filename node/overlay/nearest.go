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
	// slowAfter without an answer, others are asked in a server's place, and stepLimit
	// is how long an answer is of use.
	slowAfter = 200 * time.Millisecond
	stepLimit = 700 * time.Millisecond
	// maxSteps bounds the questions of a walk.
	maxSteps = 24
)

// nearest walks by questions, which need no connections, to the n servers nearest
// to a place in key space that answer. It begins at those of the routing table that
// are nearest and at the peers given; where questions are not answered at all, those
// are the answer. class is LookUp, or Presence to ask those that are among the n
// nearest by their own lights to let us in, too.
func (o *Overlay) nearest(ctx context.Context, key kb.ID, n int, class storm.Class, from ...peer.ID) []peer.ID {
	return o.newWalk(key, class).nearest(ctx, n, from...)
}

func (o *Overlay) newWalk(key kb.ID, class storm.Class) *walk {
	return &walk{o: o, key: key, class: class, seen: make(map[peer.ID]stepState), results: make(chan stepResult, 2*maxSteps)}
}

func (w *walk) nearest(ctx context.Context, n int, from ...peer.ID) []peer.ID {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.add(w.o.dht.RoutingTable().NearestPeers(w.key, bucketSize))
	w.add(from)
	w.run(ctx, n)
	return w.best(n)
}

// answered enters the answer of a server that was asked before the walk and lets us in.
func (w *walk) answered(p peer.ID, near []peer.ID, n int) {
	w.add(append(near[:len(near):len(near)], p))
	w.seen[p] = answers
	if w.invited != nil && slices.Index(w.list, p) < n {
		w.invited(p)
	}
}

// walk is one search.
type walk struct {
	o       *Overlay
	key     kb.ID
	class   storm.Class
	list    []peer.ID // nearest first
	seen    map[peer.ID]stepState
	results chan stepResult
	// invited, if not nil, is told of each server that answers and lets us in.
	invited func(peer.ID)
	// live, if not nil, gets those of the n nearest known so far that answer; it has room
	// for all that are asked.
	live chan<- peer.ID
}

type stepState uint8

const (
	unasked stepState = iota
	asked
	slow // has not answered yet, and is not waited for unless there are too few others
	answers
	silent
)

// stepResult is what became of one question.
type stepResult struct {
	from peer.ID
	near []peer.ID
	is   stepState
}

// run asks until the n nearest that are there are known.
func (w *walk) run(ctx context.Context, n int) {
	enough := min(n, Neighbours)
	if w.class == storm.LookUp {
		enough = 1 // a reader asks whoever is there
	}
	for steps := 0; ctx.Err() == nil; {
		next, waiting := w.among(n)
		for _, p := range next {
			if w.count(asked) < concurrency && steps < maxSteps {
				w.ask(ctx, p)
				waiting++
				steps++
			}
		}
		if waiting == 0 && (w.count(slow) == 0 || w.count(answers) >= enough) {
			return
		}
		r := <-w.results
		w.add(r.near)
		if r.is != slow || w.seen[r.from] == asked {
			w.seen[r.from] = r.is
		}
		if w.live != nil && r.is == answers && slices.Index(w.list, r.from) < n {
			w.live <- r.from
		}
	}
}

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

// among looks at the n nearest not known to be silent or slow: whom of them to ask,
// and how many are being asked.
func (w *walk) among(n int) (next []peer.ID, waiting int) {
	for _, p := range w.list {
		switch w.seen[p] {
		case unasked:
			next = append(next, p)
			n--
		case asked:
			waiting++
			n--
		case answers:
			n--
		case slow, silent:
		}
		if n == 0 {
			break
		}
	}
	return next, waiting
}

func (w *walk) count(s stepState) int {
	n := 0
	for _, is := range w.seen {
		if is == s {
			n++
		}
	}
	return n
}

// ask asks one server: its answer, or the lack of one, is a result, and being slow
// another.
func (w *walk) ask(ctx context.Context, p peer.ID) {
	w.seen[p] = asked
	go func() {
		limited, cancel := context.WithTimeout(ctx, stepLimit)
		defer cancel()
		late := time.AfterFunc(slowAfter, func() { w.results <- stepResult{from: p, is: slow} })
		near, ok := w.o.askNear(limited, p, w.key, w.class)
		late.Stop()
		if ok && w.invited != nil && w.o.asker.isInvited(p) {
			w.invited(p)
		}
		if ok {
			w.results <- stepResult{p, near, answers}
		} else {
			w.results <- stepResult{from: p, is: silent}
		}
	}()
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
func (o *Overlay) askNear(ctx context.Context, p peer.ID, key kb.ID, class storm.Class) (near []peer.ID, ok bool) {
	addrs := o.askAddrs(p)
	if len(addrs) == 0 {
		return nil, true
	}
	if o.isServer(p) || o.asker.isInvited(p) {
		class = storm.LookUp // no leave is needed
	}
	a, err := o.asker.put(ctx, addrs, gate.Question{From: o.host.ID(), Class: uint8(class), Ticket: o.cache.ticket(p), Key: key})
	if err != nil {
		return nil, false
	}
	if class == storm.Presence && a.Come {
		o.asker.invite(p)
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

// amongNearest says that this server knows fewer than Neighbours others that are nearer
// to a key: a record under it is to be kept here.
func (o *Overlay) amongNearest(key kb.ID, asker peer.ID) bool {
	own, nearer := xor(key, kb.ConvertPeerID(o.host.ID())), 0
	for _, p := range o.dht.RoutingTable().NearestPeers(key, Neighbours+1) {
		if p != asker && bytes.Compare(xor(key, kb.ConvertPeerID(p)), own) < 0 {
			nearer++
		}
	}
	return nearer < Neighbours
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
