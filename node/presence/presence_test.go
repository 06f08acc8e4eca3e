package presence

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/node/identity"
)

// start is the moment at which the tests' records are issued: the next noon but
// one at most, as certificates are issued at the real time.
var start = time.Now().Truncate(24 * time.Hour).Add(36 * time.Hour)

func newIdentity(t testing.TB, name string) *identity.Identity {
	t.Helper()
	id, _, err := identity.New(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// linkDevices fills id's account up to n devices.
func linkDevices(t testing.TB, id *identity.Identity, n int) {
	t.Helper()
	for i := len(id.Devices()); i < n; i++ {
		device, err := identity.NewDevice(strings.Repeat("n", identity.MaxNameLen), nil)
		if err != nil {
			t.Fatal(err)
		}
		request, err := device.DeviceRequest()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := id.Approve(request, start); err != nil {
			t.Fatal(err)
		}
	}
}

func testPresence(id *identity.Identity, issued time.Time) Presence {
	return Presence{
		Seq:     uint64(issued.UnixMilli()),
		Issued:  issued,
		Expires: issued.Add(time.Hour),
		Device:  id.Device(),
		Addrs: []string{
			"/ip4/192.0.2.7/udp/27470/quic-v1",
			"/ip6/2001:db8::7/tcp/27470",
			"/ip4/198.51.100.1/udp/4001/quic-v1/p2p/" + id.Device().String() + "/p2p-circuit",
		},
		Capabilities: []string{"call/1", "relay"},
		Name:         id.Name(),
	}
}

func testAccount(id *identity.Identity, issued time.Time) Account {
	return Account{
		Seq:     uint64(issued.UnixMilli()),
		Issued:  issued,
		Expires: issued.Add(MaxLife),
		Devices: id.Devices(),
		Revoked: id.Revoked(),
	}
}

func sealPresence(t testing.TB, id *identity.Identity, p Presence) []byte {
	t.Helper()
	value, err := SealPresence(id, p, Day(p.Issued))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func sealAccount(t testing.TB, id *identity.Identity, a Account) []byte {
	t.Helper()
	value, err := SealAccount(id, a, Day(a.Issued))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestPresenceRoundTrip(t *testing.T) {
	id := newIdentity(t, "alice")
	want := testPresence(id, start)
	value := sealPresence(t, id, want)
	got, err := OpenPresence(value, id.Link(), id.Device(), start)
	if err != nil {
		t.Fatal(err)
	}
	if got.Seq != want.Seq || !got.Issued.Equal(want.Issued) || !got.Expires.Equal(want.Expires) ||
		got.Device != want.Device || got.Name != want.Name ||
		!slices.Equal(got.Addrs, want.Addrs) || !slices.Equal(got.Capabilities, want.Capabilities) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if again := sealPresence(t, id, want); !bytes.Equal(again, value) {
		t.Error("sealing is not repeatable")
	}
}

func TestAccountRoundTrip(t *testing.T) {
	id := newIdentity(t, "alice")
	linkDevices(t, id, 3)
	if err := id.Revoke(id.Devices()[1].Device); err != nil {
		t.Fatal(err)
	}
	want := testAccount(id, start)
	got, err := OpenAccount(sealAccount(t, id, want), id.Link(), start)
	if err != nil {
		t.Fatal(err)
	}
	if got.Seq != want.Seq || !got.Issued.Equal(want.Issued) || !got.Expires.Equal(want.Expires) ||
		!slices.Equal(got.Revoked, want.Revoked) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if a, b := marshal(got.Devices), marshal(want.Devices); !bytes.Equal(a, b) {
		t.Errorf("devices %x\nwant %x", a, b)
	}
}

func marshal(certs []identity.Certificate) (raw []byte) {
	for _, c := range certs {
		raw = append(raw, c.Marshal()...)
	}
	return raw
}

func TestRecordsHideTheirContentFromStorers(t *testing.T) {
	id := newIdentity(t, "alice in the open")
	p := sealPresence(t, id, testPresence(id, start))
	account := id.Account()
	for what, part := range map[string][]byte{
		"name": []byte(id.Name()), "address": {192, 0, 2, 7}, "capability": []byte("call/1"), "account": account[:],
	} {
		if bytes.Contains(p, part) {
			t.Errorf("the presence record shows the %s", what)
		}
	}
}

func TestTheLargestAccountFits(t *testing.T) {
	id := newIdentity(t, strings.Repeat("n", identity.MaxNameLen))
	linkDevices(t, id, identity.MaxDevices)
	value := sealAccount(t, id, testAccount(id, start))
	got, err := OpenAccount(value, id.Link(), start)
	if err != nil || len(got.Devices) != identity.MaxDevices {
		t.Errorf("%d devices, %v", len(got.Devices), err)
	}
}

func TestWhatDoesNotFitIsLeftOut(t *testing.T) {
	id := newIdentity(t, "alice")
	a := testAccount(id, start)
	for range 60 {
		a.Revoked = append(a.Revoked, newIdentity(t, "old").Device())
	}
	got, err := OpenAccount(sealAccount(t, id, a), id.Link(), start)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Revoked); n < 10 || !slices.Equal(got.Revoked, a.Revoked[60-n:]) {
		t.Errorf("%d revocations, not the newest", n)
	}

	p := testPresence(id, start)
	long := p.Addrs[2]
	p.Addrs = p.Addrs[:2]
	for i := range 14 {
		p.Addrs = append(p.Addrs, strings.Replace(long, "/ip4/198.51.100.1", fmt.Sprintf("/ip6/2001:db8::%x", i+1), 1))
	}
	opened, err := OpenPresence(sealPresence(t, id, p), id.Link(), id.Device(), start)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(opened.Addrs); n < 10 || n >= len(p.Addrs) || !slices.Equal(opened.Addrs, p.Addrs[:n]) {
		t.Errorf("%d addresses, not the first ones", n)
	}
}

func TestSealRefuses(t *testing.T) {
	id := newIdentity(t, "alice")
	device, err := identity.NewDevice("laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	presence := func(change func(*Presence)) error {
		p := testPresence(id, start)
		change(&p)
		_, err := SealPresence(id, p, Day(start))
		return err
	}
	tooMany := testAccount(id, start)
	for range identity.MaxDevices {
		tooMany.Devices = append(tooMany.Devices, id.Certificate())
	}
	_, manyErr := SealAccount(id, tooMany, Day(start))
	_, dayErr := SealAccount(id, testAccount(id, start), Day(start)+1)
	_, keyErr := SealAccount(device, testAccount(id, start), Day(start))
	for what, c := range map[string]struct{ err, is error }{
		"a life too long":    {presence(func(p *Presence) { p.Expires = p.Issued.Add(MaxLife + 1e9) }), ErrExpired},
		"no life":            {presence(func(p *Presence) { p.Expires = p.Issued }), ErrExpired},
		"another device":     {presence(func(p *Presence) { p.Device = device.Device() }), ErrWrongKey},
		"a bad address":      {presence(func(p *Presence) { p.Addrs = []string{"192.0.2.1:5060"} }), ErrMalformed},
		"a long name":        {presence(func(p *Presence) { p.Name = strings.Repeat("n", 41) }), ErrTooLarge},
		"a long capability":  {presence(func(p *Presence) { p.Capabilities = []string{strings.Repeat("c", 33)} }), ErrTooLarge},
		"many capabilities":  {presence(func(p *Presence) { p.Capabilities = make([]string, 17) }), ErrTooLarge},
		"too many devices":   {manyErr, ErrTooLarge},
		"a day out of life":  {dayErr, ErrWrongKey},
		"no account key":     {keyErr, identity.ErrNoAccountKey},
		"a body too large":   {tooLarge(id), ErrTooLarge},
		"a sequence gone by": {Newer(7, 6), ErrReplayed},
	} {
		if !errors.Is(c.err, c.is) {
			t.Errorf("%s: %v, want %v", what, c.err, c.is)
		}
	}
	if err := Newer(7, 7); err != nil {
		t.Errorf("the same sequence again: %v", err)
	}
}

func tooLarge(id *identity.Identity) error {
	p := testPresence(id, start)
	h := newHeader(kindPresence, p.Seq, p.Issued, p.Expires, Day(start))
	_, err := seal(h, make([]byte, maxBody+1), id.Link(), id.SignDevice)
	return err
}

func TestOpenRefuses(t *testing.T) {
	alice, eve := newIdentity(t, "alice"), newIdentity(t, "eve")
	value := sealPresence(t, alice, testPresence(alice, start))
	wrongSecret := alice.Link()
	wrongSecret.Secret[3] ^= 1
	rotated := alice.Link()
	rotated.Secret = eve.Link().Secret

	open := func(value []byte, link identity.Link, device identity.DeviceID, now time.Time) error {
		_, err := OpenPresence(value, link, device, now)
		return err
	}
	_, asAccount := OpenAccount(value, alice.Link(), start)
	for what, c := range map[string]struct{ err, is error }{
		"another secret":    {open(value, wrongSecret, alice.Device(), start), ErrBadSeal},
		"a rotated secret":  {open(value, rotated, alice.Device(), start), ErrBadSeal},
		"another device":    {open(value, alice.Link(), eve.Device(), start), ErrWrongKey},
		"as account record": {asAccount, ErrWrongKey},
		"no device":         {open(value, alice.Link(), "x", start), identity.ErrBadKey},
		"expired":           {open(value, alice.Link(), alice.Device(), start.Add(time.Hour+MaxSkew+time.Second)), ErrExpired},
		"in the skew":       {open(value, alice.Link(), alice.Device(), start.Add(time.Hour+MaxSkew-time.Second)), nil},
		"from the future":   {open(value, alice.Link(), alice.Device(), start.Add(-MaxSkew-time.Second)), ErrExpired},
		"a clock behind":    {open(value, alice.Link(), alice.Device(), start.Add(-MaxSkew+time.Second)), nil},
		"cut":               {open(value[:100], alice.Link(), alice.Device(), start), ErrMalformed},
		"oversized":         {open(append(value, make([]byte, MaxSize)...), alice.Link(), alice.Device(), start), ErrTooLarge},
		"newer":             {open(append([]byte{2}, value[1:]...), alice.Link(), alice.Device(), start), ErrNewerVersion},
	} {
		if !errors.Is(c.err, c.is) {
			t.Errorf("%s: %v, want %v", what, c.err, c.is)
		}
	}
}

func TestEveryChangedBitIsFound(t *testing.T) {
	id := newIdentity(t, "alice")
	value := sealPresence(t, id, testPresence(id, start))
	for i := range len(value) * 8 {
		bad := bytes.Clone(value)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := OpenPresence(bad, id.Link(), id.Device(), start); err == nil {
			t.Fatalf("bit %d changed and nobody saw it", i)
		}
	}
}

// An account that lists another account's device, or a device it never
// certified, is refused as a whole.
func TestForgedCertificateVoidsTheRecord(t *testing.T) {
	alice, eve := newIdentity(t, "alice"), newIdentity(t, "eve")
	a := testAccount(alice, start)
	a.Devices = append(a.Devices, eve.Certificate())
	_, err := OpenAccount(sealAccount(t, alice, a), alice.Link(), start)
	if !errors.Is(err, identity.ErrForgedCertificate) {
		t.Errorf("foreign device in the list: %v", err)
	}
}

func TestDevicesOutOfDateOrRevokedAreLeftOut(t *testing.T) {
	id := newIdentity(t, "alice")
	issued := start.Add(identity.CertificateLife + 24*time.Hour)
	a := testAccount(id, issued)
	got, err := OpenAccount(sealAccount(t, id, a), id.Link(), issued)
	if err != nil || len(got.Devices) != 0 {
		t.Errorf("out of date: %v, %v", got.Devices, err)
	}
	a = testAccount(id, start)
	a.Revoked = []identity.DeviceID{id.Device()}
	got, err = OpenAccount(sealAccount(t, id, a), id.Link(), start)
	if err != nil || len(got.Devices) != 0 || len(got.Revoked) != 1 {
		t.Errorf("revoked: %+v, %v", got, err)
	}
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	id := newIdentity(t, "alice")
	p := testPresence(id, start)
	body, err := encodePresence(p)
	if err != nil {
		t.Fatal(err)
	}
	body = append(appendField(nil, 200, []byte("of a later peerd")), body...)
	body = appendField(body, tagAddr, []byte{0xff, 0xff, 0x7f, 1, 2}) // an unknown kind of address
	got, err := decodePresence(body)
	if err != nil || !slices.Equal(got.Addrs, p.Addrs) || got.Name != p.Name {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := decodePresence(body[:len(body)-1]); !errors.Is(err, ErrBadSeal) {
		t.Errorf("a cut field: %v", err)
	}
}
