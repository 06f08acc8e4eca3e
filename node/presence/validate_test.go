package presence

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/peerd/peerd/node/identity"
)

var _ record.Validator = Validator{}

func at(now time.Time) Validator { return Validator{Now: func() time.Time { return now }} }

func TestValidate(t *testing.T) {
	id, eve := newIdentity(t, "alice"), newIdentity(t, "eve")
	day := Day(start)
	p, a := sealPresence(t, id, testPresence(id, start)), sealAccount(t, id, testAccount(id, start))
	forged := bytes.Clone(p)
	forged[len(forged)-1] ^= 1
	stolen := bytes.Clone(p) // eve's key in alice's record
	eveKey, err := identity.DeviceKeyBytes(eve.Device())
	if err != nil {
		t.Fatal(err)
	}
	copy(stolen[2:], eveKey)
	for what, c := range map[string]struct {
		key   string
		value []byte
		now   time.Time
		is    error
	}{
		"presence":          {PresenceKey(id.Device(), day), p, start, nil},
		"account":           {AccountKey(id.Account(), day), a, start, nil},
		"another device":    {PresenceKey(eve.Device(), day), p, start, ErrWrongKey},
		"another day":       {PresenceKey(id.Device(), day+1), p, start, ErrWrongKey},
		"another kind":      {AccountKey(id.Account(), day), p, start, ErrWrongKey},
		"no key":            {"", p, start, ErrWrongKey},
		"bad signature":     {PresenceKey(id.Device(), day), forged, start, ErrBadSignature},
		"signed by another": {PresenceKey(eve.Device(), day), stolen, start, ErrBadSignature},
		"expired":           {PresenceKey(id.Device(), day), p, start.Add(2 * time.Hour), ErrExpired},
		"long ahead":        {PresenceKey(id.Device(), day), p, start.Add(-time.Hour), ErrExpired},
		"garbage":           {PresenceKey(id.Device(), day), bytes.Repeat([]byte{1}, 300), start, ErrMalformed},
		"empty":             {PresenceKey(id.Device(), day), nil, start, ErrMalformed},
		"oversized":         {PresenceKey(id.Device(), day), make([]byte, MaxSize+1), start, ErrTooLarge},
	} {
		if err := at(c.now).Validate(c.key, c.value); !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %v", what, err, c.is)
		}
	}
}

// A record that lives past midnight is found under both days' keys.
func TestMidnight(t *testing.T) {
	id := newIdentity(t, "alice")
	evening := start.Add(11*time.Hour + 30*time.Minute)
	p := testPresence(id, evening)
	for _, day := range []int64{Day(evening), Day(evening) + 1} {
		value, err := SealPresence(id, p, day)
		if err != nil {
			t.Fatal(err)
		}
		for _, now := range []time.Time{evening, evening.Add(45 * time.Minute)} {
			if err := at(now).Validate(PresenceKey(id.Device(), day), value); err != nil {
				t.Errorf("day %d at %v: %v", day, now, err)
			}
		}
	}
	for _, day := range []int64{Day(evening) - 1, Day(evening) + 2} {
		if _, err := SealPresence(id, p, day); !errors.Is(err, ErrWrongKey) {
			t.Errorf("day %d: %v", day, err)
		}
	}
}

func TestSelectTakesTheNewestValidOne(t *testing.T) {
	id := newIdentity(t, "alice")
	old := sealPresence(t, id, testPresence(id, start.Add(-time.Minute)))
	fresh := sealPresence(t, id, testPresence(id, start))
	broken := bytes.Clone(sealPresence(t, id, testPresence(id, start.Add(time.Minute))))
	broken[70] ^= 1
	other := testPresence(id, start)
	other.Name = "b"
	twin := sealPresence(t, id, other)
	key, v := PresenceKey(id.Device(), Day(start)), at(start)
	for what, c := range map[string]struct {
		values [][]byte
		want   int
	}{
		"fresh last":  {[][]byte{old, fresh}, 1},
		"fresh first": {[][]byte{fresh, old}, 0},
		"one broken":  {[][]byte{broken, nil, old, fresh}, 3},
	} {
		if got, err := v.Select(key, c.values); err != nil || got != c.want {
			t.Errorf("%s: %d, %v", what, got, err)
		}
	}
	one, _ := v.Select(key, [][]byte{fresh, twin})
	two, _ := v.Select(key, [][]byte{twin, fresh})
	if one == two {
		t.Error("two records of one sequence: the choice depends on their order")
	}
	if _, err := v.Select(key, [][]byte{broken}); !errors.Is(err, ErrBadSignature) {
		t.Errorf("none valid: %v", err)
	}
	if _, err := v.Select(key, nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("none at all: %v", err)
	}
}

// fixedIdentity has the same keys in every process of the fuzzer.
func fixedIdentity(f *testing.F) *identity.Identity {
	id, _, err := identity.New("alice", rand.NewChaCha8([32]byte{1}))
	if err != nil {
		f.Fatal(err)
	}
	return id
}

func fuzzSeeds(f *testing.F, value []byte) {
	for _, seed := range [][]byte{value, value[:len(value)-1], value[:overhead], nil, append([]byte{2}, value[1:]...), make([]byte, overhead)} {
		f.Add(seed)
	}
}

func FuzzOpenPresence(f *testing.F) {
	id := fixedIdentity(f)
	value := sealPresence(f, id, testPresence(id, start))
	fuzzSeeds(f, value)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := OpenPresence(raw, id.Link(), id.Device(), start); err == nil && !bytes.Equal(raw, value) {
			t.Fatal("a record nobody signed is open")
		}
		// The same bytes as a body: what a contact's device may send us.
		if p, err := decodePresence(raw); err == nil && (len(p.Addrs) > MaxAddrs || len(p.Capabilities) > MaxCapabilities) {
			t.Fatalf("%d addresses, %d capabilities", len(p.Addrs), len(p.Capabilities))
		}
	})
}

func FuzzOpenAccount(f *testing.F) {
	id := newIdentity(f, "alice")
	value := sealAccount(f, id, testAccount(id, start))
	fuzzSeeds(f, value)
	body, err := encodeAccount(testAccount(id, start))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := OpenAccount(raw, id.Link(), start); err == nil && !bytes.Equal(raw, value) {
			t.Fatal("a record nobody signed is open")
		}
		a, err := decodeAccount(raw, id.Account(), start)
		for _, c := range a.Devices {
			if err == nil && c.Device != id.Device() {
				t.Fatalf("device %s was never certified", c.Device)
			}
		}
	})
}

func FuzzValidate(f *testing.F) {
	id := fixedIdentity(f)
	value := sealPresence(f, id, testPresence(id, start))
	key, v := PresenceKey(id.Device(), Day(start)), at(start)
	fuzzSeeds(f, value)
	fuzzSeeds(f, sealAccount(f, id, testAccount(id, start)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := v.Validate(key, raw); err == nil && !bytes.Equal(raw, value) {
			t.Fatal("a record nobody signed is valid")
		}
		if i, err := v.Select(key, [][]byte{raw, value}); err != nil || i != 1 && !bytes.Equal(raw, value) {
			t.Fatalf("selected %d, %v", i, err)
		}
	})
}
