package node

import (
	"errors"
	"testing"
	"time"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/overlay"
	"github.com/peerd/peerd/node/presence"
)

// TestUnlistedDeviceIsNotTheAccounts: a certificate alone makes a device the
// account's only as long as no account record is known.
func TestUnlistedDeviceIsNotTheAccounts(t *testing.T) {
	n := open1(t, quiet())
	alice, other := person1(t, "alice"), device1(t, "other")
	now := time.Now()
	alone := accountOf(t, alice, 200, now)
	linked(t, alice, other)
	both := accountOf(t, alice, 100, now)
	n.SetContacts([]identity.Link{alice.Link()})

	greets := func(seq uint64) error { return n.learn(other.Device(), greetingOfDevice(t, other, seq, now)) }
	if err := greets(1); err != nil || !n.Knows(other.Device()) || n.Presence(alice.Account()).Listed {
		t.Errorf("without an account record: %v, %+v", err, n.Presence(alice.Account()))
	}
	learned(t, n, alice, both)
	if err := greets(2); err != nil || !n.Knows(other.Device()) {
		t.Errorf("a listed device: %v", err)
	}
	learned(t, n, alice, alone) // it is the newer one
	if n.Knows(other.Device()) || !n.Knows(alice.Device()) {
		t.Error("a device that is not listed any more is still known")
	}
	if err := greets(3); !errors.Is(err, ErrUnlisted) || n.Knows(other.Device()) {
		t.Errorf("an unlisted device: %v", err)
	}
	if p := n.Presence(alice.Account()); !p.Listed || len(p.Devices) != 1 {
		t.Errorf("presence is %+v", p)
	}
}

// TestNewDeviceIsLookedFor: a device may be newer than the account record we hold.
func TestNewDeviceIsLookedFor(t *testing.T) {
	n := open1(t, quiet())
	alice, other := person1(t, "alice"), device1(t, "other")
	now := time.Now()
	n.SetContacts([]identity.Link{alice.Link()})
	learned(t, n, alice, accountOf(t, alice, 100, now))
	linked(t, alice, other)
	a := presence.Account{Seq: 200, Issued: now, Expires: now.Add(time.Hour), Devices: alice.Devices()}
	value, err := presence.SealAccount(alice, a, presence.Day(now))
	if err != nil {
		t.Fatal(err)
	}
	published := make(chan overlay.Receipt, 1)
	n.over.Keep(func() []overlay.Record {
		return []overlay.Record{{Key: presence.AccountKey(alice.Account(), presence.Day(now)), Value: value}}
	}, func(_ overlay.Record, r overlay.Receipt) { published <- r })
	if r := <-published; !r.Local {
		t.Fatalf("published: %+v", r)
	}
	if err := n.learn(other.Device(), greetingOfDevice(t, other, 1, now)); err != nil || !n.Knows(other.Device()) {
		t.Errorf("the new device: %v", err)
	}
	stranger := device1(t, "unlisted")
	linked(t, alice, stranger)
	n.contacts.mayLookAgain(alice.Account(), now) // the search above was one, unless the record was found before it
	if n.contacts.mayLookAgain(alice.Account(), now) {
		t.Error("each greeting of an unlisted device costs a search")
	}
	if err := n.learn(stranger.Device(), greetingOfDevice(t, stranger, 1, now)); !errors.Is(err, ErrUnlisted) {
		t.Errorf("an unlisted device: %v", err)
	}
}

// linked makes a device one of the account's.
func linked(t *testing.T, account, device *identity.Identity) {
	t.Helper()
	request, err := device.DeviceRequest()
	if err != nil {
		t.Fatal(err)
	}
	grant, _, err := account.Approve(request, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err = device.Adopt(grant, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// greetingOfDevice is what a device without the account key would send.
func greetingOfDevice(t *testing.T, id *identity.Identity, seq uint64, now time.Time) greeting {
	t.Helper()
	sealed1, err := presence.SealPresence(id, presence.Presence{
		Seq: seq, Issued: now, Expires: now.Add(time.Hour), Device: id.Device(),
		Addrs: []string{"/ip4/127.0.0.1/tcp/9"}, Name: id.Name(),
	}, presence.Day(now))
	if err != nil {
		t.Fatal(err)
	}
	return greeting{account: id.Account(), cert: id.Certificate(), records: sealed{presence: sealed1}}
}
