package overlay

import (
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// outages are the bootstrap nodes that do not answer, so that the log tells of
// each once until it is back.
type outages struct {
	mu     sync.Mutex
	silent map[peer.ID]bool
}

// begin reports whether the outage of a node is news.
func (s *outages) begin(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent == nil {
		s.silent = make(map[peer.ID]bool)
	}
	news := !s.silent[p]
	s.silent[p] = true
	return news
}

// end notes that a node is back.
func (s *outages) end(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.silent, p)
}

// noAnswer tells the operator of a bootstrap node that does not answer.
func (o *Overlay) noAnswer(p peer.ID, err error) {
	named := slices.ContainsFunc(o.cfg.Bootstrap, func(b peer.AddrInfo) bool { return b.ID == p })
	if named && o.ctx.Err() == nil && o.outages.begin(p) {
		o.log.Warn("bootstrap node does not answer", "node", p, "err", err)
	}
}
