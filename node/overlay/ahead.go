package overlay

import (
	"bytes"
	"context"
	"slices"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/peerd/peerd/node/storm"
)

// What a log-in begins before the policy asks for it, so that one round trip need not
// wait for the other: the search for the holders of the own records while the
// connection to the server that lets us in is still being made, and giving each holder
// its record as soon as it says that we may come.

// search is one for the holders of a record that began before anybody wanted it.
type search struct {
	began time.Time
	done  chan struct{}
	near  []peer.ID // once done is closed
}

// aheadFor is how long such a search is of use.
const aheadFor = 5 * time.Second

// firstKey is the place in key space of the first of the own records, or nil.
func (k *keeping) firstKey() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) == 0 {
		return nil
	}
	return kb.ConvertKey(k.keys[0])
}

// scout looks for the holders of the own records while the connection to host, the
// server that lets us in, is still being made. It begins there and at near, which host
// has named as those nearest to the first record; nil where it was not asked.
func (o *Overlay) scout(host peer.ID, near []peer.ID) {
	k := &o.keeping
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ahead == nil {
		k.ahead = make(map[string]*search)
	}
	for i, key := range k.keys {
		if old := k.ahead[key]; old != nil && time.Since(old.began) < aheadFor {
			continue
		}
		s := &search{began: time.Now(), done: make(chan struct{})}
		k.ahead[key] = s
		o.wg.Go(func() {
			defer close(s.done)
			w := o.newWalk(kb.ConvertKey(key), storm.Presence)
			if o.hasPublicAddr() {
				w.invited = func(p peer.ID) { o.giveAhead(key, p) }
			}
			if i == 0 && near != nil {
				w.answered(host, near, Neighbours)
			}
			s.near = w.nearest(o.ctx, Neighbours, append(near[:len(near):len(near)], host)...)
		})
	}
}

// hasPublicAddr says that an interface has a public address: a record that names it is
// of use to others before anybody has told us how we are seen.
func (o *Overlay) hasPublicAddr() bool {
	return slices.ContainsFunc(o.interfaceAddrs(), manet.IsPublicAddr)
}

// gift is a record on its way to a server, and giving what became of it.
type gift struct {
	key string
	to  peer.ID
}

type giving struct {
	value []byte
	began time.Time
	done  chan struct{}
	err   error // once done is closed
}

// giveAhead has a server store one of the own records before the policy says so.
func (o *Overlay) giveAhead(key string, to peer.ID) {
	r, g := o.keeping.giveAhead(key, to)
	if g == nil {
		return
	}
	o.wg.Go(func() {
		defer close(g.done)
		ctx, cancel := context.WithTimeout(o.ctx, putLimit)
		defer cancel()
		g.err = o.giveNow(ctx, to, r)
	})
}

// giveAhead notes that a record is given, unless it is being given already.
func (k *keeping) giveAhead(key string, to peer.ID) (Record, *giving) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.records[key]
	if r == nil || k.gifts[gift{key, to}] != nil {
		return Record{}, nil
	}
	if k.gifts == nil {
		k.gifts = make(map[gift]*giving)
	}
	for old, g := range k.gifts {
		if time.Since(g.began) >= aheadFor {
			delete(k.gifts, old)
		}
	}
	g := &giving{value: r.value, began: time.Now(), done: make(chan struct{})}
	k.gifts[gift{key, to}] = g
	return Record{Key: key, Value: r.value}, g
}

// given takes what is given of a record to a server, if it is the record as it is now.
func (k *keeping) given(r Record, to peer.ID) *giving {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := gift{r.Key, to}
	g := k.gifts[at]
	delete(k.gifts, at)
	if g == nil || time.Since(g.began) >= aheadFor || !bytes.Equal(g.value, r.Value) {
		return nil
	}
	return g
}
