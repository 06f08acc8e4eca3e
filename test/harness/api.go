package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// API sends one request to the daemon's local API, as docs/api.md tells, and
// decodes the answer into what is not nil. Tests of very many calls use it: a
// process for each command would cost more than the calls.
func (d *Daemon) API(t testing.TB, method, path string, body, into any) {
	t.Helper()
	if err := d.request(method, path, body, into); err != nil {
		t.Fatalf("%s: %s %s: %v", d.opt.Name, method, path, err)
	}
}

// request opens a connection of its own, so that none is left open in the daemon.
func (d *Daemon) request(method, path string, body, into any) error {
	var dialer net.Dialer
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", filepath.Join(d.Home, "peerd.sock"))
		},
	}}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, "http://peerd/v1"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= 300 {
		return fmt.Errorf("%s: %s (%w)", answer.Status, text, err)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// Dial calls somebody and returns the id of the call at once.
func (d *Daemon) Dial(t testing.TB, who string) string {
	t.Helper()
	var c Call
	d.API(t, http.MethodPost, "/calls", map[string]string{"to": who}, &c)
	return c.ID
}

// Hangup ends a call.
func (d *Daemon) Hangup(t testing.TB, id string) {
	t.Helper()
	d.API(t, http.MethodPost, "/calls/"+id+"/hangup", struct{}{}, nil)
}

// Show is a call with its figures of this moment.
func (d *Daemon) Show(t testing.TB, id string) Call {
	t.Helper()
	var c Call
	d.API(t, http.MethodGet, "/calls/"+id, nil, &c)
	return c
}

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
