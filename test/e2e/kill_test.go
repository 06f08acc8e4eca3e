package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
)

// victim is a daemon that is killed again and again while it works.
type victim struct {
	t        *testing.T
	phone    *harness.Daemon
	other    *harness.Daemon
	was      harness.Status          // who it is
	contacts map[string]string       // acknowledged: name to link
	calls    map[string]harness.Call // in the history after an earlier kill
	links    []string                // of people to add
}

// TestSoakKilledAtRandomMomentsNothingIsLost kills -9 a daemon that adds
// contacts and makes calls: it is the same person afterwards, has every contact
// whose adding was answered, and every call of its history.
func TestSoakKilledAtRandomMomentsNothingIsLost(t *testing.T) {
	kills := sized(100, 10)
	other := harness.Start(t, loadPhone("bob", "echo"))
	other.AwaitOnline(t)
	v := &victim{
		t: t, other: other, phone: harness.Start(t, loadPhone("alice", "ask", other)),
		contacts: make(map[string]string), calls: make(map[string]harness.Call),
	}
	v.was = v.phone.AwaitOnline(t)
	for range 20 {
		v.links = append(v.links, newLink(t))
	}
	for range kills {
		v.workAndDie(time.Duration(rand.IntN(400)) * time.Millisecond)
		v.phone.Restart(t)
		v.check()
	}
	t.Logf("%d kills: %d contacts acknowledged and there, %d calls in the history", kills, len(v.contacts), len(v.calls))
	if len(v.calls) == 0 || len(v.contacts) == 0 {
		t.Error("nothing was going on when it was killed")
	}
}

// newLink is the contact link of somebody new.
func newLink(t *testing.T) string {
	t.Helper()
	var made struct{ Link string }
	harness.User(harness.Home(t)).Read(t, &made, "init")
	return made.Link
}

// workAndDie lets the daemon work for a while and kills it in the middle.
func (v *victim) workAndDie(after time.Duration) {
	acknowledged := make(chan map[string]string, 1)
	calling := make(chan struct{})
	go func() { acknowledged <- v.addContacts() }()
	go func() {
		defer close(calling)
		v.makeCalls()
	}()
	<-time.After(after)
	v.phone.Kill()
	<-calling
	for name, link := range <-acknowledged {
		v.contacts[name] = link
	}
}

// addContacts adds, and removes, until the daemon does not answer; it returns
// what was acknowledged.
func (v *victim) addContacts() map[string]string {
	done := make(map[string]string)
	for i := 0; ; i++ {
		link := v.links[i%len(v.links)]
		name := fmt.Sprint("person", i%len(v.links))
		if v.phone.Request(http.MethodPost, "/contacts", map[string]string{"name": name, "link": link}, nil) != nil {
			return done
		}
		done[name] = link
	}
}

// makeCalls calls and hangs up until the daemon does not answer.
func (v *victim) makeCalls() {
	for {
		var c harness.Call
		if v.phone.Request(http.MethodPost, "/calls", map[string]string{"to": v.other.Link}, &c) != nil {
			return
		}
		for c.State != "active" && c.State != "ended" {
			if v.phone.Request(http.MethodGet, "/calls/"+c.ID, nil, &c) != nil {
				return
			}
		}
		if v.phone.Request(http.MethodPost, "/calls/"+c.ID+"/hangup", struct{}{}, nil) != nil && c.State != "ended" {
			return
		}
	}
}

// check compares what there is after a restart with what there was.
func (v *victim) check() {
	v.t.Helper()
	now := v.phone.Status()
	if now.Account != v.was.Account || now.Device != v.was.Device {
		v.t.Fatalf("it was account %s, device %s and is %s, %s", v.was.Account, v.was.Device, now.Account, now.Device)
	}
	var contacts []struct{ Name, Link string }
	v.phone.API(v.t, http.MethodGet, "/contacts", nil, &contacts)
	there := make(map[string]string)
	for _, c := range contacts {
		there[c.Name] = c.Link
	}
	for name, link := range v.contacts {
		if there[name] != link {
			v.t.Fatalf("contact %s was acknowledged as %s and is %q", name, link, there[name])
		}
	}
	v.checkCalls()
}

// checkCalls: calls of before are unchanged, and those that were live when the
// daemon was killed have ended.
func (v *victim) checkCalls() {
	v.t.Helper()
	var calls []harness.Call
	v.phone.API(v.t, http.MethodGet, "/calls?limit=0", nil, &calls)
	there := make(map[string]harness.Call)
	for _, c := range calls {
		if c.State != "ended" || c.EndReason == "" {
			v.t.Errorf("after the kill call %s is %s", c.ID, c.State)
		}
		there[c.ID] = c
	}
	for id, was := range v.calls {
		if now := there[id]; now.Outcome != was.Outcome || now.EndReason != was.EndReason || now.DurationS != was.DurationS {
			v.t.Errorf("call %s was %+v and is %+v", id, was, now)
		}
	}
	v.calls = there
}
