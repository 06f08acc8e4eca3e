package overlay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

// How a server gets a record of ours: by a datagram (offer), or by a connection (give)
// where that is the only way.

// errMute: a server cannot be asked by a datagram, but may be reached by a connection.
var errMute = errors.New("it cannot be asked by datagrams")

// offer gives a server those of the own records that it is among the closest to, by
// datagrams. "Come" is the answer where it has them all, or is to be given them by a
// connection: it cannot be asked, or is connected and does not answer.
func (o *Overlay) offer(ctx context.Context, to peer.ID, again bool) (gate.Answer, error) {
	type result struct {
		answer gate.Answer
		err    error
	}
	due := o.keeping.due(to)
	results := make(chan result, len(due))
	for _, r := range due {
		go func() {
			a, err := o.offerOne(ctx, to, r, o.question(to, storm.Presence, again))
			results <- result{a, err}
		}()
	}
	last := result{answer: gate.Answer{Come: true}}
	for range due {
		if r := <-results; r.err != nil && !errors.Is(r.err, errMute) || r.err == nil && !r.answer.Come {
			last = r
		}
	}
	return last.answer, last.err
}

// offerOne gives one server one record with a question, and notes if it has it.
func (o *Overlay) offerOne(ctx context.Context, to peer.ID, r Record, q gate.Question) (gate.Answer, error) {
	addrs := o.askAddrs(to)
	if len(addrs) == 0 {
		return gate.Answer{}, errMute
	}
	q.Record = &gate.Record{Name: r.Key, Value: r.Value}
	a, err := o.asker.put(ctx, addrs, q)
	switch {
	case err != nil && (o.mute(to, err) || o.members.has(to)):
		return a, errMute
	case err != nil:
		return a, fmt.Errorf("give %s a record: %w", tail(to), err)
	}
	o.heed(to, a)
	switch {
	case a.Come:
		o.given(to, r, nil)
	case a.Wait == 0 && !q.IfNear:
		o.given(to, r, errNotStored)
	}
	return a, nil
}

// give has a server store those of the own records that it could not be offered: by a
// connection.
func (o *Overlay) give(to peer.ID) storm.Event[peer.ID] {
	ctx, cancel := context.WithTimeout(o.ctx, putLimit)
	defer cancel()
	var failed atomic.Bool
	var puts sync.WaitGroup
	for _, r := range o.keeping.due(to) {
		puts.Go(func() {
			err := o.putValue(ctx, to, r)
			if o.given(to, r, err); err != nil {
				failed.Store(true)
			}
		})
	}
	puts.Wait()
	ev := storm.Event[peer.ID]{Kind: storm.Stored, Peer: to}
	if failed.Load() {
		ev.Kind = storm.Unstored
	}
	o.log.Debug("records given", "server", to, "stored", ev.Kind == storm.Stored)
	o.keeping.serve(to, ev.Kind == storm.Stored)
	return ev
}

// supply offers a server what it lacks, and gives what it could not be offered. What it
// does not get now it is offered after the next search.
func (o *Overlay) supply(to peer.ID) {
	ctx, cancel := context.WithTimeout(o.ctx, stepLimit)
	defer cancel()
	if a, err := o.offer(ctx, to, false); err == nil && a.Come {
		o.tell(o.give(to))
	}
}

// lose forgets what a server had that is gone.
func (o *Overlay) lose(p peer.ID) {
	for _, r := range o.keeping.lost(p) {
		o.keeping.report(r)
	}
}

// given notes what came of giving a server a record.
func (o *Overlay) given(to peer.ID, r Record, err error) {
	o.keeping.note(r, func(k *kept) {
		k.Asked++
		if err != nil {
			k.Err = err
			return
		}
		k.acked[to] = time.Now()
		k.Acks = len(k.acked)
	})
	o.keeping.report(r)
}

// putValue has one server store a record. One that cannot be reached is asked for
// nothing until it is heard from again.
func (o *Overlay) putValue(ctx context.Context, to peer.ID, r Record) error {
	o.reachable(to)
	err := o.send(ctx, to, r)
	if err != nil && o.ctx.Err() == nil && !o.members.has(to) {
		o.dht.RoutingTable().RemovePeer(to)
	}
	return err
}

// reachable has the host dial a peer at all addresses known, whatever came of it before.
func (o *Overlay) reachable(p peer.ID) {
	o.host.Peerstore().AddAddrs(p, o.knownAddrs(p), peerstore.TempAddrTTL)
	clearBackoff(o.host, p)
}
