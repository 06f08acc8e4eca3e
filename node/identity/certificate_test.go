package identity

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func newIdentity(t testing.TB, name string) *Identity {
	t.Helper()
	id, _, err := New(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestCertificateRoundTrip(t *testing.T) {
	c := newIdentity(t, strings.Repeat("n", MaxNameLen)).Certificate()
	raw := c.Marshal()
	if len(raw) != MaxCertificateSize {
		t.Errorf("longest certificate has %d bytes, want %d", len(raw), MaxCertificateSize)
	}
	got, err := ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.Account != c.Account || got.Device != c.Device || got.Name != c.Name || got.Serial != c.Serial ||
		!got.Issued.Equal(c.Issued) || !got.Expires.Equal(c.Expires) || !bytes.Equal(got.Sig, c.Sig) {
		t.Errorf("got %+v, want %+v", got, c)
	}
	if err := got.VerifyFor(c.Device, time.Now()); err != nil {
		t.Error(err)
	}
}

func TestEveryChangedBitOfACertificateIsFound(t *testing.T) {
	c := newIdentity(t, "alice").Certificate()
	raw := c.Marshal()
	for i := range len(raw) * 8 {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		got, err := ParseCertificate(bad)
		if err != nil {
			continue
		}
		if err := got.VerifyFor(c.Device, c.Issued); !errors.Is(err, ErrForgedCertificate) {
			t.Fatalf("bit %d changed: %v", i, err)
		}
	}
}

func TestCertificateRefused(t *testing.T) {
	alice, mallory := newIdentity(t, "alice"), newIdentity(t, "mallory")
	c := alice.Certificate()
	now := c.Issued

	if err := c.VerifyFor(mallory.Device(), now); !errors.Is(err, ErrForeignCertificate) {
		t.Errorf("shown by another device: %v", err)
	}
	forged := mallory.Certificate()
	forged.Account = alice.Account()
	if err := forged.VerifyFor(mallory.Device(), now); !errors.Is(err, ErrForgedCertificate) {
		t.Errorf("another account's name: %v", err)
	}
	unsigned := c
	unsigned.Sig = nil
	if err := unsigned.Verify(now); !errors.Is(err, ErrForgedCertificate) {
		t.Errorf("unsigned: %v", err)
	}
	for at, want := range map[time.Time]error{
		c.Issued.Add(-MaxSkew):                      nil,
		c.Issued.Add(-MaxSkew - time.Second):        ErrExpiredCertificate,
		c.Expires.Add(MaxSkew):                      nil,
		c.Expires.Add(MaxSkew + time.Second):        ErrExpiredCertificate,
		c.Issued.Add(CertificateLife * 2):           ErrExpiredCertificate,
		c.Issued.Add(CertificateLife / 2):           nil,
		time.Unix(0, 0):                             ErrExpiredCertificate,
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC): ErrExpiredCertificate,
	} {
		if err := c.Verify(at); !errors.Is(err, want) {
			t.Errorf("at %v: %v, want %v", at, err, want)
		}
	}
}

func TestParseCertificateRefuses(t *testing.T) {
	raw := newIdentity(t, "alice").Certificate().Marshal()
	for name, c := range map[string]struct {
		raw []byte
		is  error
	}{
		"empty":     {nil, ErrBadCertificate},
		"version 0": {append([]byte{0}, raw[1:]...), ErrBadCertificate},
		"version 2": {append([]byte{2}, raw[1:]...), ErrNewerVersion},
		"cut":       {raw[:len(raw)-1], ErrBadCertificate},
		"too long":  {append(bytes.Clone(raw), 0), ErrBadCertificate},
		"huge":      {make([]byte, 1<<20), ErrBadCertificate},
		"no name":   {append(append(bytes.Clone(raw[:certFixed-1]), 0), raw[len(raw)-64:]...), ErrBadCertificate},
	} {
		if _, err := ParseCertificate(c.raw); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignatures(t *testing.T) {
	alice := newIdentity(t, "alice")
	msg := []byte("peerd test\x00hello")
	sig, err := alice.SignDevice(msg)
	if err != nil {
		t.Fatal(err)
	}
	if err = VerifyDeviceSignature(alice.Device(), msg, sig); err != nil {
		t.Error(err)
	}
	if err = VerifyDeviceSignature(alice.Device(), append(msg, '!'), sig); !errors.Is(err, ErrBadSignature) {
		t.Errorf("another message: %v", err)
	}
	if err = VerifyDeviceSignature("no key in here", msg, sig); !errors.Is(err, ErrBadKey) {
		t.Errorf("no key: %v", err)
	}
	account, err := alice.SignAccount(msg)
	if err != nil {
		t.Fatal(err)
	}
	if err = alice.Account().Verify(msg, account); err != nil {
		t.Error(err)
	}
	if err = alice.Account().Verify(msg, sig); !errors.Is(err, ErrBadSignature) {
		t.Errorf("device's signature for the account's: %v", err)
	}
	fromKey, err := alice.DeviceKey().Sign(msg) // libp2p's form of the same key
	if err != nil || !bytes.Equal(fromKey, sig) {
		t.Errorf("libp2p key signs %x, %v", fromKey, err)
	}
}

func TestParseDevice(t *testing.T) {
	device := newIdentity(t, "alice").Device()
	if got, err := ParseDevice(device.String()); err != nil || got != device {
		t.Errorf("%v, %v", got, err)
	}
	rsa := "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N" // a hash, no key inside
	for _, bad := range []string{"", "x", rsa, strings.Repeat("1", 1<<20)} {
		if _, err := ParseDevice(bad); !errors.Is(err, ErrBadKey) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

func FuzzParseCertificate(f *testing.F) {
	raw := newIdentity(f, "alice").Certificate().Marshal()
	for _, seed := range [][]byte{raw, raw[:50], nil, append([]byte{2}, raw[1:]...), make([]byte, MaxCertificateSize)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseCertificate(raw)
		if err != nil {
			if !errors.Is(err, ErrBadCertificate) && !errors.Is(err, ErrNewerVersion) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		if !bytes.Equal(c.Marshal(), raw) {
			t.Fatalf("%x became %x", raw, c.Marshal())
		}
		if err := c.Verify(time.Now()); err == nil && !bytes.Contains(raw, []byte("alice")) {
			t.Fatal("a certificate nobody signed is valid")
		}
	})
}
