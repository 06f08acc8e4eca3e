package overlay

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
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
// are the answer.
func (o *Overlay) nearest(ctx context.Context, key kb.ID, n int, from ...peer.ID) []peer.ID {
	return o.newWalk(key).nearest(ctx, n, from...)
}

func (o *Overlay) newWalk(key kb.ID) *walk {
	return &walk{o: o, key: key, seen: make(map[peer.ID]stepState), results: make(chan stepResult, 2*maxSteps)}
}

// told enters what a server said that was asked before the search.
func (w *walk) told(by peer.ID, near []peer.ID) {
	w.add(append(near[:len(near):len(near)], by))
	if w.gives == "" {
		w.seen[by] = answers
	}
}

func (w *walk) nearest(ctx context.Context, n int, from ...peer.ID) []peer.ID {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.add(w.o.dht.RoutingTable().NearestPeers(w.key, bucketSize))
	w.add(from)
	w.run(ctx, n)
	return w.best(n)
}

// walk is one search.
type walk struct {
	o       *Overlay
	key     kb.ID
	list    []peer.ID // nearest first
	seen    map[peer.ID]stepState
	results chan stepResult
	// gives is the name of the own record that is given on the way to those who are to
	// hold it; "" for none. holds says that those found are to hold a record.
	gives string
	holds bool
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
	enough := 1 // a reader asks whoever is there
	if w.holds {
		enough = min(n, Neighbours)
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
		near, ok := w.put(limited, p)
		late.Stop()
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

// put asks one server, and gives it the record where it has not got that.
func (w *walk) put(ctx context.Context, p peer.ID) (near []peer.ID, ok bool) {
	if r, due := w.o.keeping.lacking(w.gives, p); due {
		q := w.o.question(p, storm.Presence, false)
		q.IfNear = true
		a, err := w.o.offerOne(ctx, p, r, q)
		return w.o.heardNear(p, a, err)
	}
	return w.o.askNear(ctx, p, w.key)
}

// askNear asks one server for those nearest to key. One that cannot be asked but
// is there counts as answering.
func (o *Overlay) askNear(ctx context.Context, p peer.ID, key kb.ID) (near []peer.ID, ok bool) {
	addrs := o.askAddrs(p)
	if len(addrs) == 0 {
		return nil, true
	}
	q := o.question(p, storm.LookUp, false)
	q.Key = key
	a, err := o.asker.put(ctx, addrs, q)
	return o.heardNear(p, a, err)
}

// heardNear takes the answer to a step of a search.
func (o *Overlay) heardNear(p peer.ID, a gate.Answer, err error) (near []peer.ID, ok bool) {
	if err != nil {
		return nil, errors.Is(err, errMute)
	}
	if near = o.named(a); len(near) > 0 { // a client names nobody
		o.cache.answered(p, o.knownAddrs(p), o.now())
	}
	return near, true
}

// amongNearest says that this server knows fewer than n others that are nearer to a key: a
// record under it may be kept here.
func (o *Overlay) amongNearest(key kb.ID, asker peer.ID, n int) bool {
	own, nearer := xor(key, kb.ConvertPeerID(o.host.ID())), 0
	for _, p := range o.dht.RoutingTable().NearestPeers(key, n+1) {
		if p != asker && bytes.Compare(xor(key, kb.ConvertPeerID(p)), own) < 0 {
			nearer++
		}
	}
	return nearer < n
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
