package node

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/presence"
)

// TestRevocationOutlivesItsRecord: the last account record known counts, also
// after a restart, when it has expired, and against an older one.
func TestRevocationOutlivesItsRecord(t *testing.T) {
	alice, stolen := person1(t, "alice"), device1(t, "stolen")
	request, err := stolen.DeviceRequest()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := alice.Approve(request, time.Now()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	before := accountOf(t, alice, 100, now)
	if err := alice.Revoke(stolen.Device()); err != nil {
		t.Fatal(err)
	}
	after := accountOf(t, alice, 200, now)

	cfg := Config{
		Identity: person1(t, "bob"), Dir: t.TempDir(), Role: RoleClient, Memory: true, Log: quiet(),
		Listen: []string{"/ip4/127.0.0.1/tcp/0"},
	}
	n := reopen(t, cfg, alice.Link())
	learned(t, n, alice, before)
	if n.Revoked(alice.Account(), stolen.Device()) || !n.Knows(stolen.Device()) {
		t.Fatal("revoked before it was")
	}
	learned(t, n, alice, after)
	if !n.Revoked(alice.Account(), stolen.Device()) || n.Revoked(alice.Account(), alice.Device()) {
		t.Fatal("the withdrawal was not understood")
	}
	if n.Knows(stolen.Device()) || !n.Knows(alice.Device()) {
		t.Error("the withdrawn device is still one of a contact's")
	}
	if err := n.book.learnAccount(alice.Account(), before); err == nil || !n.Revoked(alice.Account(), stolen.Device()) {
		t.Errorf("an older record undid the withdrawal: %v", err)
	}
	short := accountOf(t, alice, 300, now)
	short.Revoked = nil // newer withdrawals have taken its room
	learned(t, n, alice, short)
	if !n.Revoked(alice.Account(), stolen.Device()) {
		t.Error("a record without room for it undid the withdrawal")
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Now = func() time.Time { return time.Now().Add(30 * 24 * time.Hour) } // long after the record's life
	n = reopen(t, cfg, alice.Link())
	if !n.Revoked(alice.Account(), stolen.Device()) {
		t.Error("the withdrawal was forgotten by a restart")
	}
}

// TestWithdrawalsSurviveADowngrade: the book of a newer peerd is set aside, but
// what it says about withdrawn devices counts.
func TestWithdrawalsSurviveADowngrade(t *testing.T) {
	alice, stolen := person1(t, "alice"), device1(t, "stolen")
	data, err := json.Marshal(map[string]any{"version": 2, "people": []any{map[string]any{
		"seq": 7, "revoked": []string{stolen.Device().String()}, "new": true,
		"devices": []any{map[string]any{"certificate": alice.Certificate().Marshal()}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, bookFile)
	if err = os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is a book of this version
		b, err := loadBook(dir, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if !b.isRevoked(alice.Account(), stolen.Device()) {
			t.Error("the withdrawal is lost")
		}
		if err = b.save(); err != nil {
			t.Fatal(err)
		}
	}
	if aside, err := os.ReadFile(path + ".unreadable"); err != nil || !bytes.Equal(aside, data) {
		t.Errorf("set aside %q, %v", aside, err)
	}
}

// TestDevicesOfOneAccountAreBounded: a contact cannot fill the book.
func TestDevicesOfOneAccountAreBounded(t *testing.T) {
	p := &person{Devices: make(map[identity.DeviceID]*contactedDevice)}
	heard := device1(t, "heard").Device()
	p.device(identity.Certificate{Device: heard}).Evidence = time.Now()
	for i := range 10 * maxKnown {
		p.device(identity.Certificate{Device: device1(t, "more").Device(), Serial: uint64(i)})
	}
	if len(p.Devices) != maxKnown || p.Devices[heard] == nil {
		t.Errorf("%d devices, the one heard from: %v", len(p.Devices), p.Devices[heard])
	}
}

// TestRevocationIsToldAtOnce: a new list of devices makes new records.
func TestRevocationIsToldAtOnce(t *testing.T) {
	n := open1(t, quiet())
	old, err := n.own()
	if err != nil {
		t.Fatal(err)
	}
	other := device1(t, "other")
	request, err := other.DeviceRequest()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = n.id.Approve(request, time.Now()); err != nil {
		t.Fatal(err)
	}
	added, err := n.own()
	if err != nil || added.seq <= old.seq {
		t.Errorf("sequence %d after %d, %v", added.seq, old.seq, err)
	}
	if err = n.id.Revoke(other.Device()); err != nil {
		t.Fatal(err)
	}
	revoked, err := n.own()
	if err != nil || revoked.seq <= added.seq {
		t.Errorf("sequence %d after %d, %v", revoked.seq, added.seq, err)
	}
	a, err := presence.OpenAccount(revoked.account, n.id.Link(), time.Now())
	if err != nil || !slices.Contains(a.Revoked, other.Device()) {
		t.Errorf("%+v, %v", a, err)
	}
}

func device1(t *testing.T, name string) *identity.Identity {
	t.Helper()
	id, err := identity.NewDevice(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func accountOf(t *testing.T, id *identity.Identity, seq uint64, now time.Time) presence.Account {
	t.Helper()
	a := presence.Account{Seq: seq, Issued: now, Expires: now.Add(time.Hour), Devices: id.Devices(), Revoked: id.Revoked()}
	sealed, err := presence.SealAccount(id, a, presence.Day(now))
	if err != nil {
		t.Fatal(err)
	}
	if a, err = presence.OpenAccount(sealed, id.Link(), now); err != nil {
		t.Fatal(err)
	}
	return a
}

func learned(t *testing.T, n *Node, id *identity.Identity, a presence.Account) {
	t.Helper()
	if err := n.book.learnAccount(id.Account(), a); err != nil {
		t.Fatal(err)
	}
}

func reopen(t *testing.T, cfg Config, contact identity.Link) *Node {
	t.Helper()
	n, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	n.SetContacts([]identity.Link{contact})
	return n
}
