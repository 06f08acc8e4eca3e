// Package signaling is the call protocol of peerd: one stream per call, small
// bounded messages, and a call state machine that both ends run. It knows no
// network, no media and no identities: streams come from outside, and
// certificates, bindings, session descriptions and candidates are opaque
// bytes to it.
//
// state.go is the machine, a pure function; call.go and run.go put goroutines
// around it; manager.go knows all calls and settles glare.
package signaling

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Timers are the durations of the protocol; zero means the default.
type Timers struct {
	Offer   time.Duration // incoming stream to its offer, 10 s
	Ringing time.Duration // offer to ringing, 15 s
	Answer  time.Duration // ringing to accept, 45 s
	Offered time.Duration // callee's own bound from offer to accept, 65 s
	Connect time.Duration // accept to path up, 15 s
	Lost    time.Duration // path lost to the end of the call, 15 s
	Closed  time.Duration // path closed by the peer to the end of the call, 2 s
	Ending  time.Duration // end to the peer's end, 2 s
	Write   time.Duration // one write that the peer does not take, 10 s
}

func (t *Timers) setDefaults() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Offer, 10 * time.Second},
		{&t.Ringing, 15 * time.Second},
		{&t.Answer, 45 * time.Second},
		{&t.Offered, 65 * time.Second},
		{&t.Connect, 15 * time.Second},
		{&t.Lost, 15 * time.Second},
		{&t.Closed, 2 * time.Second},
		{&t.Ending, 2 * time.Second},
		{&t.Write, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
}

func (t *Timers) of(timer Timer) time.Duration {
	return [...]time.Duration{
		TimerRinging: t.Ringing, TimerAnswer: t.Answer, TimerOffered: t.Offered,
		TimerConnect: t.Connect, TimerLost: t.Lost, TimerClosed: t.Closed, TimerEnding: t.Ending,
	}[timer]
}

// Invitation is an incoming offer before it becomes a call.
type Invitation struct {
	Peer     string // the stream's name of the caller's device
	Offer    Offer
	Replaces string // see Call.Replaces
}

// Config is what a Manager needs; zero fields take the defaults named here.
type Config struct {
	Log      *slog.Logger               // nothing is logged without it
	Rand     io.Reader                  // call ids and nonces, crypto/rand
	Timers   Timers                     // see Timers
	MaxCalls int                        // live calls in both directions, 100; one more is busy
	Admit    func(Invitation) EndReason // "" lets the call in, a reason refuses it; everybody is let in without it. It must not wait.
	Known    func(peer string) bool     // whose streams have room of their own until their offer comes; nobody's without it. It must not wait.
}

// crossedFor is how long a call lost by glare is remembered, so that the
// winning call is recognised when its offer comes later than the refusal.
const crossedFor = 10 * time.Second

// maxUsed bounds the memory of call ids that must not come again.
const maxUsed = 4096

// Manager knows all calls of this end.
type Manager struct {
	log      *slog.Logger
	rand     io.Reader
	timers   Timers
	maxCalls int
	admit    func(Invitation) EndReason
	known    func(peer string) bool
	stop     chan struct{}  // closed when nobody is waited for any more
	running  sync.WaitGroup // one per call and per Incoming

	mu        sync.Mutex
	closed    bool                // guarded by mu, as is all below
	calls     map[string]*Call    // by id, until their stream is closed
	waiting   waitingRoom         // incoming of peers we know, offer not read yet
	strangers waitingRoom         // the same of all others
	crossed   map[string]crossing // own calls lost by glare, by peer
	used      map[string]struct{} // ids seen, at most maxUsed
	usedLog   []string            // the same in order of age
}

type crossing struct {
	id string
	at time.Time
}

// NewManager returns a Manager without calls. Close it.
func NewManager(cfg Config) *Manager {
	m := &Manager{
		log: cfg.Log, rand: cfg.Rand, timers: cfg.Timers, maxCalls: cfg.MaxCalls, admit: cfg.Admit, known: cfg.Known,
		stop:    make(chan struct{}),
		calls:   make(map[string]*Call),
		crossed: make(map[string]crossing),
		used:    make(map[string]struct{}),
	}
	m.timers.setDefaults()
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.rand == nil {
		m.rand = rand.Reader
	}
	if m.maxCalls == 0 {
		m.maxCalls = 100
	}
	if m.admit == nil {
		m.admit = func(Invitation) EndReason { return "" }
	}
	if m.known == nil {
		m.known = func(string) bool { return false }
	}
	return m
}

// NewCallID returns a fresh call id, for bindings that are made over it
// before Dial.
func (m *Manager) NewCallID() (string, error) {
	id, err := m.random(CallIDSize)
	return hex.EncodeToString(id), err
}

func (m *Manager) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(m.rand, b); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return b, nil
}

// Dial calls the peer at the other end of stream and returns once the offer
// is queued. The stream belongs to the call from then on, and is reset on
// error. Errors: ErrMalformed, ErrDuplicate, ErrBusy, ErrClosed.
func (m *Manager) Dial(stream Stream, offer Offer) (*Call, error) {
	c, err := m.dial(stream, offer)
	if err != nil {
		_ = stream.Reset()
		return nil, fmt.Errorf("dial: %w", err)
	}
	return c, nil
}

func (m *Manager) dial(stream Stream, offer Offer) (*Call, error) {
	if offer.CallID == "" {
		id, err := m.NewCallID()
		if err != nil {
			return nil, err
		}
		offer.CallID = id
	}
	c, err := m.newCall(Caller, stream, offer)
	if err != nil {
		return nil, err
	}
	commit := Commit(c.nonce)
	c.exchange.commit = commit[:]
	c.exchange.caller.Nonce = c.nonce
	check := Message{
		V: Version, Type: TypeOffer, CallID: offer.CallID, Certificate: offer.Certificate,
		Binding: offer.Binding, Proof: offer.Proof, SDP: offer.SDP, Commit: commit[:],
	}
	if err := check.check(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.admissibleLocked(offer.CallID, nil); err != nil {
		return nil, err
	}
	m.startLocked(c)
	return c, nil
}

// Incoming takes a stream that a peer has opened, waits for its offer and
// returns the call, which does not ring yet. While other calls are going on
// it returns one more. Glare, busy, Admit's refusals and faults of the peer
// are answered, logged once and returned as an error wrapping ErrRefused and
// the cause; there is nothing left to do then. The stream belongs to the
// Manager in every case.
func (m *Manager) Incoming(stream Stream) (*Call, error) {
	room := &m.strangers
	if m.known(stream.Peer()) {
		room = &m.waiting
	}
	if !m.await(stream, room) {
		_ = stream.Reset()
		return nil, fmt.Errorf("%w: %w", ErrRefused, ErrClosed)
	}
	defer m.running.Done()
	msg, err := m.readOffer(stream)
	if !m.awaited(stream, room) {
		return nil, fmt.Errorf("%w: too many streams without an offer", ErrRefused)
	}
	if err != nil {
		return nil, m.refuse(stream, msg, err)
	}
	c, err := m.invite(stream, msg)
	if err != nil {
		return nil, m.refuse(stream, msg, err)
	}
	return c, nil
}

// await counts a stream whose offer has not come yet; false after Close.
func (m *Manager) await(stream Stream, room *waitingRoom) bool {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return false
	}
	displaced := room.enter(stream)
	m.running.Add(1)
	m.mu.Unlock()
	if displaced != nil {
		_ = displaced.Reset()
	}
	return true
}

// awaited ends what await began; false when the stream was displaced.
func (m *Manager) awaited(stream Stream, room *waitingRoom) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return room.leave(stream)
}

func (m *Manager) readOffer(stream Stream) (Message, error) {
	defer time.AfterFunc(m.timers.Offer, func() { _ = stream.Reset() }).Stop()
	msg, err := ReadMessage(stream)
	if err == nil && msg.Type != TypeOffer {
		err = fmt.Errorf("%w: %q before the offer", ErrUnexpected, msg.Type)
	}
	return msg, err
}

// invite turns an offer into a call, or says why not.
func (m *Manager) invite(stream Stream, msg Message) (*Call, error) {
	offer := Offer{CallID: msg.CallID, Certificate: msg.Certificate, Binding: msg.Binding, Proof: msg.Proof, SDP: msg.SDP}
	rival := m.rival(stream.Peer())
	if rival != nil && rival.ID() < offer.CallID {
		return nil, refusal(ReasonGlare)
	}
	if rival != nil && rival.ID() > offer.CallID {
		_ = rival.End(ReasonGlare) // it may have ended by itself meanwhile
	}
	inv := Invitation{Peer: stream.Peer(), Offer: offer, Replaces: m.replaced(stream.Peer())}
	if reason := m.admit(inv); reason != "" {
		return nil, refusal(reason)
	}
	c, err := m.newCall(Callee, stream, offer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", refusal(ReasonInternal), err)
	}
	c.replaces = inv.Replaces
	c.exchange.commit = msg.Commit
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.admissibleLocked(offer.CallID, rival); err != nil {
		return nil, err
	}
	m.startLocked(c)
	return c, nil
}
