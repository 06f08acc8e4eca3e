// Package e2e_test holds the tests of the built program: several daemons as
// processes of their own, the real command line, real sound in files. The
// names of the tests are the list of what a call can do.
package e2e_test

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// talk is how long people talk in these tests, by what they hear.
const talk = 4 * time.Second

// voices of the people in these tests, made once.
var (
	aliceSays = sync.OnceValue(func() []int16 { return harness.Voice(20, 1) })
	bobSays   = sync.OnceValue(func() []int16 { return harness.Voice(20, 2) })
	carolSays = sync.OnceValue(func() []int16 { return harness.Voice(20, 3) })
)

func alice() harness.Options {
	return harness.Options{Name: "alice", Speak: aliceSays(), Record: true}
}

func bob() harness.Options {
	return harness.Options{Name: "bob", Speak: bobSays(), Record: true}
}

func carol() harness.Options {
	return harness.Options{Name: "carol", Speak: carolSays(), Record: true}
}

// floor bounds the tests in which people talk at the same time. What they hear on a
// machine that has no time for them is not what is tested.
var floor = make(chan struct{}, runtime.NumCPU()+1)

// online starts daemons at the same time and waits until all are logged in. Where what
// they hear is recorded, it waits for its turn to talk.
func online(t *testing.T, opts ...harness.Options) []*harness.Daemon {
	t.Helper()
	if slices.ContainsFunc(opts, func(o harness.Options) bool { return o.Record }) {
		floor <- struct{}{}
		t.Cleanup(func() { <-floor })
	}
	phones := make([]*harness.Daemon, len(opts))
	for i, opt := range opts {
		phones[i] = harness.Start(t, opt)
	}
	for _, p := range phones {
		p.AwaitOnline(t)
	}
	return phones
}

// pair starts two phones whose owners know each other.
func pair(t *testing.T, a, b harness.Options) (first, second *harness.Daemon) {
	t.Helper()
	phones := online(t, a, b)
	acquaint(t, phones[0], phones[1])
	return phones[0], phones[1]
}

// acquaint has two people exchange their contact links.
func acquaint(t *testing.T, a, b *harness.Daemon) {
	t.Helper()
	a.Run(t, 0, "contacts", "add", b.Name(), b.Link)
	b.Run(t, 0, "contacts", "add", a.Name(), a.Link)
}

// ring has one phone call another and waits until it rings at both ends.
func ring(t *testing.T, from, to *harness.Daemon, args ...string) (call *harness.Running, out, in harness.Call) {
	t.Helper()
	call = from.Go(t, append([]string{"call", to.Name(), "--json"}, args...)...)
	in = to.AwaitCall(t, "the call rings", func(c harness.Call) bool {
		return c.Direction == "incoming" && c.State == "ringing" && c.Remote.Name == from.Name()
	})
	out = from.AwaitCall(t, "it rings there", func(c harness.Call) bool {
		return c.Direction == "outgoing" && c.State == "ringing" && c.Remote.Name == to.Name()
	})
	return call, out, in
}

// connect has one phone call another, which answers, and waits until both
// hear each other.
func connect(t *testing.T, from, to *harness.Daemon, args ...string) (call *harness.Running, out, in harness.Call) {
	t.Helper()
	call, out, in = ring(t, from, to, args...)
	to.Run(t, 0, "answer")
	return call, awaitSound(t, from, out.ID), awaitSound(t, to, in.ID)
}

func awaitSound(t *testing.T, d *harness.Daemon, id string) harness.Call {
	t.Helper()
	return d.AwaitCall(t, "the first sound is played", func(c harness.Call) bool {
		return c.ID == id && c.State == "active" && c.AudioMS != nil
	})
}

// ended waits for the end of a call and checks what it is put down to.
func ended(t *testing.T, d *harness.Daemon, id, outcome, reason, by string) {
	t.Helper()
	c := d.AwaitEnd(t, id)
	if c.Outcome != outcome || c.EndReason != reason || c.EndedBy != by {
		t.Errorf("at %s the call is %s, ended by %s with %s; want %s, %s, %s",
			d.Name(), c.Outcome, c.EndedBy, c.EndReason, outcome, by, reason)
	}
}
