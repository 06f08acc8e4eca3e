package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/node/identity"
	"go.etcd.io/bbolt"
)

var now = time.UnixMilli(1_790_000_000_000)

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// reopen closes a store and opens its file again.
func reopen(t *testing.T, s *Store) *Store {
	t.Helper()
	path := s.db.Path()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}

func tempFile(t *testing.T) string { return filepath.Join(t.TempDir(), "peerd.db") }

func newIdentity(t *testing.T, name string) *identity.Identity {
	t.Helper()
	id, _, err := identity.New(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContactsSurviveReopening(t *testing.T) {
	s := open(t, tempFile(t))
	bob, carol := newIdentity(t, "bob"), newIdentity(t, "carol")
	ok(t, s.AddContact("Carol C.", carol.Link(), now))
	ok(t, s.AddContact("bob", bob.Link(), now))
	ok(t, s.BlockContact("CAROL c.", true))
	isNew, err := s.SawDevice(bob.Account(), bob.Device(), "bob's phone", now)
	if err != nil || !isNew {
		t.Fatalf("new %v, %v", isNew, err)
	}
	ok(t, s.VerifyDevice(bob.Account(), bob.Device(), "one two three four", now.Add(time.Minute)))
	if isNew, err = s.SawDevice(bob.Account(), bob.Device(), "renamed", now.Add(time.Hour)); err != nil || isNew {
		t.Fatalf("new %v, %v", isNew, err)
	}

	s = reopen(t, s)
	got, err := s.Contacts()
	ok(t, err)
	want := []Contact{
		{Petname: "bob", Link: bob.Link(), Added: now, Devices: []Device{{
			ID: bob.Device(), Name: "renamed", FirstSeen: now, SAS: "one two three four", VerifiedAt: now.Add(time.Minute),
		}}},
		{Petname: "Carol C.", Link: carol.Link(), Added: now, Blocked: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	byName, errName := s.Contact("BOB")
	byAccount, errAccount := s.ContactOf(bob.Account())
	if !reflect.DeepEqual(byName, want[0]) || !reflect.DeepEqual(byAccount, want[0]) {
		t.Errorf("by name %+v, %v; by account %+v, %v", byName, errName, byAccount, errAccount)
	}
}

func TestContactNamesAndAccountsAreUnique(t *testing.T) {
	s := open(t, tempFile(t))
	bob, eve := newIdentity(t, "bob"), newIdentity(t, "eve")
	ok(t, s.AddContact("Bob", bob.Link(), now))
	if err := s.AddContact("BOB", eve.Link(), now); !errors.Is(err, ErrNameTaken) {
		t.Errorf("same name: %v", err)
	}
	if err := s.AddContact("bobby", bob.Link(), now); !errors.Is(err, ErrKnownAccount) || !strings.Contains(err.Error(), `"Bob"`) {
		t.Errorf("same account: %v", err)
	}
	ok(t, s.BlockContact("bob", true))
	newer := bob.Link()
	newer.Secret[0]++
	ok(t, s.AddContact("bob", newer, now.Add(time.Hour)))
	if c, err := s.Contact("bob"); err != nil || c.Link != newer || !c.Blocked || c.Petname != "Bob" || !c.Added.Equal(now) {
		t.Errorf("newer link: %+v, %v", c, err)
	}
}

func TestRemoveContact(t *testing.T) {
	s := open(t, tempFile(t))
	bob := newIdentity(t, "bob")
	ok(t, s.AddContact("bob", bob.Link(), now))
	ok(t, s.RemoveContact("Bob"))
	_, errName := s.Contact("bob")
	_, errAccount := s.ContactOf(bob.Account())
	_, errSaw := s.SawDevice(bob.Account(), bob.Device(), "", now)
	for what, err := range map[string]error{
		"by name": errName, "by account": errAccount, "device": errSaw, "again": s.RemoveContact("bob"),
		"block": s.BlockContact("bob", true), "verify": s.VerifyDevice(bob.Account(), bob.Device(), "", now),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	ok(t, s.AddContact("robert", bob.Link(), now))
}

func TestPetnames(t *testing.T) {
	for _, good := range []string{"b", "Bob Example", "\u00c5sa", "\u674e\u56db", strings.Repeat("\u00e5", MaxPetname)} {
		if err := CheckPetname(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", " bob", "bob ", "b\tb", "b\x00", "\x1b[2J", "\xff", "\u202ebob", "peerd:abc", "PEERD:x", strings.Repeat("x", MaxPetname+1)} {
		if err := CheckPetname(bad); !errors.Is(err, ErrBadPetname) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if fold("Stra\u00dfe K") != fold("sTRA\u1e9ee \u212a") || fold("a") == fold("b") {
		t.Error("case is not folded")
	}
}

func TestSeenDevicesAreBounded(t *testing.T) {
	s := open(t, tempFile(t))
	bob := newIdentity(t, "bob")
	ok(t, s.AddContact("bob", bob.Link(), now))
	var last identity.DeviceID
	for range MaxSeenDevices + 3 {
		last = newIdentity(t, "bob").Device()
		if isNew, err := s.SawDevice(bob.Account(), last, strings.Repeat("n", 1000), now); err != nil || !isNew {
			t.Fatal(isNew, err)
		}
	}
	c, err := s.Contact("bob")
	ok(t, err)
	if n := len(c.Devices); n != MaxSeenDevices || c.Devices[n-1].ID != last || len(c.Devices[0].Name) > maxText {
		t.Errorf("%d devices", n)
	}
}

func testCall(id string, started int64) Call {
	return Call{ID: id, Direction: Outgoing, Account: "account", Name: "bob", Started: started}
}

func TestCallLife(t *testing.T) {
	s := open(t, tempFile(t))
	c := testCall("one", 1000)
	ok(t, s.PutCall(c))
	c.Ringing, c.Answered = 1100, 3000
	ok(t, s.PutCall(c))
	c.Ended, c.Reason, c.Path, c.Stats = 9000, "hangup", "direct", json.RawMessage(`{"rtt_ms":4}`)
	ok(t, s.PutCall(c))
	s = reopen(t, s)
	if got, err := s.Call("one"); err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("got %+v, %v", got, err)
	}
	if all, err := s.Calls(0); err != nil || len(all) != 1 {
		t.Errorf("%d calls, %v", len(all), err)
	}
	if _, err := s.Call("two"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such call: %v", err)
	}
}

func TestCallsNewestFirst(t *testing.T) {
	s := open(t, tempFile(t))
	for i, started := range []int64{500, 100, 900, 500} {
		ok(t, s.PutCall(testCall(fmt.Sprint("call-", i), started)))
	}
	for limit, want := range map[int][]string{
		0: {"call-2", "call-3", "call-0", "call-1"}, 2: {"call-2", "call-3"}, 9: {"call-2", "call-3", "call-0", "call-1"},
	} {
		calls, err := s.Calls(limit)
		ok(t, err)
		var got []string
		for _, c := range calls {
			got = append(got, c.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %v", limit, got)
		}
	}
}

func TestCallsThatWereLiveAreClosedAsLost(t *testing.T) {
	s := open(t, tempFile(t))
	ringing, answered, ended := testCall("ringing", 1000), testCall("answered", 1000), testCall("ended", 1000)
	ringing.Ringing = 1200
	answered.Answered, answered.Seen = 2000, 7000
	ended.Ended, ended.Reason = 3000, "declined"
	for _, c := range []Call{ringing, answered, ended} {
		ok(t, s.PutCall(c))
	}
	s = reopen(t, s)
	ringing.Ended, ringing.Reason = 1200, ReasonLost
	answered.Ended, answered.Reason = 7000, ReasonLost
	for _, want := range []Call{ringing, answered, ended} {
		if got, err := s.Call(want.ID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	if live, err := s.liveCalls(); err != nil || len(live) != 0 {
		t.Errorf("still live: %v, %v", live, err)
	}
}

func TestHistoryIsBoundedAndKeepsLiveCalls(t *testing.T) {
	s := open(t, tempFile(t))
	for i := range 20 {
		c := testCall(fmt.Sprintf("call-%02d", i), int64(1000+i))
		if i != 3 {
			c.Ended = 2000
		}
		ok(t, s.PutCall(c))
	}
	ok(t, s.db.Update(func(tx *bbolt.Tx) error { return forgetOldest(tx, 5) }))
	calls, err := s.Calls(0)
	ok(t, err)
	var ids []string
	for _, c := range calls {
		ids = append(ids, c.ID)
		if _, err := s.Call(c.ID); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"call-19", "call-18", "call-17", "call-16", "call-03"}; !slices.Equal(ids, want) {
		t.Errorf("kept %v, want %v", ids, want)
	}
	if _, err := s.Call("call-00"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a forgotten call: %v", err)
	}
}

func TestCallBounds(t *testing.T) {
	s := open(t, tempFile(t))
	big, long := testCall("big", 1), testCall("long", 1)
	big.Stats = bytes.Repeat([]byte(" "), MaxStats+1)
	long.Name = strings.Repeat("x", maxText+1)
	for _, c := range []Call{big, long} {
		if err := s.PutCall(c); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", c.ID, err)
		}
	}
	for _, c := range []Call{testCall("", 1), testCall("x", 0)} {
		if err := s.PutCall(c); err == nil {
			t.Errorf("stored %+v", c)
		}
	}
	if all, err := s.Calls(0); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestValues(t *testing.T) {
	s := open(t, tempFile(t))
	ok(t, s.SetValue("policy", []byte("strict")))
	s = reopen(t, s)
	if v, err := s.Value("policy"); err != nil || string(v) != "strict" {
		t.Errorf("%q, %v", v, err)
	}
	ok(t, s.SetValue("policy", nil))
	if _, err := s.Value("policy"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
	for _, err := range []error{s.SetValue("", nil), s.SetValue("x", make([]byte, MaxValue+1)), s.SetValue(strings.Repeat("x", maxText+1), nil)} {
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("out of bounds: %v", err)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	s := open(t, tempFile(t))
	ok(t, s.Close())
	ok(t, s.Close())
	if err := s.PutCall(testCall("x", 1)); err == nil {
		t.Error("stored after Close")
	}
}

func TestFileIsPrivate(t *testing.T) {
	path := tempFile(t)
	open(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if names, _ := filepath.Glob(path + "*"); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}
