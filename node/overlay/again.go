package overlay

import (
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/storm"
)

// provenFor is how long a proof of being reachable counts after a restart.
const provenFor = 24 * time.Hour

// served is what a restarted member knows of having served.
type served struct {
	// addrs are those of its own at which others could reach it when it served last.
	addrs []ma.Multiaddr
	at    time.Time // of that proof
}

// serveAgain makes a server at once of a member that was one before its restart and
// still has an address at which it was proven reachable. When all restart together,
// who waits for a proof has nobody to get it from.
func (o *Overlay) serveAgain() {
	if o.cfg.MayServe && o.cfg.Off.Has(storm.ServeFirst) && o.cache.servedAt(o.interfaceAddrs(), o.now()) {
		o.promote()
	}
}

// servedAt says whether a proof holds that was made at one of addrs.
func (c *cache) servedAt(addrs []ma.Multiaddr, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := now.Sub(c.served.at)
	return age >= 0 && age < provenFor &&
		slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool { return ma.Contains(c.served.addrs, a) })
}

// proved keeps where a server can be reached; nowhere, when a proof failed.
func (c *cache) proved(addrs []ma.Multiaddr, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(addrs) == 0 && len(c.served.addrs) == 0 {
		return
	}
	c.served = served{addrs: slices.Clone(addrs[:min(len(addrs), maxCachedAddrs)]), at: now}
	c.dirty = true
}
