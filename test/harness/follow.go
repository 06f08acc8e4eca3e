package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// follower is a "peerd events --json" of one daemon and what it has told.
type follower struct {
	cmd   *exec.Cmd
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

// followEvents starts the command and waits for its first line, which is the
// whole present state.
func (d *Daemon) followEvents() (*follower, error) {
	f := &follower{
		cmd:     d.command("events", "--json"),
		ended:   make(chan struct{}),
		changed: make(chan struct{}),
		calls:   make(map[string]Call),
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := launch(f.cmd); err != nil {
		return nil, err
	}
	first := f.change()
	go f.read(out)
	select {
	case <-first:
		return f, nil
	case <-f.ended:
		return f, fmt.Errorf("peerd events ended with exit code %d", f.cmd.ProcessState.ExitCode())
	case <-time.After(patience):
		return f, fmt.Errorf("peerd events printed nothing for %v", patience)
	}
}

func (f *follower) read(out io.Reader) {
	defer close(f.ended)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			f.take(e)
		}
	}
	_ = f.cmd.Wait() // the exit code says it all
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
	_ = f.cmd.Process.Kill() // it usually ended with its daemon
	<-f.ended
}

// AwaitCall waits until one of the daemon's calls fits.
func (d *Daemon) AwaitCall(t testing.TB, what string, fits func(Call) bool) Call {
	t.Helper()
	limit := time.After(patience)
	for {
		changed := d.follow.change()
		if c, ok := d.follow.find(fits); ok {
			return c
		}
		select {
		case <-changed:
		case <-d.ended:
			t.Fatalf("%s ended while waiting for: %s", d.opt.Name, what)
		case <-limit:
			t.Fatalf("%s: not within %v: %s; calls: %+v", d.opt.Name, patience, what, d.Calls())
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
