package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"
)

// follower reads the event stream of one daemon and keeps what it told.
type follower struct {
	cut   context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every event
	stat    Status
	calls   map[string]Call // newest state of each
	seen    []Seen
}

// Seen is a state that a call was in at a moment.
type Seen struct {
	At   time.Time
	Call Call
}

// followEvents opens the stream and waits for its first line, which is the whole
// present state.
func (d *Daemon) followEvents() (*follower, error) {
	ctx, cut := context.WithCancel(context.Background())
	f := &follower{
		cut:     cut,
		ended:   make(chan struct{}),
		changed: make(chan struct{}),
		calls:   make(map[string]Call),
	}
	lines, err := d.events(ctx)
	if err != nil {
		cut()
		return nil, err
	}
	first := f.change()
	go f.read(lines)
	select {
	case <-first:
		return f, nil
	case <-f.ended:
		return f, errors.New("the event stream ended before its first line")
	case <-time.After(patience):
		return f, fmt.Errorf("the event stream told nothing for %v", patience)
	}
}

func (f *follower) read(stream io.ReadCloser) {
	defer close(f.ended)
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			f.take(e)
		}
	}
}

func (f *follower) take(e event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.State != nil {
		f.stat = e.State.Status
		for _, c := range e.State.Calls {
			f.calls[c.ID] = c
		}
	}
	if e.Status != nil {
		f.stat = *e.Status
	}
	if e.Call != nil {
		f.calls[e.Call.ID] = *e.Call
		f.seen = append(f.seen, Seen{e.Time, *e.Call})
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *follower) change() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *follower) status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stat
}

// find returns a call that fits.
func (f *follower) find(fits func(Call) bool) (Call, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if fits(c) {
			return c, true
		}
	}
	return Call{}, false
}

func (f *follower) end() {
	if f == nil {
		return
	}
	f.cut()
	<-f.ended // it usually ended with its daemon
}

// AwaitCall waits until one of the daemon's calls fits.
func (d *Daemon) AwaitCall(t testing.TB, what string, fits func(Call) bool) Call {
	t.Helper()
	c, err := d.CallWithin(patience, fits)
	if err != nil {
		t.Fatalf("%s: %v, waiting for: %s; calls: %+v", d.opt.Name, err, what, d.Calls())
	}
	return c
}

// CallWithin is AwaitCall with a limit, for whoever expects that it can fail, and
// for other goroutines than the test's.
func (d *Daemon) CallWithin(limit time.Duration, fits func(Call) bool) (Call, error) {
	over := time.NewTimer(limit)
	defer over.Stop()
	for {
		changed := d.follow.change()
		if c, ok := d.follow.find(fits); ok {
			return c, nil
		}
		select {
		case <-changed:
		case <-d.ended:
			return Call{}, errors.New("the daemon ended")
		case <-over.C:
			return Call{}, fmt.Errorf("no such call within %v", limit)
		}
	}
}

// AwaitState waits until a call of the given direction is in a state.
func (d *Daemon) AwaitState(t testing.TB, direction, state string) Call {
	t.Helper()
	return d.AwaitCall(t, "an "+direction+" call is "+state, func(c Call) bool {
		return c.Direction == direction && c.State == state
	})
}

// AwaitEnd waits until a call is over.
func (d *Daemon) AwaitEnd(t testing.TB, id string) Call {
	t.Helper()
	return d.AwaitCall(t, "call "+id+" ends", func(c Call) bool { return c.ID == id && c.State == "ended" })
}

// Calls are the newest states of all calls since the daemon was started.
func (d *Daemon) Calls() []Call {
	d.follow.mu.Lock()
	defer d.follow.mu.Unlock()
	var all []Call
	for _, c := range d.follow.calls {
		all = append(all, c)
	}
	return all
}

// History is every state of every call, in the order told.
func (d *Daemon) History() []Seen {
	d.follow.mu.Lock()
	defer d.follow.mu.Unlock()
	return append([]Seen(nil), d.follow.seen...)
}

// AwaitNoCall waits until all calls are over.
func (d *Daemon) AwaitNoCall(t testing.TB) {
	t.Helper()
	limit := time.After(patience)
	for {
		changed := d.follow.change()
		if _, live := d.follow.find(func(c Call) bool { return c.State != "ended" }); !live {
			return
		}
		select {
		case <-changed:
		case <-d.ended:
			return
		case <-limit:
			t.Fatalf("%s: a call does not end: %+v", d.opt.Name, d.Calls())
		}
	}
}
