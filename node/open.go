package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/overlay"
	"github.com/peerd/peerd/node/presence"
)

// Node is a running member of the overlay. All methods are safe for concurrent use.
type Node struct {
	cfg  Config
	id   *identity.Identity
	now  func() time.Time
	over *overlay.Overlay

	hub      hub
	login    login
	records  ownRecords
	book     *book
	contacts contacts
	turn     turnServer
	relays   grants
	refusals refusals
	calls    callGuard

	wake   chan struct{} // a fact may have changed
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once

	entry  sync.Mutex
	closed bool // guarded by entry: wg may be waited for
}

// Open starts a node and returns as soon as its host listens; logging in goes on
// in the background (see Status and Subscribe). ctx bounds the opening only.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	bootstrap, err := check(&cfg)
	if err != nil {
		return nil, err
	}
	if err = ctx.Err(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, id: cfg.Identity, now: cfg.Now, wake: make(chan struct{}, 1)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.login.opened = n.now()
	n.contacts.init()
	n.relays.kick = make(chan struct{}, 1)
	if n.book, err = loadBook(cfg.Dir, cfg.Log); err != nil {
		return nil, err
	}
	validator := presence.Validator{Now: n.now}
	n.over, err = overlay.Open(overlay.Config{
		Key: n.id.DeviceKey(), Dir: cfg.Dir, Listen: cfg.Listen, Bootstrap: bootstrap,
		Server: cfg.Role == RoleServer, MayServe: cfg.Role == RoleAuto,
		MDNS: cfg.MDNS, Keeps: true, Memory: cfg.Memory, Network: cfg.Network, Store: cfg.Store, CPU: cfg.CPU, Off: cfg.Off, Trace: cfg.Trace,
		Validators: record.NamespacedValidator{"pa": validator, "pp": validator},
		Handlers: map[protocol.ID]network.StreamHandler{
			overlay.MemberProtocol: n.servePresence,
			relayProtocol:          n.serveRelay,
		},
		Log: cfg.Log, Now: n.now, Changed: n.poke,
	})
	if err != nil {
		n.cancel()
		return nil, openError(err)
	}
	if err := n.start(); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func openError(err error) error {
	if errors.Is(err, overlay.ErrBadAddress) {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return err
}

// check fills in defaults and refuses settings that make no sense.
func check(cfg *Config) ([]peer.AddrInfo, error) {
	switch {
	case cfg.Identity == nil || cfg.Dir == "" || cfg.Log == nil:
		return nil, fmt.Errorf("%w: identity, directory and logger are required", ErrConfig)
	case !cfg.Identity.Linked():
		return nil, identity.ErrNotLinked
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	switch cfg.Role {
	case "":
		cfg.Role = RoleAuto
	case RoleAuto, RoleClient, RoleServer:
	default:
		return nil, fmt.Errorf("%w: role %q is none of auto, client, server", ErrConfig, cfg.Role)
	}
	bootstrap, err := overlay.ParsePeers(cfg.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("%w: bootstrap node: %w", ErrConfig, err)
	}
	return bootstrap, nil
}

func (n *Node) start() error {
	if n.over.Serving() {
		if err := n.startTURN(); err != nil {
			return err
		}
	}
	n.wg.Go(n.watch)
	n.over.Keep(n.recordList, n.stored)
	n.wg.Go(n.contactLoop)
	n.wg.Go(n.relayLoop)
	return nil
}

// Close tells the contacts goodbye, persists what was learned, closes the host
// and waits for every goroutine of the node. It may be called twice.
func (n *Node) Close() error {
	var err error
	n.once.Do(func() {
		n.sayGoodbye()
		n.entry.Lock()
		n.closed = true
		n.entry.Unlock()
		n.cancel()
		n.turn.close()
		err = n.over.Close()
		n.wg.Wait()
		n.hub.close()
		err = errors.Join(err, n.book.save())
	})
	return err
}

// enter counts a caller whom Close waits for, until leave; false after Close.
func (n *Node) enter() bool {
	n.entry.Lock()
	defer n.entry.Unlock()
	if !n.closed {
		n.wg.Add(1)
	}
	return !n.closed
}

func (n *Node) leave() { n.wg.Done() }

// poke makes the watcher look at the facts again.
func (n *Node) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// watch turns changes of the overlay into changes of status and presence, and
// hands them on to the loops that act on them.
func (n *Node) watch() {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-n.wake:
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		n.maybeServe()
		n.maybePublish()
		kick(n.contacts.kick)
		kick(n.relays.kick)
		n.evaluate()
		n.announcePresence()
	}
}

// maybeServe makes the first node of an overlay a server: it was told nobody to
// begin with and knows nobody.
func (n *Node) maybeServe() {
	if n.cfg.Role == RoleAuto && !n.over.Serving() && n.first() {
		if err := n.over.Promote(); err != nil {
			n.cfg.Log.Warn("cannot become a server", "err", err)
		}
	}
	if n.over.Serving() && !n.turn.running() {
		if err := n.startTURN(); err != nil {
			n.cfg.Log.Warn("no media relay", "err", err)
		}
	}
}

// first says that this node begins an overlay of its own: it was told nobody to
// begin with, and whom it may have known does not answer.
func (n *Node) first() bool {
	return len(n.cfg.Bootstrap) == 0 && n.over.Joining().Rounds > 0 && len(n.over.Servers()) == 0
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// unit returns a uniform random number in [0, 1).
func unit() float64 {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return float64(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3])) / (1 << 32)
}
