// Package signalingtest joins two ends of a call in memory. A link delivers
// bytes in order after a fixed delay, holds back a writer whose reader does
// not read, and can be broken (both ends notice) or stalled (nobody does).
// All waiting is on channels and timers, so it runs in virtual time.
package signalingtest

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Window is how many bytes a writer may be ahead of its reader; the largest
// call message fits.
const Window = 64<<10 + 4

var (
	// ErrReset is what both ends see after Reset of either.
	ErrReset = errors.New("stream reset")
	// ErrBroken is what both ends see after Break.
	ErrBroken = errors.New("link broken")
)

// Link is the wire between two ends.
type Link struct {
	delay time.Duration

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes
	pipes   [2]pipe       // by writer
	stalled bool
	failed  error
}

// pipe is one direction.
type pipe struct {
	chunks     []chunk
	size       int  // bytes in chunks
	closed     bool // by the writer: end of file after the chunks
	readClosed bool // by the reader: nothing is wanted any more
}

type chunk struct {
	due  time.Time
	data []byte
}

// End is one end of a Link, a signaling.Stream.
type End struct {
	link *Link
	side int
	peer string
}

// NewLink returns a link and its ends. The first end believes to speak with
// secondName, the second with firstName. Delay is one way.
func NewLink(delay time.Duration, firstName, secondName string) (*Link, *End, *End) {
	l := &Link{delay: delay, changed: make(chan struct{})}
	return l, &End{link: l, side: 0, peer: secondName}, &End{link: l, side: 1, peer: firstName}
}

// Break fails both ends at once; bytes on the way are gone.
func (l *Link) Break() { l.fail(ErrBroken) }

// Stall lets nothing through any more, and tells nobody.
func (l *Link) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled = true
	l.changeLocked()
}

func (l *Link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
		l.changeLocked()
	}
}

func (l *Link) changeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Peer names the other end.
func (e *End) Peer() string { return e.peer }

// Read waits for bytes that are due.
func (e *End) Read(b []byte) (int, error) {
	in := &e.link.pipes[1-e.side]
	for {
		n, wait, changed, err := e.link.tryRead(in, b)
		if n > 0 || err != nil {
			return n, err
		}
		await(changed, wait)
	}
}

// tryRead returns bytes, an error, or how long to wait (0: for a change).
func (l *Link) tryRead(in *pipe, b []byte) (n int, wait time.Duration, changed <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.failed != nil:
		return 0, 0, nil, l.failed
	case in.readClosed:
		return 0, 0, nil, io.ErrClosedPipe
	case l.stalled, len(in.chunks) == 0 && !in.closed:
		return 0, 0, l.changed, nil
	case len(in.chunks) == 0:
		return 0, 0, nil, io.EOF
	}
	head := &in.chunks[0]
	if wait = time.Until(head.due); wait > 0 {
		return 0, wait, l.changed, nil
	}
	n = copy(b, head.data)
	in.size -= n
	if head.data = head.data[n:]; len(head.data) == 0 {
		in.chunks = in.chunks[1:]
	}
	l.changeLocked()
	return n, 0, nil, nil
}

func await(changed <-chan struct{}, wait time.Duration) {
	if wait == 0 {
		<-changed
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// Write queues a copy of b, of at most Window bytes; it waits while the reader
// is that far behind.
func (e *End) Write(b []byte) (int, error) {
	l, out := e.link, &e.link.pipes[e.side]
	for {
		l.mu.Lock()
		var err error
		switch {
		case l.failed != nil:
			err = l.failed
		case out.closed, out.readClosed:
			err = io.ErrClosedPipe
		case out.size+len(b) <= Window:
			out.chunks = append(out.chunks, chunk{due: time.Now().Add(l.delay), data: append([]byte(nil), b...)})
			out.size += len(b)
			l.changeLocked()
			l.mu.Unlock()
			return len(b), nil
		}
		changed := l.changed
		l.mu.Unlock()
		if err != nil {
			return 0, err
		}
		<-changed
	}
}

// Close lets the other end read what was written and then end of file; this
// end reads nothing any more.
func (e *End) Close() error {
	l := e.link
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pipes[e.side].closed = true
	l.pipes[1-e.side].readClosed = true
	l.changeLocked()
	return nil
}

// Reset fails both ends at once.
func (e *End) Reset() error {
	e.link.fail(ErrReset)
	return nil
}
