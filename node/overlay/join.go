package overlay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

const (
	// Neighbours is how many live servers a member wants to be connected to.
	Neighbours = 3
	// dialLimit bounds a log-in: the dial, and the question what is at the other end. The
	// policy turns to others sooner; but who said "come" is there, and a handshake that is
	// given up halfway has cost both ends for nothing. Where processors were scarce three
	// of four were.
	dialLimit = 10 * time.Second
	// maxCopies bounds the servers that hold own records: 3 for each of 4 records.
	maxCopies = 4 * Neighbours
	// happenings may wait for the loop without holding up who tells of them.
	happenings = 256
)

// Joining tells how the joining loop fares.
type Joining struct {
	Rounds int    // rounds of asking that ended without a connected server
	Why    string // why the last try failed; empty after a success
}

// joinState is shared between the loop and Joining.
type joinState struct {
	events chan storm.Event[peer.ID]

	mu sync.Mutex
	Joining
	neighbours []peer.ID
	online     bool // has neighbours, and own records are where they should be
}

// Joining returns how the joining loop fares.
func (o *Overlay) Joining() Joining {
	o.join.mu.Lock()
	defer o.join.mu.Unlock()
	return o.join.Joining
}

// neighbours returns the servers that this member joined.
func (o *Overlay) neighbours() []peer.ID {
	o.join.mu.Lock()
	defer o.join.mu.Unlock()
	return slices.Clone(o.join.neighbours)
}

// busyJoining says that this member has not come in yet, and is not out of people to ask.
func (o *Overlay) busyJoining() bool {
	o.join.mu.Lock()
	defer o.join.mu.Unlock()
	return !o.join.online && o.join.Rounds == 0
}

// tell hands an event to the joining loop.
func (o *Overlay) tell(ev storm.Event[peer.ID]) {
	select {
	case o.join.events <- ev:
	case <-o.ctx.Done():
	}
}

// joinLoop keeps neighbours, and own records with the servers closest to their
// keys. What is done when is the storm room's decision; here it is carried out.
// Nothing else tries servers again.
func (o *Overlay) joinLoop() {
	if o.cfg.Keeps {
		select {
		case <-o.keeping.begun:
		case <-o.ctx.Done():
			return
		}
	}
	j := &joiner{o: o, cfg: storm.DefaultJoinerConfig(), timer: time.NewTimer(time.Hour)}
	defer j.timer.Stop()
	j.cfg.Want, j.cfg.Copies, j.cfg.Off = Neighbours, maxCopies, o.cfg.Off
	o.trace.Start(o.door.moment(), &j.policy, &j.cfg, o.book())
	j.step(storm.Event[peer.ID]{Kind: storm.Started})
	for {
		select {
		case ev := <-o.join.events:
			j.step(ev)
		case <-j.timer.C:
			j.step(storm.Event[peer.ID]{Kind: storm.Tick})
		case <-o.ctx.Done():
			return
		}
	}
}

// book lists the peers known at the start; the bootstrap nodes in any order, so that
// not everybody asks the same one first.
func (o *Overlay) book() storm.Book[peer.ID] {
	boot := ids(o.cfg.Bootstrap)
	rand.Shuffle(len(boot), func(i, j int) { boot[i], boot[j] = boot[j], boot[i] })
	return storm.Book[peer.ID]{Cached: ids(o.cache.candidates()), Near: ids(o.lan.list()), Bootstrap: boot}
}

func ids(infos []peer.AddrInfo) []peer.ID {
	list := make([]peer.ID, len(infos))
	for i, p := range infos {
		list[i] = p.ID
	}
	return list
}

// joiner belongs to the joining loop.
type joiner struct {
	o       *Overlay
	cfg     storm.JoinerConfig
	policy  storm.Joiner[peer.ID]
	actions []storm.Action[peer.ID]
	timer   *time.Timer
	resting bool
}

func (j *joiner) step(ev storm.Event[peer.ID]) {
	now := j.o.door.moment()
	j.actions = j.o.trace.Step(now, &j.policy, &ev, unit, j.actions[:0])
	for _, act := range j.actions {
		j.do(act, now)
	}
	j.o.join.mu.Lock()
	j.o.join.neighbours = append(j.o.join.neighbours[:0], j.policy.Neighbours()...)
	j.o.join.online = j.policy.Online()
	j.o.join.mu.Unlock()
	if resting := j.policy.Resting(); resting != j.resting {
		if j.resting = resting; resting {
			j.o.roundDone()
		}
	}
}

func (j *joiner) do(act storm.Action[peer.ID], now storm.Moment) {
	switch act.Kind {
	case storm.Ask, storm.Offer:
		j.o.wg.Go(func() { j.ask(act) })
	case storm.Dial:
		j.o.wg.Go(func() { j.o.tell(j.o.logIn(act.Peer)) })
	case storm.Find:
		j.o.wg.Go(func() { j.o.tell(j.o.found()) })
	case storm.Store:
		j.o.wg.Go(func() { j.o.tell(j.o.give(act.Peer)) })
	case storm.WaitUntil:
		j.timer.Reset(max(act.At-now, 0))
	}
}

// ask carries a question out. No answer is no event: the policy has its own patience,
// and is to find the reason when that ends.
func (j *joiner) ask(act storm.Action[peer.ID]) {
	ctx, cancel := context.WithTimeout(j.o.ctx, j.cfg.Patience-j.cfg.Patience/16)
	defer cancel()
	var a gate.Answer
	var err error
	if act.Kind == storm.Offer {
		a, err = j.o.offer(ctx, act.Peer, act.Slot != 0)
	} else {
		a, err = j.o.ask(ctx, act.Peer, act.Class, act.Slot != 0)
	}
	if err != nil {
		j.o.failed(act.Peer, err)
		return
	}
	j.o.log.Debug("question answered", "peer", act.Peer, "class", act.Class, "come", a.Come, "wait", a.Wait)
	ev := storm.Event[peer.ID]{Kind: storm.Answered, Peer: act.Peer, Answer: j.o.heardFrom(a)}
	if act.Kind == storm.Offer && !a.Come && a.Wait == 0 {
		j.o.keeping.serve(act.Peer, false)
		ev = storm.Event[peer.ID]{Kind: storm.Unstored, Peer: act.Peer}
	}
	j.o.tell(ev)
}

// heardFrom is an answer as the policy reads it.
func (o *Overlay) heardFrom(a gate.Answer) *storm.Answer[peer.ID] {
	out := &storm.Answer[peer.ID]{
		Verdict: storm.Wait, Delay: a.Wait, Slot: o.door.moment() + a.Wait,
		Uptime: a.Uptime, Load: float32(a.Load),
	}
	if a.Come {
		out.Verdict = storm.Come
	}
	for _, r := range a.Referrals {
		if r.ID != o.host.ID() && int(out.N) < len(out.Referrals) {
			out.Referrals[out.N] = r.ID
			out.N++
		}
	}
	return out
}

// logIn connects to a server that lets us in.
func (o *Overlay) logIn(p peer.ID) storm.Event[peer.ID] {
	ctx, cancel := context.WithTimeout(o.ctx, dialLimit)
	defer cancel()
	if len(o.neighbours()) == 0 { // else the records are where they should be, or looked after
		o.scout(p, nil)
	}
	info := peer.AddrInfo{ID: p, Addrs: o.knownAddrs(p)}
	err := o.meet(ctx, info)
	if err == nil && !o.isServer(p) {
		err = fmt.Errorf("node %s is no server", tail(p))
	}
	if err != nil {
		o.failed(p, err)
		return storm.Event[peer.ID]{Kind: storm.Refused, Peer: p}
	}
	o.setWhy("")
	o.log.Debug("joined a server", "server", p)
	o.wg.Go(func() {
		if err := o.takeSnapshot(o.ctx, p); err != nil {
			o.log.Debug("no snapshot", "server", p, "err", err)
		}
	})
	return storm.Event[peer.ID]{Kind: storm.Connected, Peer: p}
}

// failed keeps why a server could not be joined, in words.
func (o *Overlay) failed(p peer.ID, err error) {
	if o.ctx.Err() != nil {
		return
	}
	err = Plain(peer.AddrInfo{ID: p, Addrs: o.knownAddrs(p)}, err)
	o.noAnswer(p, err)
	o.setWhy(err.Error())
}

func (o *Overlay) setWhy(why string) {
	o.join.mu.Lock()
	defer o.join.mu.Unlock()
	o.join.Why = why
}

// roundDone notes that everybody known was asked in vain.
func (o *Overlay) roundDone() {
	if len(o.Servers()) > 0 {
		return
	}
	o.join.mu.Lock()
	o.join.Rounds++
	if o.join.Why == "" && len(o.cfg.Bootstrap) == 0 {
		o.join.Why = "no node named to begin with (--bootstrap), and none found on the local network"
	}
	o.join.mu.Unlock()
	o.changed()
}
