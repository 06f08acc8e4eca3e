//go:build cgo

package phone

import (
	"errors"
	"testing"
	"time"

	"github.com/peerd/peerd/node/identity"
)

func TestContacts(t *testing.T) {
	t.Parallel()
	all := strangers(t, 2, nil)
	alice, bob := all[0], all[1]
	events, cancel := alice.Subscribe()
	defer cancel()
	for _, c := range []struct {
		name, link string
		want       error
	}{
		{"bob", "peerd:nonsense", identity.ErrBadLink},
		{"me", alice.Link(), ErrOwnLink},
		{"", bob.Link(), ErrBadName},
		{"bob", bob.Link(), nil},
		{"robert", bob.Link(), ErrContactExists},
		{"bob", bob.Link(), nil},
	} {
		if err := alice.AddContact(c.name, c.link); !errors.Is(err, c.want) {
			t.Errorf("adding %q: %v, want %v", c.name, err, c.want)
		}
	}
	if list := alice.Contacts(); len(list) != 1 || list[0].Name != "bob" || list[0].Link != bob.Link() {
		t.Errorf("contacts are %+v", list)
	}
	must(t, alice.BlockContact("bob"))
	if list := alice.Contacts(); !list[0].Blocked {
		t.Errorf("blocked contact is %+v", list[0])
	}
	must(t, alice.RemoveContact("bob"))
	if err := alice.RemoveContact("bob"); !errors.Is(err, ErrNoSuchContact) || err.Error() != `remove contact "bob": no such contact` {
		t.Errorf("removing nobody: %v", err)
	}
	eventually(t, "the removal is told", func() bool {
		select {
		case e := <-events:
			return e.Type == EventContactRemoved && e.Contact.Name == "bob"
		default:
			return false
		}
	})
}

func TestDialNobody(t *testing.T) {
	t.Parallel()
	all := strangers(t, 1, nil)
	alice := all[0]
	other, _, err := identity.New("nobody", nil)
	must(t, err)
	for who, want := range map[string]error{
		"nobody": ErrNoSuchContact, alice.Link(): ErrOwnLink, "peerd:abc": identity.ErrBadLink,
	} {
		if _, err = alice.Dial(who); !errors.Is(err, want) {
			t.Errorf("dialling %q: %v, want %v", who, err, want)
		}
	}
	id, err := alice.Dial(other.Link().String())
	must(t, err)
	alice.ended(id, "not_found", "local")
	for what, err := range map[string]error{"answer": alice.Answer(""), "hold": alice.Hold(""), "hang up": alice.Hangup("")} {
		if !errors.Is(err, ErrNoFittingCall) {
			t.Errorf("%s without a call: %v", what, err)
		}
	}
	if err := alice.Hangup(id[:8]); !errors.Is(err, ErrWrongState) {
		t.Errorf("hanging up what is over: %v", err)
	}
	if err := alice.Hangup("0123"); !errors.Is(err, ErrNoSuchCall) {
		t.Errorf("hanging up what never was: %v", err)
	}
}

// TestHistorySurvivesARestart opens a phone again on the same directory.
func TestHistorySurvivesARestart(t *testing.T) {
	t.Parallel()
	var cfg Config
	all := tels(t, 2, func(i int, c *Config) {
		if i == 1 {
			cfg = *c
		}
	})
	alice, bob := all[0], all[1]
	mine, theirs := alice.talk(bob)
	eventually(t, "bob hears alice", func() bool { return bob.card.hears(alice.card.pitch) })
	must(t, alice.Hangup(""))
	alice.ended(mine, "hangup", "local")
	before := bob.ended(theirs, "hangup", "remote")
	must(t, bob.Close())
	cfg.Node.Bootstrap = alice.Status().Addresses
	again := newTel(t, 1, cfg.Node.Bootstrap, func(c *Config) { c.Dir = cfg.Dir })
	after, err := again.Call(theirs[:10])
	must(t, err)
	if after.EndReason != "hangup" || after.EndedBy != "remote" || after.Path != "direct" || len(after.SAS) != 4 ||
		after.AnswerToAudio.Milliseconds() != before.AnswerToAudio.Milliseconds() || after.Stats.PacketsReceived == 0 ||
		(after.Duration-before.Duration).Abs() >= time.Millisecond {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if list := again.Contacts(); len(list) != 1 || list[0].Name != "alice" || len(list[0].Devices) == 0 {
		t.Errorf("contacts after the restart: %+v", list)
	}
}
