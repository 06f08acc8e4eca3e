package overlay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"

	"github.com/peerd/peerd/node/storm"
)

const (
	// Neighbours is how many live servers a member wants to be connected to.
	Neighbours = 3
	// raceWidth members are dialled at a time, the next ones after raceStagger.
	raceWidth   = 3
	raceStagger = 250 * time.Millisecond
	dialLimit   = 4 * time.Second
	// cachedFirst cached peers are tried before the bootstrap nodes, the rest after.
	cachedFirst = 12
)

// Joining tells how the joining loop fares.
type Joining struct {
	Rounds int    // rounds finished
	Why    string // why the last dial of the last round failed; empty after a success
}

// joinState is shared between the loop and Joining.
type joinState struct {
	mu sync.Mutex
	Joining
}

// Joining returns how the joining loop fares.
func (o *Overlay) Joining() Joining {
	o.join.mu.Lock()
	defer o.join.mu.Unlock()
	return o.join.Joining
}

// joinLoop keeps enough neighbours. It is the only place that tries servers again,
// and it does so as the storm room's policy says.
func (o *Overlay) joinLoop() {
	retry := storm.Retry{Policy: storm.DefaultPolicy()}
	for o.ctx.Err() == nil {
		if o.satisfied() {
			retry = retry.Up(o.now())
			o.waitForNews()
			continue
		}
		dialled := o.round()
		if o.satisfied() || (dialled > 0 && len(o.Servers()) > 0) {
			o.explore()
		}
		if o.satisfied() {
			continue
		}
		var wait time.Duration
		retry, wait = retry.Fail(o.now(), unit())
		o.log.Debug("joining again later", "servers", len(o.Servers()), "wait", wait)
		o.waitForNewsOr(wait)
	}
}

// satisfied says that nothing is to be gained by dialling now.
func (o *Overlay) satisfied() bool {
	servers := len(o.Servers())
	return servers >= Neighbours || (servers > 0 && len(o.candidates()) == 0)
}

func (o *Overlay) waitForNews() {
	select {
	case <-o.wake:
	case <-o.ctx.Done():
	}
}

// waitForNewsOr waits d. News that make dialling pointless or promising end the
// wait: enough servers, one announced on the local network, or the last one lost.
func (o *Overlay) waitForNewsOr(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	for had := len(o.Servers()); ; {
		select {
		case <-t.C:
			return
		case <-o.wake:
			if o.satisfied() || o.fresh() || (had > 0 && len(o.Servers()) == 0) {
				return
			}
		case <-o.ctx.Done():
			return
		}
	}
}

// candidates lists whom to dial, in order: the best cached peers, what the local
// network announced, the bootstrap nodes, the rest of the cache. Members that are
// connected are left out.
func (o *Overlay) candidates() []peer.AddrInfo {
	cached := o.cache.candidates()
	early := cached[:min(cachedFirst, len(cached))]
	order := append(append(append(append([]peer.AddrInfo(nil), early...), o.lan.list()...), o.cfg.Bootstrap...), cached[len(early):]...)
	known := map[peer.ID]bool{o.host.ID(): true}
	var list []peer.AddrInfo
	for _, p := range order {
		if !known[p.ID] && !o.members.has(p.ID) {
			list = append(list, p)
		}
		known[p.ID] = true
	}
	return list
}

// round dials candidates in staggered races until there are enough neighbours, and
// returns how many answered. A dial under way when that happens goes on: the more
// the better.
func (o *Overlay) round() int {
	list := o.candidates()
	results := make(chan error, len(list))
	next, running, answered := 0, 0, 0
	why := "no node named to begin with (--bootstrap), and none found on the local network"
	stagger := time.NewTicker(raceStagger)
	defer stagger.Stop()
	launch := func() {
		for range raceWidth {
			if next < len(list) && len(o.Servers()) < Neighbours {
				o.launch(list[next], results)
				next, running = next+1, running+1
			}
		}
	}
	for launch(); running > 0; {
		select {
		case err := <-results:
			if running--; err == nil {
				answered++
			} else {
				why = err.Error()
			}
			if running == 0 {
				launch()
			}
		case <-stagger.C:
			launch()
		case <-o.ctx.Done():
			return answered
		}
		if answered > 0 && len(o.Servers()) >= min(Neighbours, len(list)) {
			break
		}
	}
	o.roundDone(answered, why)
	return answered
}

func (o *Overlay) launch(p peer.AddrInfo, results chan<- error) {
	o.wg.Go(func() {
		ctx, cancel := context.WithTimeout(o.ctx, dialLimit)
		defer cancel()
		err := o.meet(ctx, p)
		if err != nil {
			err = Plain(p, err)
			o.noAnswer(p.ID, err)
		}
		results <- err
	})
}

// errUnidentified: a connected host does not say that it is a member. It may be
// none, or so busy that it did not answer in time.
var errUnidentified = errors.New("it does not say what it is")

// meet makes a host a connected member. The library asks what a host is once in
// the life of a connection: one that failed to answer is connected to anew.
func (o *Overlay) meet(ctx context.Context, p peer.AddrInfo) error {
	for _, c := range o.host.Network().ConnsToPeer(p.ID) {
		if !o.asked(ctx, c) {
			return ctx.Err() // not answered yet
		}
	}
	if o.identified(p.ID); o.members.has(p.ID) {
		return nil
	}
	_ = o.host.Network().ClosePeer(p.ID)
	if err := Dial(ctx, o.host, p); err != nil {
		return err
	}
	if o.identified(p.ID); !o.members.has(p.ID) {
		return errUnidentified
	}
	return nil
}

// asked waits until the library has asked what is at the other end of c, with
// whatever outcome.
func (o *Overlay) asked(ctx context.Context, c network.Conn) bool {
	h, ok := o.host.(interface{ IDService() identify.IDService })
	if !ok {
		return true
	}
	select {
	case <-h.IDService().IdentifyWait(c):
		return true
	case <-ctx.Done():
		return false
	}
}

func (o *Overlay) roundDone(answered int, why string) {
	o.join.mu.Lock()
	o.join.Rounds++
	o.join.Why = why
	if answered > 0 {
		o.join.Why = ""
	}
	o.join.mu.Unlock()
	o.changed()
	if answered > 0 {
		o.saveCache()
	}
}

// explore looks the own neighbourhood up, which connects to the servers nearest to us.
func (o *Overlay) explore() {
	ctx, cancel := context.WithTimeout(o.ctx, lookupLimit)
	defer cancel()
	_, _ = o.closest(ctx, string(o.host.ID()))
}

// Dial connects to a peer at the addresses given and those known already, also
// over a circuit. The library's own back-off, which has no jitter, is cleared:
// whoever calls Dial has decided that now is the time.
func Dial(ctx context.Context, h host.Host, p peer.AddrInfo) error {
	if s, ok := h.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p.ID)
	}
	h.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.TempAddrTTL)
	return h.Connect(network.WithAllowLimitedConn(ctx, "peerd"), peer.AddrInfo{ID: p.ID})
}
