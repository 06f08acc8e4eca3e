package cli_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/cli"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi/localapitest"
)

func TestStatusFields(t *testing.T) {
	u, p := withPhone(t)
	got := u.types(t.Context(), "", "status", "--json")
	st := decode[map[string]any](t, got)
	for _, name := range []string{"state", "alone", "account", "device", "addresses", "overlay", "login"} {
		if _, there := st[name]; !there {
			t.Errorf("status has no %s", name)
		}
	}
	for part, fields := range map[string][]string{
		"overlay": {"peers", "role"}, "login": {"published", "acks", "took_ms", "missing"},
	} {
		for _, name := range fields {
			if _, there := st[part].(map[string]any)[name]; !there {
				t.Errorf("status has no %s.%s", part, name)
			}
		}
	}
	text := u.types(t.Context(), "", "status")
	if text.code != 0 || !strings.Contains(text.stdout, "missing:    neighbours, since ") {
		t.Errorf("%+v", text)
	}
	p.Online()
	if text := u.types(t.Context(), "", "status"); !strings.Contains(text.stdout, "state:      online\n") ||
		!strings.Contains(text.stdout, "took 420 ms") {
		t.Errorf("%+v", text)
	}
}

func TestStatusWaits(t *testing.T) {
	u, p := newUser(t), localapitest.New()
	got := make(chan result, 1)
	go func() {
		got <- u.types(context.Background(), "", "status", "--wait", "online", "--timeout", "30s", "--json")
	}()
	u.serve(t, p, version)
	p.Online()
	r := <-got
	if st := decode[localapi.Status](t, r); r.code != cli.ExitOK || st.State != "online" {
		t.Errorf("%+v", r)
	}
}

func TestStatusWaitsNoLongerThanAsked(t *testing.T) {
	u, _ := withPhone(t)
	got := u.types(t.Context(), "", "status", "--wait", "online", "--timeout", "50ms", "--json")
	if st := decode[localapi.Status](t, got); got.code != cli.ExitError || st.State != "starting" ||
		!strings.Contains(got.stderr, `{"error":{"message":"the daemon was not online within 50ms","hint":"what is missing says why`) {
		t.Errorf("%+v", got)
	}
	alone := newUser(t)
	alone.types(t.Context(), "", "status", "--wait", "online", "--timeout", "50ms").
		want(t, cli.ExitNoDaemon, "", "no peerd daemon is running\nhint: start one with")
}

func TestNoDaemon(t *testing.T) {
	u := newUser(t)
	for _, args := range [][]string{{"call", "bob"}, {"events"}, {"contacts", "list"}} {
		u.types(t.Context(), "", args...).want(t, cli.ExitNoDaemon, "", "no peerd daemon is running\nhint: ")
	}
	if v := u.types(t.Context(), "", "version", "--json"); v.code != 0 || !strings.Contains(v.stdout, `"daemon": null`) {
		t.Errorf("version: %+v", v)
	}
	if d := u.types(t.Context(), "", "audio", "devices", "--json"); d.code != 0 || !strings.Contains(d.stdout, `"spec": "null"`) {
		t.Errorf("audio devices: %+v", d)
	}
	if f := u.types(t.Context(), "", "files"); f.code != 0 || !strings.Contains(f.stdout, u.home+"/identity.json  no") {
		t.Errorf("files: %+v", f)
	}
}

func TestEventsArePrintedAsTheyCome(t *testing.T) {
	u, p := withPhone(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs safeBuffer
	done := make(chan int, 1)
	go func() { done <- u.run(ctx, "", &out, &errs, []string{"events", "--json"}) }()
	lines := func() int { return strings.Count(out.String(), "\n") }
	eventually(t, func() bool { return lines() == 1 })
	p.Online()
	id := p.Ring("bob")
	eventually(t, func() bool { return lines() == 3 })
	interrupt()
	if code := <-done; code != cli.ExitOK || errs.String() != "" {
		t.Errorf("exit code %d, stderr %q", code, errs.String())
	}
	var types []string
	for _, l := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var e localapi.Event
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
		if e.Call != nil && e.Call.ID != id {
			t.Errorf("call %+v", e.Call)
		}
	}
	if got := strings.Join(types, " "); got != "state status call" {
		t.Errorf("events %s", got)
	}
}

func TestEventsEndWithTheDaemon(t *testing.T) {
	u, p := withPhone(t)
	var out, errs safeBuffer
	done := make(chan int, 1)
	go func() { done <- u.run(context.Background(), "", &out, &errs, []string{"events"}) }()
	eventually(t, func() bool { return strings.Contains(out.String(), "starting, 1 contacts, 0 calls") })
	p.Close()
	if code := <-done; code != cli.ExitOK || !strings.Contains(out.String(), "the daemon is going down") {
		t.Errorf("exit code %d, stdout %q", code, out.String())
	}
}

func TestOtherVersionIsToldOf(t *testing.T) {
	u := newUser(t)
	u.serve(t, localapitest.New(), "v0.9.0")
	u.types(t.Context(), "", "link").want(t, 0, "peerd:alice\n", "warning: the daemon is version v0.9.0, this program is v1.2.3")
}

// eventually waits for a condition with a deadline.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("not in time")
		}
	}
}
