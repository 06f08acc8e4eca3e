package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/peerd/peerd/node/storm"
)

// Reachability is what others have proven about this host.
type Reachability string

// What a dial-back can prove.
const (
	ReachUnknown Reachability = "unknown"
	ReachDirect  Reachability = "direct"
	ReachRelay   Reachability = "relay"
)

const (
	// proveAgainEvery is the mean period of asking for a new proof.
	proveAgainEvery = 20 * time.Minute
	proofLimit      = 8 * time.Second
)

// reach finds out, with the help of other members, how this host can be reached.
type reach struct {
	o     *Overlay
	again chan struct{}

	mu       sync.Mutex
	state    Reachability
	asked    bool   // a witness has been asked
	why      string // why the state is unknown
	public   bool   // proven at a public address of an interface of ours
	natted   bool   // others see us at an address that no interface has
	proven   []ma.Multiaddr
	first    place          // through which others reach us
	second   place          // and if that one is gone; none where there is no first
	due      time.Time      // when the second is to be asked, for a place or to keep it; zero: not
	circuits []ma.Multiaddr // that others are told of: one that is gone, too, until there is another
	stale    bool           // what was proven may no longer hold
	lastIfs  []ma.Multiaddr
}

// place is a reservation on a relay; the zero value is none.
type place struct {
	relay    peer.ID
	circuits []ma.Multiaddr // our addresses through it
	expires  time.Time
}

func newReach(o *Overlay) *reach {
	return &reach{o: o, again: make(chan struct{}, 1), state: ReachUnknown, why: "no server has been asked yet"}
}

// Reach returns what is proven, whether anybody has been asked yet, and when nothing
// is proven, why.
func (o *Overlay) Reach() (state Reachability, asked bool, why string) {
	o.reach.mu.Lock()
	defer o.reach.mu.Unlock()
	return o.reach.state, o.reach.asked, o.reach.why
}

// ProofPending says that we sit behind a router and nobody has been asked yet
// whether and how we can be reached, though somebody could be.
func (o *Overlay) ProofPending() bool {
	o.reach.mu.Lock()
	pending := o.reach.natted && !o.reach.asked
	o.reach.mu.Unlock()
	return pending && o.Witnesses() > 0
}

// Witnesses counts the connected servers that can dial us back.
func (o *Overlay) Witnesses() int { return len(o.supporting(ReachProtocol)) }

func (r *reach) addresses() (proven, circuits []ma.Multiaddr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.proven), slices.Clone(r.circuits)
}

// advertise completes the addresses that identify tells: those that a router in
// front of us forwards are known from the proof only.
func (r *reach) advertise(addrs []ma.Multiaddr) []ma.Multiaddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(withoutLocal(addrs))
	for _, a := range r.proven {
		if !ma.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// observe notes under which address a host at the other end of c sees us.
func (r *reach) observe(c network.Conn, seen ma.Multiaddr) {
	if seen == nil || IsCircuit(c.RemoteMultiaddr()) || local(seen) {
		return
	}
	natted := !r.o.owns(seen)
	r.mu.Lock()
	r.natted = natted
	r.mu.Unlock()
}

// news wakes the loop: a server came, or our addresses changed.
func (r *reach) news() {
	now := r.o.interfaceAddrs()
	r.mu.Lock()
	if !sameAddrs(now, r.lastIfs) {
		r.lastIfs, r.stale = now, true
	}
	r.mu.Unlock()
	r.wake()
}

func (r *reach) wake() {
	select {
	case r.again <- struct{}{}:
	default:
	}
}

func sameAddrs(a, b []ma.Multiaddr) bool {
	if len(a) != len(b) {
		return false
	}
	return !slices.ContainsFunc(a, func(x ma.Multiaddr) bool { return !ma.Contains(b, x) })
}

// lost notes that the connection to p ended: a reservation there is void. Who has another
// tells it with the next second relay: the records do for so long.
func (r *reach) lost(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case p == "":
		return
	case p == r.second.relay:
		r.holdLocked(r.first, place{})
	case p == r.first.relay && r.second.relay != "":
		r.holdLocked(r.second, place{})
	case p == r.first.relay:
		r.holdLocked(place{}, place{})
		r.circuits, r.stale = nil, true
		if r.state == ReachRelay {
			r.state, r.why = ReachUnknown, "the connection to the relay was lost"
		}
	default:
		return
	}
	r.wake()
}

// through is the relay through which alone others reach us; "" is none.
func (r *reach) through() peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first.relay
}

// mayServe says that this member can be reached by anybody and may become a server.
func (r *reach) mayServe() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.public && r.o.cfg.MayServe
}

// loop proves, and proves again when the proof has aged or may no longer hold.
func (r *reach) loop() {
	retry := storm.Retry{Policy: storm.DefaultPolicy()}
	for r.o.ctx.Err() == nil {
		if witnesses := r.o.supporting(ReachProtocol); len(witnesses) > 0 {
			r.prove(witnesses)
		}
		state, _, _ := r.o.Reach()
		wait := time.Hour
		if state != ReachUnknown {
			retry = retry.Up(r.o.now())
			wait = r.untilNextProof()
		} else if r.o.Witnesses() > 0 {
			retry, wait = retry.Fail(r.o.now(), unit())
		}
		r.rest(wait)
	}
}

// rest lets d pass, or less where a new proof is needed, and sees to the second relay
// meanwhile.
func (r *reach) rest(d time.Duration) {
	for end := r.o.now().Add(d); r.o.now().Before(end); {
		r.mu.Lock()
		due := r.due
		r.mu.Unlock()
		next := end
		if !due.IsZero() && due.Before(end) {
			next = due
		}
		if r.waitFor(next.Sub(r.o.now()), due) {
			return
		}
		if !due.IsZero() && !r.o.now().Before(due) {
			r.askSecond()
		}
	}
}

func (r *reach) untilNextProof() time.Duration {
	wait := storm.Spread(proveAgainEvery, unit())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first.relay != "" {
		wait = min(wait, r.first.expires.Sub(r.o.now())/2)
	}
	return max(wait, time.Second)
}

// waitFor lets d pass, or less where the second relay is due at another moment. It says at
// once when what was proven may no longer hold, or when nothing was proven and a new witness
// came.
func (r *reach) waitFor(d time.Duration, due time.Time) (early bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	for asked := r.o.Witnesses(); ; {
		select {
		case <-t.C:
			return false
		case <-r.o.ctx.Done():
			return true
		case <-r.again:
			r.mu.Lock()
			stale, unknown, same := r.stale, r.state == ReachUnknown, r.due.Equal(due)
			r.mu.Unlock()
			if (stale && r.o.Witnesses() > 0) || (unknown && r.o.Witnesses() > asked) {
				return true
			}
			if !same {
				return false
			}
		}
	}
}

// proof is the outcome of one round.
type proof struct {
	place
	direct []ma.Multiaddr
	err    error
}

// prove asks one witness after the other until something is proven. Behind a
// router the reservation is made while the direct proof is still under way.
func (r *reach) prove(witnesses []peer.ID) {
	ctx, cancel := context.WithTimeout(r.o.ctx, proofLimit)
	defer cancel()
	r.mu.Lock()
	natted := r.natted
	r.stale, r.lastIfs = false, r.o.interfaceAddrs()
	r.mu.Unlock()

	var p proof
	direct := make(chan []ma.Multiaddr, 1)
	r.o.wg.Go(func() { direct <- r.askDirect(ctx, witnesses) })
	if natted {
		p.byRelay(ctx, r, witnesses)
		if p.relay != "" {
			r.settle(p, natted)
		}
	}
	p.direct = <-direct
	if len(p.direct) == 0 && p.relay == "" && !natted {
		p.byRelay(ctx, r, witnesses)
	}
	r.settle(p, natted)
}

// askDirect returns the addresses that the first witness able to tell has reached.
func (r *reach) askDirect(ctx context.Context, witnesses []peer.ID) []ma.Multiaddr {
	claims := withoutLocal(r.o.interfaceAddrs())
	for _, w := range witnesses[:min(2, len(witnesses))] {
		ok, err := r.o.askReach(ctx, w, claims)
		if len(ok) > 0 || err == nil {
			return ok
		}
		r.o.log.Debug("no dial-back", "witness", w, "err", err)
	}
	return nil
}

// byRelay reserves a place on a relay.
func (p *proof) byRelay(ctx context.Context, r *reach, witnesses []peer.ID) {
	r.mu.Lock()
	held := r.first.relay
	r.mu.Unlock()
	p.place, p.err = r.reserve(ctx, witnesses, held, "")
}

// reserve keeps the reservation held, or gets one from the first server willing, but not
// from the one named. A witness, another than the relay where there is one that knows it,
// proves that it carries.
func (r *reach) reserve(ctx context.Context, witnesses []peer.ID, held, but peer.ID) (place, error) {
	got, err := r.book(ctx, held, but)
	if err != nil {
		return place{}, err
	}
	// Others dial only through relays that they are connected to.
	others := slices.DeleteFunc(slices.Clone(witnesses), func(p peer.ID) bool { return p == got.relay })
	for _, w := range append(others[:min(1, len(others))], got.relay) {
		proven, refusal := r.o.askReach(ctx, w, got.circuits[:min(1, len(got.circuits))])
		if len(proven) > 0 {
			return got, nil
		}
		err = errors.Join(err, refusal)
	}
	if err == nil {
		err = fmt.Errorf("a circuit through relay %s does not reach us", tail(got.relay))
	}
	return place{}, err
}

// askSecond gets a second relay, or keeps it.
func (r *reach) askSecond() {
	ctx, cancel := context.WithTimeout(r.o.ctx, proofLimit)
	defer cancel()
	r.mu.Lock()
	first, second := r.first.relay, r.second.relay
	r.mu.Unlock()
	got, err := r.reserve(ctx, r.o.supporting(ReachProtocol), second, first)
	if err != nil {
		r.o.log.Debug("no second relay", "err", err)
	}
	r.mu.Lock()
	if r.first.relay == first { // otherwise it may be the one just asked
		r.holdLocked(r.first, got)
		r.circuits = r.ownCircuitsLocked()
	}
	r.mu.Unlock()
	r.o.changed()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// settle makes a proof the present state. An address that only a router has is
// published, but does not make us "direct": the router may let in none but hosts
// we have talked to, and the witness is one.
func (r *reach) settle(p proof, natted bool) {
	r.mu.Lock()
	second := r.second
	if p.relay == "" || p.relay == second.relay {
		second = place{}
	}
	r.holdLocked(p.place, second)
	r.proven, r.circuits = p.direct, r.ownCircuitsLocked()
	r.asked, r.why = true, ""
	switch {
	case len(p.direct) > 0 && (!natted || r.o.Serving()):
		r.state = ReachDirect
	case p.relay != "":
		r.state = ReachRelay
	default:
		r.state, r.why = ReachUnknown, "not reachable directly"
		if p.err != nil {
			r.why += ", and no relay: " + p.err.Error()
		}
	}
	r.public = r.state == ReachDirect && !natted && slices.ContainsFunc(p.direct, manet.IsPublicAddr)
	r.o.log.Debug("reachability proven", "state", r.state, "why", r.why)
	r.mu.Unlock()
	switch may := r.mayServe(); {
	case may && (r.o.Serving() || r.o.estimate() < fewServers):
		r.o.promote()
	case !may:
		r.o.cache.proved(nil, r.o.now())
	}
	r.o.changed()
}
