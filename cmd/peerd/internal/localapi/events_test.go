package localapi_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi/localapitest"
)

// next reads an event and checks that it carries the next number.
func next(t *testing.T, w *localapi.Watch, seq *uint64) localapi.Event {
	t.Helper()
	e, err := w.Next()
	if err != nil {
		t.Fatal(err)
	}
	if *seq++; e.Seq != *seq {
		t.Errorf("event %d has number %d", *seq, e.Seq)
	}
	return e
}

func TestEventsBeginWithThePresentState(t *testing.T) {
	p, c, _ := pair(t)
	over := p.Ring("bob")
	p.Change(over, localapitest.RemoteEnded("cancelled"))
	live := p.Ring("bob")
	w := must(c.Watch(t.Context()))(t)
	defer w.Close()
	var seq uint64
	e := next(t, w, &seq)
	if e.Type != localapi.EventState || e.State == nil || e.State.Status.State != "starting" ||
		len(e.State.Contacts) != 1 || len(e.State.Calls) != 1 || e.State.Calls[0].ID != live {
		t.Fatalf("first line %+v", e)
	}
	p.Online()
	if e := next(t, w, &seq); e.Type != localapi.EventStatus || e.Status.State != "online" {
		t.Errorf("after login %+v", e)
	}
	must(c.Control(t.Context(), "answer", ""))(t)
	if e := next(t, w, &seq); e.Type != localapi.EventCall || e.Call.State != localapi.CallActive {
		t.Errorf("after answer %+v", e)
	}
	p.Press(live, "5")
	if e := next(t, w, &seq); e.Type != localapi.EventDTMF || e.Digit != "5" || e.Call.Digits != "5" {
		t.Errorf("after a key %+v", e)
	}
	must(c.BlockContact(t.Context(), "bob"))(t)
	if e := next(t, w, &seq); e.Type != localapi.EventContact || !e.Contact.Blocked {
		t.Errorf("after block %+v", e)
	}
	if err := c.RemoveContact(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if e := next(t, w, &seq); e.Type != localapi.EventContactRemoved || e.Contact.Name != "bob" {
		t.Errorf("after remove %+v", e)
	}
}

func TestEventsEndWithTheDaemon(t *testing.T) {
	for name, stop := range map[string]func(*localapitest.Phone, *localapi.Server){
		"phone first": func(p *localapitest.Phone, _ *localapi.Server) { p.Close() },
		"server":      func(_ *localapitest.Phone, s *localapi.Server) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			p, socket := localapitest.New(), socketPath(t)
			s := serve(t, p, socket)
			w := must(client(t, socket).Watch(t.Context()))(t)
			defer w.Close()
			var seq uint64
			next(t, w, &seq)
			stop(p, s)
			if e := next(t, w, &seq); e.Type != localapi.EventClosed || e.Message == "" {
				t.Errorf("last line %+v", e)
			}
			if _, err := w.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last line: %v", err)
			}
		})
	}
}

// A watcher that reads nothing is cut off with a last line that says so, and
// the phone never waits for it.
func TestSlowWatcherIsCutOff(t *testing.T) {
	p, c, _ := pair(t)
	w := must(c.Watch(t.Context()))(t)
	defer w.Close()
	for p.Watchers() > 0 { // more than sockets and queues hold
		p.Online()
	}
	var last localapi.Event
	for {
		e, err := w.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		last = e
	}
	if last.Type != localapi.EventLost || last.Message == "" {
		t.Errorf("last line %+v", last)
	}
	if w := must(c.Watch(t.Context()))(t); w != nil { // and may come back
		w.Close()
	}
}

func TestWatchersAreForgottenAndBounded(t *testing.T) {
	p, c, _ := pair(t)
	var open []*localapi.Watch
	for {
		w, err := c.Watch(t.Context())
		if err != nil {
			if localapi.CodeOf(err) != localapi.CodeBusy {
				t.Fatal(err)
			}
			break
		}
		open = append(open, w)
	}
	if p.Watchers() != len(open) {
		t.Errorf("%d watchers, %d subscriptions", len(open), p.Watchers())
	}
	for _, w := range open {
		w.Close()
	}
	eventually(t, "subscriptions end with their watchers", func() bool { return p.Watchers() == 0 })
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}
