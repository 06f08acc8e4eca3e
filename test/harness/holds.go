package harness

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// AwaitShown waits until the figures of a call fit: events do not tell them.
func (d *Daemon) AwaitShown(t testing.TB, id, what string, fits func(Call) bool) Call {
	t.Helper()
	var c Call
	if !await(func() bool { c = d.Show(t, id); return fits(c) }) {
		t.Fatalf("%s: not within %v: call %s %s; it is %+v", d.opt.Name, patience, id, what, c)
	}
	return c
}

// Held is what a daemon holds of the machine.
type Held struct{ Goroutines, Files int }

// Holds counts what the daemon holds now. Files are -1 where the system does
// not tell.
func (d *Daemon) Holds(t testing.TB) Held {
	t.Helper()
	var v struct {
		Goroutines int `json:"goroutines"`
	}
	d.API(t, http.MethodGet, "/version", nil, &v)
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Pid()))
	if err != nil {
		return Held{v.Goroutines, -1}
	}
	return Held{v.Goroutines, len(files)}
}

// ProcessorTime is what the daemon has used of the processors since its start,
// in steps of 10 ms; 0 where the system does not tell.
func (d *Daemon) ProcessorTime(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.Pid()))
	if err != nil {
		return 0
	}
	_, fields, _ := strings.Cut(string(text), ") ") // behind the program's name, from field 3 on (proc(5))
	var user, system int64
	if _, err := fmt.Sscan(strings.Join(strings.Fields(fields)[11:13], " "), &user, &system); err != nil {
		t.Fatalf("processor time of %s: %v", d.opt.Name, err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// AwaitSteady waits until what the daemon holds has not grown or shrunk for a
// second, and returns it.
func (d *Daemon) AwaitSteady(t testing.TB) Held {
	t.Helper()
	now, since := d.Holds(t), time.Now()
	if !await(func() bool {
		if h := d.Holds(t); h != now {
			now, since = h, time.Now()
		}
		return time.Since(since) >= time.Second
	}) {
		t.Logf("%s does not come to rest: it holds %+v", d.opt.Name, now)
	}
	return now
}

// AwaitHolds waits until the daemon holds no more than it did, but for slack
// of each, and returns what it holds.
func (d *Daemon) AwaitHolds(t testing.TB, was Held, slack int) Held {
	t.Helper()
	var now Held
	if !await(func() bool {
		now = d.Holds(t)
		return now.Goroutines <= was.Goroutines+slack && now.Files <= was.Files+slack
	}) {
		t.Errorf("%s held %+v and %v later still holds %+v", d.opt.Name, was, patience, now)
	}
	return now
}

// await asks again and again whether something holds, and says whether it did
// before patience was over.
func await(holds func() bool) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(limit) {
			return false
		}
	}
	return true
}
