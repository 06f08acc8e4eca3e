package signaling

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Bounds of what one call may cost.
const (
	maxMessages   = 1024 // messages read from the peer in one call
	maxCandidates = 64   // candidates from each end
	maxQueue      = 128  // frames waiting for a peer that does not read
)

// Stream is the byte stream a call runs on. Close ends both directions after
// what was written has been delivered, and wakes a waiting Read; Reset drops
// everything at once and wakes a waiting Write too.
type Stream interface {
	io.ReadWriteCloser
	Reset() error
	// Peer names the device at the other end; it is what glare is settled by.
	Peer() string
}

// Offer is what the caller shows of itself: its device certificate, the
// binding of its media fingerprint to the device key, perhaps a proof that the
// callee gave it leave to call, and the SDP offer, all opaque here. An empty
// CallID is filled in by Dial.
type Offer struct {
	CallID                           string
	Certificate, Binding, Proof, SDP []byte
}

// Call is one call. Its methods may be used by any goroutine and never wait.
type Call struct {
	role     Role
	peer     string
	replaces string
	offer    Offer
	stream   Stream
	timers   Timers
	log      *slog.Logger
	begun    time.Time

	out      chan []byte   // frames for the writer; closed at the end
	events   chan Event    // closed by the deliverer after Ended
	wake     chan struct{} // tells the deliverer that pending grew
	stop     <-chan struct{}
	readDone chan struct{}

	mu       sync.Mutex
	state    State       // guarded by mu, as is all below
	timer    *time.Timer // the one timer of the state
	exchange exchange    // commit and reveal
	nonce    []byte      // this end's own
	answer   Answer      // the callee's, as far as it is known
	identity bool        // callee: certificate, binding and nonce were sent
	sdpSent  bool        // callee: the SDP was sent
	received int         // messages from the peer
	remote   int         // candidates from the peer
	local    int         // candidates to the peer
	detail   string      // sentence for the end
	fault    error       // what went wrong, for the closing line
	pending  []Event     // for the deliverer
}

// ID is the call id, the same at both ends.
func (c *Call) ID() string { return c.offer.CallID }

// Role says whether this end called or was called.
func (c *Call) Role() Role { return c.role }

// Peer is the stream's name of the device at the other end.
func (c *Call) Peer() string { return c.peer }

// Offer is the caller's offer; its slices must not be changed.
func (c *Call) Offer() Offer { return c.offer }

// Replaces is the id of this end's own call to the same peer that lost
// against this incoming one (glare), or "". Both people wanted this call.
func (c *Call) Replaces() string { return c.replaces }

// Events gives what happens, in order; closed after Ended.
func (c *Call) Events() <-chan Event { return c.events }

// State returns the state at this moment.
func (c *Call) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// SAS returns the short authentication string, false until it is known.
func (c *Call) SAS() (SAS, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exchange.sas()
}

// Ringing (callee) tells the caller that this phone rings. The answer may be
// empty, or without its SDP, when the caller is not to learn it yet.
func (c *Call) Ringing(a Answer) error { return c.reply(TypeRinging, OnRing, a) }

// Accept (callee) accepts the call; the answer completes what Ringing gave.
// Parts that were given to Ringing are not sent again.
func (c *Call) Accept(a Answer) error { return c.reply(TypeAccept, OnAccept, a) }

// Reject (callee, before accept) refuses the call; "" means declined.
func (c *Call) Reject(reason EndReason) error {
	if s := c.State(); s.Role != Callee || s.Accepted {
		return fmt.Errorf("reject: %w", ErrUnexpected)
	}
	if reason == "" {
		reason = ReasonDeclined
	}
	return c.End(reason)
}

// Hangup ends the call: cancelled by the caller or declined by the callee
// before accept, hangup after it.
func (c *Call) Hangup() error {
	switch s := c.State(); {
	case s.Accepted:
		return c.End(ReasonHangup)
	case s.Role == Caller:
		return c.End(ReasonCancelled)
	default:
		return c.End(ReasonDeclined)
	}
}

// End ends the call for a reason of this end's own finding.
func (c *Call) End(reason EndReason) error {
	if !reason.Known() {
		return fmt.Errorf("end the call: %q is no end reason", reason)
	}
	return c.feed(Input{Kind: OnEnd, Reason: reason})
}

// Hold tells the peer that this end holds the call (true) or resumes it.
func (c *Call) Hold(held bool) error {
	if held {
		return c.feed(Input{Kind: OnHold})
	}
	return c.feed(Input{Kind: OnResume})
}

// SendCandidate sends one candidate of this end, at most 64 of 2 kB each; the
// bytes are copied. Candidates of a stranger's callee are not to be sent
// before accept: that is the phone's decision.
func (c *Call) SendCandidate(candidate []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.local++; c.local > maxCandidates {
		return fmt.Errorf("send candidate: %w", ErrFlood)
	}
	m := Message{V: Version, Type: TypeCandidate, Candidate: candidate}
	if err := m.check(); err != nil {
		return fmt.Errorf("send candidate: %w", err)
	}
	return c.feedLocked(Input{Kind: OnCandidate}, m)
}

// PathUp says that media is connected and the peer's media key is verified.
func (c *Call) PathUp() { c.inform(OnPathUp) }

// PathLost says that the media path is silent; it may return (PathUp).
func (c *Call) PathLost() { c.inform(OnPathLost) }

// PathClosed says that the peer has closed the media path.
func (c *Call) PathClosed() { c.inform(OnPathClosed) }

// inform feeds a fact; one that means nothing now is logged by feed.
func (c *Call) inform(kind InputKind) { _ = c.feed(Input{Kind: kind}) }

// reply builds ringing and accept: each part of the answer is sent once, and
// the nonce goes where certificate and binding go.
func (c *Call) reply(t MessageType, kind InputKind, a Answer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	merged := Answer{
		Certificate: firstBytes(c.answer.Certificate, a.Certificate),
		Binding:     firstBytes(c.answer.Binding, a.Binding),
		SDP:         firstBytes(c.answer.SDP, a.SDP),
	}
	m := Message{V: Version, Type: t}
	hasIdentity := len(merged.Certificate) > 0 && len(merged.Binding) > 0
	if hasIdentity && !c.identity {
		m.Certificate, m.Binding, m.Nonce = merged.Certificate, merged.Binding, c.nonce
	}
	if !c.sdpSent {
		m.SDP = merged.SDP
	}
	if err := m.check(); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	if t == TypeAccept && (!hasIdentity || len(merged.SDP) == 0) {
		return fmt.Errorf("accept: %w: certificate, binding and sdp are needed", ErrMalformed)
	}
	if err := c.feedLocked(Input{Kind: kind}, m); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	c.answer = merged
	c.sdpSent = c.sdpSent || len(m.SDP) > 0
	if len(m.Nonce) > 0 {
		c.identity = true
		c.exchange.callee = Party{Certificate: m.Certificate, Binding: m.Binding, Nonce: m.Nonce}
	}
	return nil
}

func firstBytes(known, fresh []byte) []byte {
	if len(known) > 0 {
		return known
	}
	return bytes.Clone(fresh)
}

func (c *Call) feed(in Input) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.feedLocked(in, Message{})
}

// feedLocked runs the machine and performs its actions in order. m is the
// message that belongs to the input, read or to be sent.
func (c *Call) feedLocked(in Input, m Message) error {
	if c.state.Phase >= PhaseEnding && in.Kind <= OnCandidate {
		return ErrEnded
	}
	before := c.state
	next, actions := Next(before, in)
	c.state = next
	var err error
	for _, a := range actions {
		switch a.Kind {
		case DoSend:
			c.sendLocked(a.Message, m)
		case DoEmit:
			c.emitLocked(a.Emit, m)
		case DoArm:
			c.armLocked(a.Timer)
		case DoSurprise:
			c.log.Debug("input without meaning", slog.String("input", in.Kind.String()), slog.String("state", before.String()))
			err = fmt.Errorf("%w: %s while %s", ErrUnexpected, in.Kind, before.Name())
		}
	}
	if next.Phase == PhaseEnded && before.Phase != PhaseEnded {
		c.finishLocked()
	}
	return err
}

func (c *Call) sendLocked(t MessageType, m Message) {
	switch t {
	case TypeOffer:
		m = Message{
			CallID: c.offer.CallID, Certificate: c.offer.Certificate, Binding: c.offer.Binding,
			Proof: c.offer.Proof, SDP: c.offer.SDP, Commit: c.exchange.commit,
		}
	case TypeReveal:
		m = Message{Nonce: c.nonce}
	case TypeEnd:
		m = Message{Reason: c.state.Reason}
		if !c.state.Remote {
			m.Text = printable(c.detail)
		}
	case TypeRinging, TypeAccept, TypeCandidate: // built by the method that asked
	case TypeHold, TypeResume: // no body
	}
	m.Type = t
	frame, err := m.frame()
	if err != nil { // all parts were checked on their way in
		panic("bug: unsendable call message: " + err.Error())
	}
	select {
	case c.out <- frame:
	default: // the peer does not read: the stream is as good as broken
		c.fault = errors.Join(c.fault, errors.New("the peer does not read its messages"))
		_ = c.stream.Reset()
	}
}

func (c *Call) emitLocked(e Emission, m Message) {
	var ev Event
	switch e {
	case EmitRinging:
		ev = RemoteRinging{Answer: c.answer}
	case EmitAccepted:
		ev = RemoteAccepted{Answer: c.answer}
	case EmitCandidate:
		ev = RemoteCandidate{Candidate: m.Candidate}
	case EmitHold:
		ev = RemoteHold{Held: c.state.RemoteHeld}
	case EmitSAS:
		sas, _ := c.exchange.sas()
		ev = SASReady{SAS: sas}
	case EmitStart:
		ev = Start{}
	case EmitStopping:
		ev = Stopping{Reason: c.state.Reason}
	case EmitEnded:
		ev = Ended{Reason: c.state.Reason, Remote: c.state.Remote, Detail: c.detail}
	}
	c.pending = append(c.pending, ev)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// armLocked replaces the running timer. A timer that fired while the lock was
// held sees that it is not the current one any more.
func (c *Call) armLocked(t Timer) {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if t == TimerNone {
		return
	}
	var own *time.Timer
	own = time.AfterFunc(c.timers.of(t), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timer == own {
			_ = c.feedLocked(Input{Kind: OnTimeout, Timer: t}, Message{})
		}
	})
	c.timer = own
}

// finishLocked closes the writer's queue. Its closing line is for debugging: the
// user of the Manager knows what the end means, and says so once.
func (c *Call) finishLocked() {
	close(c.out)
	attrs := []any{
		slog.String("reason", string(c.state.Reason)), slog.Bool("remote", c.state.Remote),
		slog.Duration("after", time.Since(c.begun)),
	}
	if c.fault != nil {
		attrs = append(attrs, slog.Any("fault", c.fault))
	}
	c.log.Debug("call ended", attrs...)
}

// live reports whether the call still counts against MaxCalls.
func (c *Call) live() bool { return c.State().Phase != PhaseEnded }
