package memnet

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

var errFinished = errors.New("write on a finished stream")

// pipe is one direction of a stream. What is written waits for the writer's
// processor, travels, and waits for the reader's processor.
type pipe struct {
	from, to *conn
	announce *stream // what the reader's end learns of with the first message; nil for answers
	began    *opening

	mu      sync.Mutex
	changed *sync.Cond
	sent    []*message // under way
	// lastArrival is when the last of sent arrives
	lastArrival time.Time
	arrived     []*message // waiting for the reader's processor
	buf         []byte
	eof         bool
	done        bool // the writer has finished
	// Why reading and writing fail.
	readErr, writeErr           error
	readDeadline, writeDeadline time.Time
	alarm                       *time.Timer // at readDeadline
}

// message is what is written before it departs: writes that follow each other at
// once are one.
type message struct {
	data   []byte
	depart time.Time
	fin    bool
}

// opening is how a stream begins, for both of its pipes.
type opening struct {
	mu   sync.Mutex
	text []byte
}

// maxOpening holds the names of a protocol and of the way to agree on it.
const maxOpening = 128

// with returns the opening; the first message is it.
func (o *opening) with(data []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text == nil {
		o.text = append([]byte{}, data[:min(len(data), maxOpening)]...)
	}
	return o.text
}

func newPipe(from, to *conn, began *opening) *pipe {
	p := &pipe{from: from, to: to, began: began}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed.Broadcast()
}

func (p *pipe) write(b []byte) (int, error) {
	if err := p.from.failed(); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.writeErr != nil:
		return 0, p.writeErr
	case p.done:
		return 0, errFinished
	case passed(p.writeDeadline):
		return 0, os.ErrDeadlineExceeded
	}
	p.send(b, false)
	return len(b), nil
}

func passed(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// finish says that nothing more will be written.
func (p *pipe) finish() error {
	if err := p.from.failed(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writeErr != nil {
		return p.writeErr
	}
	if !p.done {
		p.done = true
		p.send(nil, true)
	}
	return nil
}

// send queues data, or adds it to the message that has not departed yet.
func (p *pipe) send(data []byte, fin bool) {
	if n := len(p.sent); n > 0 && p.sent[n-1].depart.After(time.Now()) {
		last := p.sent[n-1]
		if len(data) > 0 && !p.from.free {
			p.tell(data, len(last.data) > 0)
		}
		last.data, last.fin = append(last.data, data...), fin
		return
	}
	h := p.from.t.host
	m := &message{data: append([]byte(nil), data...), fin: fin, depart: h.charge(p.cost(data), p.from.free)}
	p.sent = append(p.sent, m)
	if len(data) > 0 && !p.from.free {
		h.note(func(c *Count) { c.Sent++ })
		p.tell(data, false)
	}
	// What was lost holds up what follows it.
	to := p.to.t.host.addr
	at := m.depart.Add(h.net.links.latency(h.addr, to) + h.net.links.late(h.addr, to))
	if at.Before(p.lastArrival) {
		at = p.lastArrival
	}
	p.lastArrival = at
	time.AfterFunc(time.Until(at), p.arrive)
}

func (p *pipe) tell(data []byte, more bool) {
	from := p.from.t.host
	from.net.tell(Packet{From: from.addr, To: p.to.t.host.addr, Data: data, Opening: p.began.with(data), More: more})
}

// cost of a message; the end of a stream rides on others.
func (p *pipe) cost(data []byte) time.Duration {
	if len(data) == 0 {
		return 0
	}
	return p.from.t.host.net.costs.Message
}

// arrive takes the oldest message under way in; messages do not overtake each other.
func (p *pipe) arrive() {
	h := p.to.t.host
	dead := h.isDead()
	if dead {
		p.to.undeliverable()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.sent[0]
	p.sent = p.sent[1:]
	if dead {
		return
	}
	p.arrived = append(p.arrived, m)
	if len(m.data) > 0 && !p.to.free {
		h.note(func(c *Count) { c.Received++ })
	}
	time.AfterFunc(time.Until(h.charge(p.cost(m.data), p.to.free)), p.take)
}

// take makes the oldest message that arrived readable.
func (p *pipe) take() {
	p.mu.Lock()
	m := p.arrived[0]
	p.arrived = p.arrived[1:]
	if p.readErr == nil {
		p.buf = append(p.buf, m.data...)
		p.eof = m.fin
	}
	s := p.announce
	p.announce = nil
	p.changed.Broadcast()
	p.mu.Unlock()
	if s != nil {
		_ = p.to.add(s, true)
	}
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if n, err := p.ready(b); n > 0 || err != nil {
			return n, err
		}
		p.changed.Wait()
	}
}

func (p *pipe) ready(b []byte) (int, error) {
	if p.readErr != nil {
		return 0, p.readErr
	}
	if n := copy(b, p.buf); n > 0 {
		if p.buf = p.buf[n:]; len(p.buf) == 0 {
			p.buf = nil
		}
		return n, nil
	}
	if p.eof {
		return 0, io.EOF
	}
	if err := p.to.failed(); err != nil {
		return 0, err
	}
	if passed(p.readDeadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return 0, nil
}

// cancelRead: the reader wants no more; the writer learns it later.
func (p *pipe) cancelRead(code network.StreamErrorCode) {
	p.fail(&p.readErr, &network.StreamError{ErrorCode: code})
	p.from.t.host.net.carry(p.to.t.host.addr, p.from.t.host.addr, func() {
		p.fail(&p.writeErr, &network.StreamError{ErrorCode: code, Remote: true})
	})
}

// cancelWrite: the writer gives up; the reader learns it later.
func (p *pipe) cancelWrite(code network.StreamErrorCode) {
	p.fail(&p.writeErr, &network.StreamError{ErrorCode: code})
	p.from.t.host.net.carry(p.from.t.host.addr, p.to.t.host.addr, func() {
		p.fail(&p.readErr, &network.StreamError{ErrorCode: code, Remote: true})
	})
}

// fail sets an error that is not set yet.
func (p *pipe) fail(which *error, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *which == nil {
		*which = err
	}
	if p.readErr != nil {
		p.buf = nil
		p.stopAlarm()
	}
	p.changed.Broadcast()
}

func (p *pipe) setReadDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopAlarm()
	if p.readDeadline = t; !t.IsZero() {
		p.alarm = time.AfterFunc(time.Until(t), p.wake)
	}
	p.changed.Broadcast()
}

func (p *pipe) stopAlarm() {
	if p.alarm != nil {
		p.alarm.Stop()
	}
}

func (p *pipe) setWriteDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeDeadline = t
}
