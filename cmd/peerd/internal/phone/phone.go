// Package phone is where the rooms meet: it joins names and streams (node),
// call protocol (signaling), encrypted sound (media) and sound devices (audio)
// into a telephone. calls.go tells what happens when Alice calls Bob. It knows
// nothing of the local API that drives it.
package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/cmd/peerd/internal/store"
	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/signaling"
)

// defaultMaxCalls is how many calls may be live at once.
const defaultMaxCalls = 64

// Config is everything a Phone needs. Identity, Node.Dir, Dir, Decoder,
// StrangerDecoder and Log are required; Device is where Answer is not echo.
type Config struct {
	Dir      string             // private state directory: contacts and history
	Identity *identity.Identity // who we are
	Node     node.Config        // its Identity and Log are taken from here when nil

	MediaPort int // UDP port of all media; 0 is any
	Answer    AnswerMode
	MaxCalls  int              // live calls at once; 0 is 64
	Timers    signaling.Timers // zero is the protocol's defaults

	Device          audio.Device                  // microphone and loudspeaker
	Encoder         func() (audio.Encoder, error) // nil: this build has none
	Decoder         func() (audio.Decoder, error) // for people we know
	StrangerDecoder func() (audio.Decoder, error) // memory-safe, for everybody else
	ListAudio       func() ([]AudioDevice, error) // what --audio can name; nil: nothing

	ReleaseSound func() error // gives the sound system back at the end; nil: nothing to do
	SaveIdentity func() error // writes the identity back after a change of devices
	Log          *slog.Logger
}

// Phone is a running telephone. All methods are safe for concurrent use.
type Phone struct {
	cfg     Config
	log     *slog.Logger
	started time.Time
	words   []string // for short authentication strings
	hub     *hub
	card    *soundcard
	turns   turnstile

	node    node.API
	engine  *media.Engine
	signals *signaling.Manager
	store   *store.Store

	ctx      context.Context // ends when calls are to end
	stop     context.CancelFunc
	wg       sync.WaitGroup // goroutines of calls, and what they left behind
	disk     chan func() error
	diskDone chan struct{}
	watched  chan struct{} // closed when watchNode has ended
	closing  sync.Once
	closed   error // what Close returns

	loading sync.Mutex // held by loadBook

	mu    sync.Mutex
	shut  bool             // guarded by mu, as all below: no new calls
	calls map[string]*call // live, or not yet in the history
	book  []store.Contact
}

// Open starts everything and returns as soon as calls can be served locally;
// logging in goes on in the background. The order is store, media, node, and
// Close is the reverse.
func Open(ctx context.Context, cfg Config) (*Phone, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxCalls == 0 {
		cfg.MaxCalls = defaultMaxCalls
	}
	p := &Phone{
		cfg: cfg, log: cfg.Log.With("room", "phone"), started: time.Now(),
		words: identity.Words(), hub: newHub(), card: &soundcard{dev: cfg.Device},
		disk: make(chan func() error, diskBacklog), diskDone: make(chan struct{}), watched: make(chan struct{}),
		calls: map[string]*call{},
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(err, p.closeRooms())
	}
	changes, _ := p.node.Subscribe() // ends with the node
	go func() {
		defer close(p.watched)
		p.watchNode(changes)
	}()
	go p.writeDisk()
	p.node.Handle(signaling.Protocol, p.incoming)
	return p, nil
}

func (p *Phone) open(ctx context.Context) (err error) {
	if p.store, err = store.Open(filepath.Join(p.cfg.Dir, "peerd.db")); err != nil {
		return err
	}
	p.engine, err = media.NewEngine(media.EngineConfig{Port: p.cfg.MediaPort, Log: p.cfg.Log.With("room", "media")})
	if err != nil {
		return err
	}
	p.turns = turnstile{make(chan struct{}, turns), p.engine.Strained}
	cfg := p.cfg.Node
	cfg.Identity = p.cfg.Identity
	if cfg.Log == nil {
		cfg.Log = p.cfg.Log.With("room", "node")
	}
	n, err := node.Open(ctx, cfg)
	if err != nil {
		return err
	}
	p.node = n
	p.signals = signaling.NewManager(signaling.Config{
		Log: p.cfg.Log.With("room", "signaling"), Timers: p.cfg.Timers,
		MaxCalls: 2 * p.cfg.MaxCalls, // calls that cross are two for a moment; admitLocked is exact
		Known:    p.knowsDevice,
	})
	return p.loadBook()
}

// Close ends everything in this order: calls (both ends are told "shutdown"),
// media, store, node (contacts are told goodbye). It waits, and may be called
// twice.
func (p *Phone) Close() error {
	p.closing.Do(func() {
		p.hangUpAll()
		close(p.disk)
		<-p.diskDone
		p.closed = p.closeRooms()
		<-p.watched
		p.hub.close()
	})
	return p.closed
}

// hangUpAll ends every call and waits until nothing of them is left.
func (p *Phone) hangUpAll() {
	p.mu.Lock()
	p.shut = true
	var live []*call
	for _, c := range p.calls {
		live = append(live, c)
	}
	p.mu.Unlock()
	for _, c := range live {
		_ = c.do(func() error { c.end(signaling.ReasonShutdown); return nil }) // an error: it is over
	}
	p.stop()
	p.signals.Close()
	p.wg.Wait()
}

// closeRooms closes the rooms that are open; it serves a failed Open, too.
func (p *Phone) closeRooms() error {
	var errs []error
	if p.engine != nil {
		errs = append(errs, p.engine.Close())
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.node != nil {
		errs = append(errs, p.node.Close())
	}
	if p.cfg.ReleaseSound != nil {
		errs = append(errs, p.cfg.ReleaseSound())
	}
	p.stop()
	return errors.Join(errs...)
}

// Link is our own contact link.
func (p *Phone) Link() string { return p.cfg.Identity.Link().String() }

// Subscribe returns a channel of events and a function that ends it. The channel
// is closed when the watcher is too slow, when it is cancelled, or at Close:
// subscribe first, then ask for the present state, and nothing is missed.
func (p *Phone) Subscribe() (<-chan Event, func()) { return p.hub.subscribe() }

// register makes a call one of ours, unless it returns a rival (see glare.go)
// or an error. The goroutine that runs the call must follow.
func (p *Phone) register(c *call) (rival *call, err error) {
	p.mu.Lock()
	if rival = p.rivalLocked(c); rival == nil {
		err = p.admitLocked(c)
	}
	p.mu.Unlock()
	if rival == nil && err == nil {
		c.show()
	}
	return rival, err
}

// registerBeside is register for a call that turned out to have no rival.
func (p *Phone) registerBeside(c *call) error {
	p.mu.Lock()
	err := p.admitLocked(c)
	p.mu.Unlock()
	if err == nil {
		c.show()
	}
	return err
}

func (p *Phone) admitLocked(c *call) error {
	switch {
	case p.shut:
		return ErrClosed
	case p.liveLocked() >= p.cfg.MaxCalls:
		return fmt.Errorf("%w: %d", ErrTooManyCalls, p.cfg.MaxCalls)
	case c.ringsStrange() && p.strangersLocked() >= max(1, p.cfg.MaxCalls/4):
		return fmt.Errorf("%w of strangers", ErrTooManyCalls) // contacts are to have room
	}
	p.calls[c.id] = c
	p.wg.Add(1)
	return nil
}

// forget drops a call that is in the history now.
func (p *Phone) forget(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, c.id)
}

// present lists the calls that are live, or not yet in the history.
func (p *Phone) present() []Call {
	p.mu.Lock()
	calls := slices.Collect(maps.Values(p.calls))
	p.mu.Unlock()
	var list []Call
	for _, c := range calls {
		list = append(list, c.snapshot())
	}
	return list
}

// found is the call of this id that is live, or not yet in the history, or nil.
func (p *Phone) found(id string) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[id]
}

func (p *Phone) liveCalls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.liveLocked()
}

func (p *Phone) liveLocked() int {
	n := 0
	for _, c := range p.calls {
		if c.isLive() {
			n++
		}
	}
	return n
}

// ringsStrange reports whether a call is one of a stranger that waits for the user.
func (c *call) ringsStrange() bool {
	now := c.facts()
	return ringsForUser(now) && now.Remote.Stranger && !c.automatic
}

func (p *Phone) strangersLocked() int {
	n := 0
	for _, c := range p.calls {
		if c.ringsStrange() {
			n++
		}
	}
	return n
}

// drain reads the last events, if any, of a call whose end nobody waits for.
func (p *Phone) drain(events <-chan signaling.Event) {
	if events == nil {
		return
	}
	p.wg.Go(func() {
		for range events { //nolint:revive // until it is closed
		}
	})
}
