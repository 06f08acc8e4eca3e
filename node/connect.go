package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/overlay"
	"github.com/peerd/peerd/node/presence"
)

// newestOf is how many answers of the DHT the newest is taken of.
const newestOf = 8

// secondThought is how long what a first record led to may take to answer before others
// are asked for a newer one.
const secondThought = 500 * time.Millisecond

// connectLimit bounds one Connect, however long its context lives.
const connectLimit = 20 * time.Second

// Connect finds a device of the link's account and connects to it. It races the
// last known addresses with the DHT; the first verified device wins. Errors wrap
// ErrNotFound, ErrUnreachable, ErrRevoked or ErrClosed.
func (n *Node) Connect(ctx context.Context, link identity.Link) (Peer, error) {
	if !n.enter() {
		return Peer{}, ErrClosed
	}
	defer n.leave()
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	r := &race{n: n, ctx: ctx, link: link, won: make(chan Peer, 1), tried: make(map[string]bool)}
	r.searching, r.stop = context.WithCancel(ctx)
	defer r.stop()
	book := n.book.devices(link.Account, n.now())
	if p, ok := n.answering(ctx, book); ok {
		n.met(p)
		return p, nil
	}
	for _, d := range book {
		r.device(d)
	}
	r.wg.Go(r.search)
	idle := make(chan struct{})
	n.wg.Go(func() { r.wg.Wait(); r.dials.Wait(); close(idle) }) // the losers may need longer than this
	select {
	case p := <-r.won:
		n.met(p)
		return p, nil
	case <-idle:
	case <-ctx.Done():
		<-idle
	}
	select {
	case p := <-r.won: // at the last moment
		n.met(p)
		return p, nil
	default:
		return Peer{}, r.failure()
	}
}

// answering returns the first of the devices that answers on an open connection;
// of connections that do not, none is left.
func (n *Node) answering(ctx context.Context, devices []known) (Peer, bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := make(chan Peer, 1)
	var wg sync.WaitGroup
	for _, d := range devices {
		if d.revoked || !n.isConnected(d.Cert.Device) {
			continue
		}
		wg.Go(func() {
			if !overlay.Alive(ctx, n.over.Host(), d.Cert.Device) {
				return
			}
			select {
			case first <- Peer{Device: d.Cert.Device, Certificate: d.Cert}:
				cancel() // of the others nothing more is asked
			default:
			}
		})
	}
	wg.Wait()
	select {
	case p := <-first:
		return p, true
	default:
		return Peer{}, false
	}
}

// race is one Connect under way.
type race struct {
	n    *Node
	ctx  context.Context
	link identity.Link
	won  chan Peer // the first winner
	// searching ends when there is one
	searching context.Context
	stop      context.CancelFunc
	wg        sync.WaitGroup
	// dials are those under way; they end when a winner is known
	dials sync.WaitGroup

	mu      sync.Mutex
	tried   map[string]bool // device and addresses dialled
	known   int             // devices seen, revoked or not
	revoked int
	last    error
}

func (r *race) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	base := ErrNotFound
	switch {
	case r.n.ctx.Err() != nil:
		base = ErrClosed
	case r.known > 0 && r.revoked == r.known:
		base = ErrRevoked
	case r.known > 0:
		base = ErrUnreachable
	}
	if r.last == nil {
		return base
	}
	return fmt.Errorf("%w: %w", base, r.last)
}

func (r *race) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil || !errors.Is(err, overlay.ErrNoValue) {
		r.last = err
	}
}

// device dials a device at its last known addresses.
func (r *race) device(d known) {
	r.mu.Lock()
	r.known++
	if d.revoked {
		r.revoked++
	}
	r.mu.Unlock()
	if !d.revoked {
		r.dial(d.Cert, d.Addrs)
	}
}

// dial tries a device once per list of addresses; the host's own book of
// addresses helps.
func (r *race) dial(cert identity.Certificate, addrs []string) {
	if cert.Device == r.n.id.Device() {
		return
	}
	key := cert.Device.String()
	for _, a := range addrs {
		key += " " + a
	}
	r.mu.Lock()
	seen := r.tried[key]
	r.tried[key] = true
	r.mu.Unlock()
	if seen {
		return
	}
	r.dials.Go(func() {
		overlay.Alive(r.ctx, r.n.over.Host(), cert.Device) // leaves no connection that is dead
		to := peer.AddrInfo{ID: cert.Device, Addrs: parseAddrs(addrs)}
		r.n.over.Knock(r.ctx, to)
		if err := overlay.Dial(r.ctx, r.n.over.Host(), to); err != nil {
			r.note(overlay.Plain(to, err))
			return
		}
		select {
		case r.won <- Peer{Device: cert.Device, Certificate: cert}:
			r.stop()
		default:
		}
	})
}

func parseAddrs(texts []string) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, t := range texts {
		if a, err := ma.NewMultiaddr(t); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// search asks the DHT: for any valid account record first, and when what that led to does
// not answer soon, for the newest of several, as the first may be stale.
func (r *race) search() {
	for _, quorum := range []int{1, newestOf} {
		account, err := r.account(quorum)
		if err != nil {
			r.note(err)
			if errors.Is(err, overlay.ErrNoValue) {
				return
			}
			continue // an old record, say: of several answers the newest counts
		}
		r.enlist(account)
		var lookups sync.WaitGroup
		for _, cert := range account.Devices {
			if !slices.Contains(account.Revoked, cert.Device) && cert.Device != r.n.id.Device() {
				lookups.Go(func() { r.locate(cert) })
			}
		}
		lookups.Wait()
		if quorum == newestOf || r.over(secondThought) {
			return
		}
	}
}

// over waits, and reports whether the race is over by then.
func (r *race) over(wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-r.searching.Done():
		return true
	case <-t.C:
		return false
	}
}

// enlist counts the devices of an account record.
func (r *race) enlist(a presence.Account) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known, r.revoked = len(a.Devices), 0
	for _, cert := range a.Devices {
		if slices.Contains(a.Revoked, cert.Device) {
			r.revoked++
		}
	}
}

// account looks the account record up.
func (r *race) account(quorum int) (presence.Account, error) {
	var a presence.Account
	err := r.lookup(quorum, func(day int64) string { return presence.AccountKey(r.link.Account, day) },
		func(value []byte) (err error) {
			a, err = presence.OpenAccount(value, r.link, r.n.now())
			return err
		})
	if err != nil {
		return a, err
	}
	if err := r.n.book.learnAccount(r.link.Account, a); err != nil {
		return a, err
	}
	return a, nil
}

// locate looks a device's presence record up and dials it, and again where a newer record
// than the first one comes.
func (r *race) locate(cert identity.Certificate) {
	err := r.days(func(day int64) string { return presence.PresenceKey(cert.Device, day) }, func(key string) (err error) {
		any := false
		missing := r.n.over.Follow(r.searching, key, func(value []byte) {
			var p presence.Presence
			if p, err = presence.OpenPresence(value, r.link, cert.Device, r.n.now()); err == nil {
				err = r.n.book.learnPresence(cert, p)
			}
			if err != nil {
				r.n.refuse(key, err)
				return
			}
			any = true
			r.dial(cert, p.Addrs)
		})
		switch {
		case any:
			return nil
		case err == nil:
			return missing
		}
		return err
	})
	if err != nil {
		r.note(err)
	}
}

// lookup reads a record of which quorum answers are enough.
func (r *race) lookup(quorum int, key func(day int64) string, open func([]byte) error) error {
	return r.days(key, func(key string) error {
		value, err := r.n.over.Lookup(r.ctx, key, quorum)
		if err != nil {
			return err
		}
		if err = open(value); err != nil {
			r.n.refuse(key, err)
		}
		return err
	})
}

// days reads a record under today's key and, near midnight UTC, the neighbouring day's:
// the writer's clock may differ.
func (r *race) days(key func(day int64) string, read func(key string) error) error {
	now := r.n.now()
	days := []int64{presence.Day(now)}
	for _, other := range []time.Time{now.Add(-presence.MaxSkew), now.Add(presence.MaxSkew)} {
		if d := presence.Day(other); !slices.Contains(days, d) {
			days = append(days, d)
		}
	}
	var err error
	for _, day := range days {
		if err = read(key(day)); err == nil {
			return nil
		}
	}
	return err
}
