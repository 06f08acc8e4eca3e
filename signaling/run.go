package signaling

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// run is the life of a call's three goroutines: one reads the stream, one
// writes it, one hands events to the phone. It returns when all are done;
// onQuiet is called once the call has ended and its stream is closed.
func (c *Call) run(onQuiet func()) {
	delivered := make(chan struct{})
	go func() {
		defer close(c.readDone)
		c.read()
	}()
	go func() {
		defer close(delivered)
		c.deliver()
	}()
	c.write()
	onQuiet()
	<-delivered
}

// read feeds the machine from the stream until the stream ends or the peer
// sends something it must not.
func (c *Call) read() {
	for {
		m, err := ReadMessage(c.stream)
		if err == nil {
			err = c.receive(m)
		}
		if err != nil {
			c.readFailed(err)
			return
		}
	}
}

// readFailed tells a fault of the peer from a broken stream.
func (c *Call) readFailed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Phase == PhaseEnded {
		return
	}
	in := Input{Kind: OnStreamLost}
	if reason := reasonOf(err); reason != ReasonLost {
		in = Input{Kind: OnBadMessage, Reason: reason}
		if c.state.Phase == PhaseLive {
			c.detail = err.Error()
		}
	}
	c.fault = errors.Join(c.fault, err)
	_ = c.feedLocked(in, Message{})
}

// receive takes one message. An error is a fault of the peer that ends the
// call; a message that only comes at the wrong moment is logged and dropped.
func (c *Call) receive(m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.received++; c.received > maxMessages {
		return fmt.Errorf("%w: more than %d in one call", ErrFlood, maxMessages)
	}
	switch m.Type {
	case TypeRinging:
		return c.receiveAnswer(m, OnRemoteRinging)
	case TypeAccept:
		return c.receiveAnswer(m, OnRemoteAccept)
	case TypeReveal:
		return c.receiveReveal(m)
	case TypeCandidate:
		if c.remote++; c.remote > maxCandidates {
			return fmt.Errorf("%w: more than %d candidates", ErrFlood, maxCandidates)
		}
		_ = c.feedLocked(Input{Kind: OnRemoteCandidate}, m)
	case TypeHold:
		_ = c.feedLocked(Input{Kind: OnRemoteHold}, m)
	case TypeResume:
		_ = c.feedLocked(Input{Kind: OnRemoteResume}, m)
	case TypeEnd:
		if c.state.Phase == PhaseLive {
			c.detail = m.Text
		}
		_ = c.feedLocked(Input{Kind: OnRemoteEnd, Reason: m.Reason.understood()}, m)
	case TypeOffer:
		_ = c.feedLocked(Input{Kind: OnOffer}, m)
	default:
		c.log.Debug("message of unknown type skipped", slog.Any("message", m))
	}
	return nil
}

// receiveAnswer (caller) learns the callee's parts, each of them once.
func (c *Call) receiveAnswer(m Message, kind InputKind) error {
	if c.role != Caller || c.state.Phase != PhaseLive || c.state.Accepted {
		_ = c.feedLocked(Input{Kind: kind}, m)
		return nil
	}
	fresh := len(m.Nonce) > 0 && !c.exchange.nonceKnown()
	if len(m.Nonce) > 0 && !fresh && !bytes.Equal(m.Nonce, c.exchange.callee.Nonce) ||
		changes(c.answer.Certificate, m.Certificate) || changes(c.answer.Binding, m.Binding) || changes(c.answer.SDP, m.SDP) {
		return fmt.Errorf("%w: %s changes what was said before", ErrMalformed, m.Type)
	}
	c.answer = Answer{
		Certificate: firstBytes(c.answer.Certificate, m.Certificate),
		Binding:     firstBytes(c.answer.Binding, m.Binding),
		SDP:         firstBytes(c.answer.SDP, m.SDP),
	}
	if fresh {
		c.exchange.callee = Party{Certificate: m.Certificate, Binding: m.Binding, Nonce: m.Nonce}
	}
	if kind == OnRemoteAccept && (!c.exchange.nonceKnown() || len(c.answer.SDP) == 0) {
		return fmt.Errorf("%w: accept without certificate, binding, nonce or sdp", ErrMalformed)
	}
	_ = c.feedLocked(Input{Kind: kind}, m)
	if fresh {
		_ = c.feedLocked(Input{Kind: OnAuthentic}, m)
	}
	return nil
}

func changes(known, fresh []byte) bool {
	return len(known) > 0 && len(fresh) > 0 && !bytes.Equal(known, fresh)
}

// receiveReveal (callee) learns the caller's nonce, once, after its own was sent.
func (c *Call) receiveReveal(m Message) error {
	if c.role != Callee || !c.identity {
		return fmt.Errorf("%w: reveal", ErrUnexpected)
	}
	if _, known := c.exchange.sas(); known {
		c.log.Debug("reveal said twice")
		return nil
	}
	if err := c.exchange.reveal(m.Nonce); err != nil {
		return err
	}
	_ = c.feedLocked(Input{Kind: OnAuthentic}, m)
	return nil
}

// write sends the queued frames, and at the end closes the stream. After a
// failed write the rest is dropped, but the reader gets the time of TimerEnding
// before the stream is reset: a peer that has left may have said why, and that
// is still on its way. The same bound makes the reader leave at the end.
func (c *Call) write() {
	broken := false
	for frame := range c.out {
		if broken {
			continue
		}
		if c.guarded(func() error { _, err := c.stream.Write(frame); return err }) != nil {
			broken = true
			c.resetLater()
		}
	}
	if !broken {
		_ = c.guarded(c.stream.Close)
	}
	leave := c.resetLater()
	<-c.readDone
	leave.Stop()
}

func (c *Call) resetLater() *time.Timer {
	return time.AfterFunc(c.timers.Ending, func() { _ = c.stream.Reset() })
}

// guarded bounds an operation on the stream by resetting the stream under it.
func (c *Call) guarded(operation func() error) error {
	defer time.AfterFunc(c.timers.Write, func() { _ = c.stream.Reset() }).Stop()
	return operation()
}

// deliver hands the events over at the phone's pace. The queue is bounded by
// what a peer may send. When the Manager stops, nobody is waited for.
func (c *Call) deliver() {
	defer close(c.events)
	for {
		c.mu.Lock()
		batch := c.pending
		c.pending = nil
		over := c.state.Phase == PhaseEnded
		c.mu.Unlock()
		for _, ev := range batch {
			select {
			case c.events <- ev:
			case <-c.stop:
				return
			}
		}
		if over {
			return
		}
		select {
		case <-c.wake:
		case <-c.stop:
			return
		}
	}
}
