package signaling

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// newCall prepares a call that is not known to anybody yet.
func (m *Manager) newCall(role Role, stream Stream, offer Offer) (*Call, error) {
	nonce, err := m.random(NonceSize)
	if err != nil {
		return nil, err
	}
	return &Call{
		role: role, peer: stream.Peer(), offer: offer, stream: stream, nonce: nonce,
		timers: m.timers, begun: time.Now(), stop: m.stop,
		log:      m.log.With(slog.String("call", offer.CallID), slog.String("peer", stream.Peer()), slog.String("role", role.String())),
		out:      make(chan []byte, maxQueue),
		events:   make(chan Event),
		wake:     make(chan struct{}, 1),
		readDone: make(chan struct{}),
		state:    State{Role: role},
		exchange: exchange{
			callID: offer.CallID,
			caller: Party{Certificate: offer.Certificate, Binding: offer.Binding},
		},
	}, nil
}

// admissibleLocked says whether one more call may begin; loser is a call that
// is leaving by glare and does not count.
func (m *Manager) admissibleLocked(id string, loser *Call) error {
	if m.closed {
		return ErrClosed
	}
	if _, seen := m.used[id]; seen {
		return fmt.Errorf("%w: %s", ErrDuplicate, id)
	}
	live := 0
	for _, c := range m.calls {
		if c != loser && c.live() {
			live++
		}
	}
	if live >= m.maxCalls {
		return fmt.Errorf("%w: %d", ErrBusy, live)
	}
	return nil
}

// startLocked makes the call known and lets it run.
func (m *Manager) startLocked(c *Call) {
	m.calls[c.ID()] = c
	m.used[c.ID()] = struct{}{}
	m.usedLog = append(m.usedLog, c.ID())
	if len(m.usedLog) > maxUsed {
		delete(m.used, m.usedLog[0])
		m.usedLog = m.usedLog[1:]
	}
	_ = c.feed(Input{Kind: OnOffer}) // nothing can be surprising in Idle but a second offer
	m.running.Add(1)
	go func() {
		defer m.running.Done()
		c.run(func() { m.forget(c) })
	}()
}

// forget drops a call whose stream is closed, and remembers for a while if it
// was lost by glare.
func (m *Manager) forget(c *Call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.calls, c.ID())
	now := time.Now()
	for peer, lost := range m.crossed {
		if now.Sub(lost.at) > crossedFor {
			delete(m.crossed, peer)
		}
	}
	if lostByGlare(c) {
		m.crossed[c.peer] = crossing{id: c.ID(), at: now}
	}
}

// rival is this end's own call to the peer that has not been accepted yet:
// the two are calling each other. The lower call id goes on, at both ends.
func (m *Manager) rival(peer string) *Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lowest *Call
	for _, c := range m.calls {
		s := c.State()
		if c.role == Caller && c.peer == peer && s.Phase == PhaseLive && !s.Accepted &&
			(lowest == nil || c.ID() < lowest.ID()) {
			lowest = c
		}
	}
	return lowest
}

// replaced is the id of the own call to the peer that has just lost by glare.
func (m *Manager) replaced(peer string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.calls {
		if c.peer == peer && lostByGlare(c) {
			return c.ID()
		}
	}
	if lost, ok := m.crossed[peer]; ok && time.Since(lost.at) <= crossedFor {
		return lost.id
	}
	return ""
}

func lostByGlare(c *Call) bool {
	return c.role == Caller && c.State().Reason == ReasonGlare
}

// refuse answers an incoming stream that does not become a call, logs it once
// and gives the error for Incoming.
func (m *Manager) refuse(stream Stream, msg Message, cause error) error {
	reason, level := reasonOf(cause), slog.LevelInfo
	if reason == ReasonProtocolError || reason == ReasonUnsupportedVersion {
		level = slog.LevelWarn
	}
	m.log.LogAttrs(context.Background(), level, "incoming call refused",
		slog.String("peer", stream.Peer()), slog.String("call", msg.CallID),
		slog.String("reason", string(reason)), slog.Any("cause", cause))
	defer time.AfterFunc(m.timers.Ending, func() { _ = stream.Reset() }).Stop()
	end := Message{Type: TypeEnd, Reason: reason, Text: printable(cause.Error())}
	if reason == ReasonLost || WriteMessage(stream, end) != nil || stream.Close() != nil {
		_ = stream.Reset() // there is nobody to tell
	}
	return fmt.Errorf("%w: %s: %w", ErrRefused, reason, cause)
}

// Close ends all calls with reason shutdown and waits until nothing of the
// Manager runs any more: at the latest the Ending timer and a second later it
// stops waiting for peers and for readers of Events. It may be called twice.
func (m *Manager) Close() error {
	m.mu.Lock()
	first := !m.closed
	m.closed = true
	calls := make([]*Call, 0, len(m.calls))
	for _, c := range m.calls {
		calls = append(calls, c)
	}
	for _, stream := range slices.Concat(m.waiting, m.strangers) {
		_ = stream.Reset()
	}
	m.mu.Unlock()
	if !first {
		m.running.Wait()
		return nil
	}
	for _, c := range calls {
		_ = c.End(ReasonShutdown) // ErrEnded is as good
	}
	defer time.AfterFunc(m.timers.Ending+time.Second, func() {
		for _, c := range calls {
			_ = c.stream.Reset()
		}
		close(m.stop)
	}).Stop()
	m.running.Wait()
	return nil
}
