//go:build !race

package storm_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
)

// member is a daemon that is killed and started again.
type member struct {
	*harness.Daemon
	boot  bool
	in    atomic.Bool   // by its own word, since the last start
	start time.Duration // processor time until it first served its user
	comeback
}

// comeback is how a member came back after the last restart. It belongs to the
// goroutine that follows it until that ends. Times count from the member's own start.
type comeback struct {
	online time.Duration // by its own word
	back   time.Duration // the first call that rang was placed then
	rang   time.Duration // and rang then
	vain   []string      // calls of third nodes that did not ring, and why
	failed error         // why it is not back
}

// never is a time that has not come.
const never = time.Duration(math.MaxInt64)

// fleet is everybody who is killed.
type fleet struct {
	t       *testing.T
	members []*member // the bootstrap nodes first
	boots   []*harness.Daemon
	horizon time.Duration
}

// enrol starts a daemon that belongs to the fleet.
func (f *fleet) enrol(opt harness.Options, boot bool) *member {
	f.t.Helper()
	opt.Under = []string{} // like any program
	opt.Args = append(opt.Args, "--log-level", "info")
	if dir := os.Getenv("PEERD_STORM_TRACES"); dir != "" { // what each decided, and why (docs/storm-trace.md)
		opt.Args = append(opt.Args, "--storm-trace", filepath.Join(dir, opt.Name))
	}
	m := &member{Daemon: harness.Start(f.t, opt), boot: boot}
	m.start = m.ProcessorTime(f.t)
	f.members = append(f.members, m)
	if boot {
		f.boots = append(f.boots, m.Daemon)
	}
	return m
}

// begin starts two bootstrap nodes that are told of each other.
func (f *fleet) begin(opts [2]harness.Options) {
	f.t.Helper()
	for i, opt := range opts {
		opt.Role, opt.First, opt.Bootstrap = "server", i == 0, f.boots
		f.enrol(opt, true).AwaitLogin(f.t)
	}
	first := f.boots[0]
	first.Kill()
	first.Join(f.boots[1])
	first.Restart(f.t)
	first.AwaitLogin(f.t)
}

// settle waits until all are logged in and have written down whom they know.
func (f *fleet) settle() {
	f.t.Helper()
	for _, m := range f.members {
		m.AwaitLogin(f.t)
		m.Link = linkOf(f.t, m.Daemon)
		m.in.Store(true)
	}
	for _, m := range f.members {
		m.awaitCache(f.t)
	}
}

func linkOf(t *testing.T, d *harness.Daemon) string {
	t.Helper()
	var l struct{ Link string }
	d.API(t, http.MethodGet, "/link", nil, &l)
	return l.Link
}

// awaitCache waits until the peer cache has been written since the last start.
func (m *member) awaitCache(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); <-tick.C {
		if m.cacheWritten() {
			return
		}
	}
	t.Errorf("%s has not written whom it knows", m.Name())
}

func (m *member) cacheWritten() bool {
	found := false
	_ = filepath.WalkDir(m.Home, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == "peers.json" {
			info, statErr := e.Info()
			found = found || statErr == nil && info.ModTime().After(m.Begun)
		}
		return nil // files come and go while the daemon works
	})
	return found
}

// kill ends all at one instant.
func (f *fleet) kill() {
	var wg sync.WaitGroup
	for _, m := range f.members {
		m.in.Store(false)
		wg.Go(m.Kill)
	}
	wg.Wait()
}

// restart starts all at one instant and follows each until it is back, or the horizon
// is reached. The daemons must have ended.
func (f *fleet) restart() {
	var wg sync.WaitGroup
	end := time.Now().Add(f.horizon)
	for _, m := range f.members {
		m.comeback = comeback{online: never, back: never, rang: never}
		wg.Go(func() { f.live(m, end) })
	}
	wg.Wait()
}

// live starts a member and follows it until it is back.
func (f *fleet) live(m *member, end time.Time) {
	if m.failed = m.Revive(); m.failed != nil {
		return
	}
	if _, m.failed = m.StatusWithin(time.Until(end), func(s harness.Status) bool { return s.State == "online" }); m.failed != nil {
		return
	}
	m.online = time.Since(m.Begun)
	m.in.Store(true)
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for ; time.Now().Before(end); <-again.C {
		if third := f.third(m); third != nil && m.rings(third) {
			return
		}
	}
}

// third chooses who calls m: one of those who say that they are in, or, while there
// is no other, a bootstrap node.
func (f *fleet) third(m *member) *member {
	var in, boots []*member
	for _, other := range f.members {
		switch {
		case other == m || !other.in.Load():
		case other.boot:
			boots = append(boots, other)
		default:
			in = append(in, other)
		}
	}
	if len(in) == 0 {
		in = boots
	}
	if len(in) == 0 {
		return nil
	}
	return in[rand.IntN(len(in))]
}

// turns bounds the calls that prove somebody back at one time: they are to show the
// overlay, not to be the load.
var turns = make(chan struct{}, 2*runtime.NumCPU())

// rings has third call m by its link, and says whether it rings.
func (m *member) rings(third *member) bool {
	const limit = 5 * time.Second // as in the laboratory of real stacks
	turns <- struct{}{}
	defer func() { <-turns }()
	at := time.Since(m.Begun)
	err := ring(third.Daemon, m.Link, limit)
	if m.failed = err; err != nil {
		m.vain = append(m.vain, fmt.Sprintf("%s called by %s at %.2f s, for %.2f s: %v", m.Name(), third.Name(), at.Seconds(), (time.Since(m.Begun)-at).Seconds(), err))
		return false
	}
	m.back, m.rang = at, time.Since(m.Begun)
	return true
}

// ring calls by a link until it rings, and hangs up. Where both call each other at one
// moment the two calls become one that is answered.
func ring(from *harness.Daemon, link string, limit time.Duration) error {
	var c harness.Call
	if err := from.Request(http.MethodPost, "/calls", map[string]string{"to": link}, &c); err != nil {
		return err
	}
	now, err := from.CallWithin(limit, func(now harness.Call) bool { return now.ID == c.ID && now.State != "dialing" })
	if err == nil && now.State == "ended" && now.Outcome != "answered" {
		return fmt.Errorf("%s, %s: %s", now.Outcome, now.EndReason, now.Error)
	}
	_ = from.Request(http.MethodPost, "/calls/"+c.ID+"/hangup", struct{}{}, nil) // it may have ended
	return err
}

// spent is the processor time that all have used since their start.
func (f *fleet) spent() (sum time.Duration) {
	f.t.Helper()
	for _, m := range f.members {
		sum += m.ProcessorTime(f.t)
	}
	return sum
}
