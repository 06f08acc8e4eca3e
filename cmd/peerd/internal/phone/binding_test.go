package phone

import (
	"errors"
	"strings"
	"testing"

	"github.com/peerd/peerd/node/identity"
)

// testBinding makes a true binding between two new identities.
func testBinding(tb testing.TB) (boundCall, fingerprint, []byte) {
	tb.Helper()
	a, _, err := identity.New("alice", nil)
	if err != nil {
		tb.Fatal(err)
	}
	b, _, err := identity.New("bob", nil)
	if err != nil {
		tb.Fatal(err)
	}
	call := boundCall{id: "0123", role: roleCaller, signer: a.Device(), other: b.Device()}
	fp := fingerprint{1, 2, 3}
	raw, err := call.sign(a.SignDevice, fp)
	if err != nil {
		tb.Fatal(err)
	}
	return call, fp, raw
}

func TestBindingHoldsForOneCallOnly(t *testing.T) {
	t.Parallel()
	call, fp, raw := testBinding(t)
	if got, err := call.verify(raw); err != nil || got != fp {
		t.Fatalf("the true binding: %x, %v", got, err)
	}
	id, role, other, signer := call, call, call, call
	id.id = "0124"
	role.role = roleCallee
	other.other = call.signer
	signer.signer = call.other
	for name, wrong := range map[string]boundCall{"id": id, "role": role, "other device": other, "signer": signer} {
		if _, err := wrong.verify(raw); !errors.Is(err, errBadBinding) {
			t.Errorf("with another %s: %v", name, err)
		}
	}
	for i := range raw {
		bad := append([]byte(nil), raw...)
		bad[i] ^= 0x40
		if _, err := call.verify(bad); !errors.Is(err, errBadBinding) {
			t.Fatalf("with byte %d changed: %v", i, err)
		}
	}
}

func TestParseFingerprint(t *testing.T) {
	t.Parallel()
	good := "AB" + strings.Repeat(":0f", 31)
	for _, text := range []string{good, "sha-256 " + good, " SHA-256 " + strings.ToLower(good) + " "} {
		if fp, err := parseFingerprint(text); err != nil || fp[0] != 0xab || fp[31] != 0x0f {
			t.Errorf("%q: %x, %v", text, fp, err)
		}
	}
	for _, text := range []string{"", "sha-256", good + ":00", "sha-1 " + good[:59], "zz" + good[2:]} {
		if _, err := parseFingerprint(text); !errors.Is(err, errBadBinding) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzBinding(f *testing.F) {
	call, fp, raw := testBinding(f)
	f.Add(raw)
	f.Add([]byte{})
	f.Add(raw[:len(raw)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := call.verify(b)
		if err == nil && got != fp {
			t.Fatalf("a binding for another fingerprint verifies: %x", b)
		}
		if err != nil && !errors.Is(err, errBadBinding) {
			t.Fatal(err)
		}
	})
}

func FuzzParseFingerprint(f *testing.F) {
	f.Add("sha-256 AB" + strings.Repeat(":0f", 31))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parseFingerprint(text); err != nil && !errors.Is(err, errBadBinding) {
			t.Fatal(err)
		}
	})
}
