package overlay

import (
	"slices"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"
)

// What a log-in begins before the policy asks for it, so that one round trip need not
// wait for the other: the search for the holders of the own records, with which the
// records go, while the connection to the server that lets us in is still being made.

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
			w := o.newWalk(kb.ConvertKey(key))
			w.holds = true
			if o.hasPublicAddr() {
				w.gives = key
			}
			if i == 0 && near != nil {
				w.told(host, near)
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
