package identity

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNewFromPhraseIsTheSameAccountOnAnotherDevice(t *testing.T) {
	first, phrase, err := New("alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(phrase)); n != 24 {
		t.Errorf("phrase of %d words", n)
	}
	second, err := FromPhrase(strings.ToUpper(phrase), "alice's other machine")
	if err != nil {
		t.Fatal(err)
	}
	if first.Account() != second.Account() || first.Link() != second.Link() {
		t.Error("the phrase gives another account or link")
	}
	if first.Device() == second.Device() {
		t.Error("two machines have one device key")
	}
	if err := second.Certificate().VerifyFor(second.Device(), time.Now()); err != nil {
		t.Error(err)
	}
}

func TestNewUsesTheGivenRandomness(t *testing.T) {
	make := func() (*Identity, string) {
		id, phrase, err := New("alice", rand.NewChaCha8([32]byte{1}))
		if err != nil {
			t.Fatal(err)
		}
		return id, phrase
	}
	a, phraseA := make()
	b, phraseB := make()
	if phraseA != phraseB || a.Device() != b.Device() || a.Account() != b.Account() {
		t.Error("same randomness, another identity")
	}
	if _, _, err := New("alice", bytes.NewReader(nil)); err == nil {
		t.Error("an identity without randomness")
	}
}

func TestNamesAreChecked(t *testing.T) {
	for _, bad := range []string{"", strings.Repeat("x", MaxNameLen+1), "a\nb", "a\x1b[31m", "a\xff"} {
		if _, _, err := New(bad, nil); !errors.Is(err, ErrBadName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestFromPhraseWantsAllWords(t *testing.T) {
	if _, err := FromPhrase(vectors(t)[0].Phrase, "alice"); !errors.Is(err, ErrBadPhrase) {
		t.Errorf("12 words: %v", err)
	}
}

func TestRotateLink(t *testing.T) {
	id, phrase, err := New("alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	old := id.Link()
	link, err := id.RotateLink()
	if err != nil {
		t.Fatal(err)
	}
	if link == old || link != id.Link() || link.Account != old.Account || id.LinkVersion() != 2 {
		t.Errorf("from %v to %v, version %d", old, link, id.LinkVersion())
	}
	back, err := FromPhrase(phrase, "alice")
	if err != nil {
		t.Fatal(err)
	}
	if err := back.RestoreLink(2); err != nil || back.Link() != link {
		t.Errorf("restored %v, %v", back.Link(), err)
	}
}

// linkDevice takes a new device into id's account and returns it.
func linkDevice(t *testing.T, id *Identity, name string) *Identity {
	t.Helper()
	device, err := NewDevice(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	request, err := device.DeviceRequest()
	if err != nil {
		t.Fatal(err)
	}
	grant, cert, err := id.Approve(request, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := device.Adopt(grant, time.Now()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(device.Certificate().Marshal(), cert.Marshal()) {
		t.Error("the device has another certificate than was approved")
	}
	return device
}

func TestLinkASecondDevice(t *testing.T) {
	alice := newIdentity(t, "alice")
	laptop := linkDevice(t, alice, "laptop")
	if laptop.Account() != alice.Account() || laptop.Link() != alice.Link() || !laptop.Linked() {
		t.Error("the linked device has another account or link")
	}
	if laptop.HasAccountKey() {
		t.Error("the linked device holds the account key")
	}
	for what, err := range map[string]error{
		"sign":    second(laptop.SignAccount([]byte("x"))),
		"rotate":  second(laptop.RotateLink()),
		"revoke":  laptop.Revoke(alice.Device()),
		"restore": laptop.RestoreLink(3),
	} {
		if !errors.Is(err, ErrNoAccountKey) {
			t.Errorf("%s without account key: %v", what, err)
		}
	}
	if n := len(alice.Devices()); n != 2 || len(laptop.Devices()) != 2 {
		t.Errorf("%d and %d devices", n, len(laptop.Devices()))
	}
}

func second[T any](_ T, err error) error { return err }

func TestRevoke(t *testing.T) {
	alice := newIdentity(t, "alice")
	laptop := linkDevice(t, alice, "laptop")
	if err := alice.Revoke(laptop.Device()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(alice.Revoked(), []DeviceID{laptop.Device()}) || len(alice.Devices()) != 1 {
		t.Errorf("revoked %v, devices %v", alice.Revoked(), alice.Devices())
	}
	request, err := laptop.DeviceRequest()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := alice.Approve(request, time.Now()); !errors.Is(err, ErrRevoked) {
		t.Errorf("approve a revoked device: %v", err)
	}
	for _, device := range []DeviceID{alice.Device(), laptop.Device(), newIdentity(t, "eve").Device()} {
		if err := alice.Revoke(device); !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("revoke %s: %v", device, err)
		}
	}
}

func TestGrantOpensOnlyOnTheDeviceThatAsked(t *testing.T) {
	alice, eve := newIdentity(t, "alice"), newIdentity(t, "eve")
	asked, other := must(NewDevice("asked", nil))(t), must(NewDevice("other", nil))(t)
	grant, _, err := alice.Approve(must(asked.DeviceRequest())(t), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err = other.Adopt(grant, time.Now()); !errors.Is(err, ErrBadGrant) {
		t.Errorf("another device: %v", err)
	}
	if err = asked.Adopt(grant, time.Now().Add(CertificateLife*2)); !errors.Is(err, ErrExpiredCertificate) {
		t.Errorf("after its life: %v", err)
	}
	foreign, _, err := eve.Approve(must(asked.DeviceRequest())(t), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := asked.Adopt(grant, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := asked.Adopt(foreign, time.Now()); !errors.Is(err, ErrBadGrant) || asked.Account() != alice.Account() {
		t.Errorf("another account's grant on a linked device: %v", err)
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestAccountHasABoundOfDevices(t *testing.T) {
	alice := newIdentity(t, "alice")
	for range MaxDevices - 1 {
		linkDevice(t, alice, "laptop")
	}
	request := must(must(NewDevice("one too many", nil))(t).DeviceRequest())(t)
	if _, _, err := alice.Approve(request, time.Now()); !errors.Is(err, ErrBadRequest) {
		t.Errorf("device %d: %v", MaxDevices+1, err)
	}
}

func FuzzApprove(f *testing.F) {
	alice := newIdentity(f, "alice")
	// The same device in every process of the fuzzer.
	device, err := NewDevice("laptop", rand.NewChaCha8([32]byte{2}))
	if err != nil {
		f.Fatal(err)
	}
	request, err := device.DeviceRequest()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{request, request[:60], requestPrefix, "", alice.Link().String()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, cert, err := alice.Approve(text, time.Now())
		if err == nil && cert.Device != device.Device() {
			t.Fatalf("approved %s, which never asked", cert.Device)
		}
		if err != nil && !errors.Is(err, ErrBadRequest) && !errors.Is(err, ErrNewerVersion) {
			t.Fatalf("unnamed error %v", err)
		}
	})
}

func FuzzAdopt(f *testing.F) {
	alice := newIdentity(f, "alice")
	device, err := NewDevice("laptop", rand.NewChaCha8([32]byte{2}))
	if err != nil {
		f.Fatal(err)
	}
	request, err := device.DeviceRequest()
	if err != nil {
		f.Fatal(err)
	}
	grant, _, err := alice.Approve(request, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{grant, grant[:100], grantPrefix, ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := device.Adopt(text, time.Now())
		if err != nil && !errors.Is(err, ErrBadGrant) && !errors.Is(err, ErrNewerVersion) {
			t.Fatalf("unnamed error %v", err)
		}
	})
}
