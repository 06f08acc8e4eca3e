package node

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/presence"
)

// lines counts what is logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func person1(t *testing.T, name string) *identity.Identity {
	t.Helper()
	id, _, err := identity.New(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func open1(t *testing.T, log *slog.Logger) *Node {
	t.Helper()
	n, err := Open(t.Context(), Config{
		Identity: person1(t, "bob"), Dir: t.TempDir(), Role: RoleServer, Memory: true, RelayPort: -1, Log: log,
		Listen: []string{"/ip4/127.0.0.1/tcp/0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// greetingOf is what id's device would send.
func greetingOf(t *testing.T, id *identity.Identity, seq uint64, now time.Time) greeting {
	t.Helper()
	p := presence.Presence{
		Seq: seq, Issued: now, Expires: now.Add(time.Hour), Device: id.Device(),
		Addrs: []string{"/ip4/127.0.0.1/tcp/9"}, Name: id.Name(),
	}
	day := presence.Day(now)
	a, err := presence.SealAccount(id, presence.Account{Seq: seq, Issued: now, Expires: now.Add(time.Hour), Devices: id.Devices()}, day)
	if err != nil {
		t.Fatal(err)
	}
	r, err := presence.SealPresence(id, p, day)
	if err != nil {
		t.Fatal(err)
	}
	return greeting{account: id.Account(), cert: id.Certificate(), records: sealed{account: a, presence: r}}
}

func TestBadRecordsAreRefusedWithAReasonLoggedOnce(t *testing.T) {
	now := time.Now()
	alice, mallory, stranger := person1(t, "alice"), person1(t, "mallory"), person1(t, "stranger")
	flip := func(b []byte) []byte {
		c := bytes.Clone(b)
		c[len(c)-1] ^= 1
		return c
	}
	for _, c := range []struct {
		name string
		make func() greeting
		want error
	}{
		{"forged signature", func() greeting {
			g := greetingOf(t, alice, 1000, now)
			g.records.presence = flip(g.records.presence)
			return g
		}, presence.ErrBadSignature},
		{"expired", func() greeting {
			return greetingOf(t, alice, 1000, now.Add(-90*time.Minute))
		}, presence.ErrExpired},
		{"replayed", func() greeting { return greetingOf(t, alice, 10, now) }, presence.ErrReplayed},
		{"record of a stranger", func() greeting {
			g := greetingOf(t, alice, 1000, now)
			g.records.presence = greetingOf(t, stranger, 1000, now).records.presence
			return g
		}, presence.ErrWrongKey},
		{"certificate of another device", func() greeting {
			g := greetingOf(t, alice, 1000, now)
			g.account, g.cert = mallory.Account(), mallory.Certificate()
			return g
		}, identity.ErrForeignCertificate},
		{"another device's record", func() greeting {
			g := greetingOf(t, alice, 1000, now)
			g.records = greetingOf(t, mallory, 1000, now).records
			return g
		}, presence.ErrWrongKey},
		{"forged certificate", func() greeting {
			g := greetingOf(t, alice, 1000, now)
			g.cert.Sig = flip(g.cert.Sig)
			return g
		}, identity.ErrForgedCertificate},
		{"garbage", func() greeting {
			g := greetingOf(t, alice, 1000, now)
			g.records.presence = g.records.presence[:20]
			return g
		}, presence.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log lines
			n := open1(t, slog.New(slog.NewTextHandler(&log, nil)))
			n.SetContacts([]identity.Link{alice.Link(), mallory.Link()})
			if err := n.learn(alice.Device(), greetingOf(t, alice, 500, now)); err != nil {
				t.Fatal(err)
			}
			before := n.book.devices(alice.Account(), now)[0]
			for range 3 {
				err := n.learn(alice.Device(), c.make())
				if !errors.Is(err, c.want) {
					t.Fatalf("error is %v, want %v", err, c.want)
				}
				n.refuse(alice.Device().String(), err)
			}
			if got := log.count("message refused"); got != 1 {
				t.Errorf("logged %d times, want once", got)
			}
			after := n.book.devices(alice.Account(), now)[0]
			if after.Seq != before.Seq || !slices.Equal(after.Addrs, before.Addrs) {
				t.Errorf("a refused record changed the book: %+v", after)
			}
		})
	}
}

func TestWrongLinkSecretDoesNotOpen(t *testing.T) {
	n := open1(t, quiet())
	alice := person1(t, "alice")
	link := alice.Link()
	link.Secret[0] ^= 1
	n.SetContacts([]identity.Link{link})
	if err := n.learn(alice.Device(), greetingOf(t, alice, 1, time.Now())); !errors.Is(err, presence.ErrBadSeal) {
		t.Errorf("error is %v, want ErrBadSeal", err)
	}
}

func TestStrangersLearnNothing(t *testing.T) {
	n := open1(t, quiet())
	alice := person1(t, "alice")
	if err := n.learn(alice.Device(), greetingOf(t, alice, 1, time.Now())); !errors.Is(err, errStranger) {
		t.Errorf("error is %v, want errStranger", err)
	}
	if p := n.Presence(alice.Account()); p.State != Unknown || len(p.Devices) != 0 {
		t.Errorf("a stranger is in the book: %+v", p)
	}
}

// TestContactsAreNotToldToStrangers: whoever asks in the name of an account must
// be it to learn whether it is among the contacts.
func TestContactsAreNotToldToStrangers(t *testing.T) {
	n := open1(t, quiet())
	alice, mallory := person1(t, "alice"), person1(t, "mallory")
	asks := func() error {
		g := greetingOf(t, mallory, 1, time.Now())
		g.account = alice.Account()
		return n.learn(mallory.Device(), g)
	}
	before := asks()
	n.SetContacts([]identity.Link{alice.Link()})
	if after := asks(); !errors.Is(before, identity.ErrForeignCertificate) || !errors.Is(after, identity.ErrForeignCertificate) {
		t.Errorf("as no contact %v, as a contact %v", before, after)
	}
}

func TestMessageSurvivesTheWire(t *testing.T) {
	n := open1(t, quiet())
	data, seq, err := n.ownMessage(false)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > maxMessageBytes {
		t.Errorf("message of %d bytes, limit %d", len(data), maxMessageBytes)
	}
	g, err := parseMessage(data)
	if err != nil || seq == 0 || g.account != n.id.Account() || g.cert.Device != n.id.Device() {
		t.Errorf("%+v, %v", g, err)
	}
}

func FuzzPresenceMessage(f *testing.F) {
	id, _, err := identity.New("alice", rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range []presenceMessage{
		{Version: 1},
		{Version: 2, Account: "x"},
		{Version: 1, Account: id.Account().String(), Certificate: id.Certificate().Marshal(), Goodbye: true},
		{Version: 1, Account: id.Account().String(), Certificate: []byte{1}, PresenceRec: make([]byte, 2000)},
	} {
		data, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := parseMessage(data)
		if err == nil && (len(g.records.account) > presence.MaxSize || len(g.records.presence) > presence.MaxSize) {
			t.Errorf("records of %d and %d bytes", len(g.records.account), len(g.records.presence))
		}
		if err == nil && !g.stranger && g.account.IsZero() && g.cert.Account.IsZero() && g.cert.Device == "" {
			t.Error("a greeting of nobody")
		}
	})
}

func FuzzContactsBook(f *testing.F) {
	id, _, err := identity.New("alice", rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(bookJSON{Version: 1, People: []personJSON{{
		Seq: 1, Revoked: []string{id.Device().String(), "x"},
		Devices: []deviceJSON{{Cert: id.Certificate().Marshal(), Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Evidence: 1}},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"people":[{"devices":[{"certificate":"AA=="}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		people, err := parseBook(data)
		if err != nil && people != nil && !errors.Is(err, errBookVersion) {
			t.Error("people beside an error")
		}
		for _, p := range people {
			p.json()
		}
	})
}
