package presence

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/peerd/peerd/node/identity"
	"golang.org/x/crypto/chacha20poly1305"
)

// SealAccount builds the account record of a day: one of the days from a.Issued
// to a.Expires (a record that lives past midnight is published under both).
// The device must hold the account key. When the revocations do not all fit,
// the oldest are left out: a device not listed is not of the account anyway.
func SealAccount(id *identity.Identity, a Account, day int64) ([]byte, error) {
	body, err := encodeAccount(a)
	if err != nil {
		return nil, fmt.Errorf("build account record: %w", err)
	}
	h := newHeader(kindAccount, a.Seq, a.Issued, a.Expires, day)
	h.signer = id.Account()
	value, err := seal(h, body, id.Link(), id.SignAccount)
	if err != nil {
		return nil, fmt.Errorf("build account record: %w", err)
	}
	return value, nil
}

// SealPresence builds the presence record of a day, as SealAccount does, for
// id's own device; p.Device may be empty. Addresses are left out from the end
// when they do not all fit.
func SealPresence(id *identity.Identity, p Presence, day int64) ([]byte, error) {
	if p.Device != "" && p.Device != id.Device() {
		return nil, fmt.Errorf("build presence record of %s: %w", p.Device, ErrWrongKey)
	}
	key, err := identity.DeviceKeyBytes(id.Device())
	if err != nil {
		return nil, fmt.Errorf("build presence record: %w", err)
	}
	body, err := encodePresence(p)
	if err != nil {
		return nil, fmt.Errorf("build presence record: %w", err)
	}
	h := newHeader(kindPresence, p.Seq, p.Issued, p.Expires, day)
	h.signer = identity.AccountID(key)
	value, err := seal(h, body, id.Link(), id.SignDevice)
	if err != nil {
		return nil, fmt.Errorf("build presence record: %w", err)
	}
	return value, nil
}

func newHeader(k kind, seq uint64, issued, expires time.Time, day int64) header {
	return header{kind: k, day: day, seq: seq, issued: issued.UnixMilli(), expires: expires.UnixMilli()}
}

// seal encrypts body for the holders of the link and has the record signed.
func seal(h header, body []byte, link identity.Link, sign func([]byte) ([]byte, error)) ([]byte, error) {
	if err := h.checkLife(time.UnixMilli(h.issued)); err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("body of %d bytes, %d are allowed: %w", len(body), maxBody, ErrTooLarge)
	}
	raw := h.appendTo(make([]byte, 0, MaxSize))
	key, nonceKey, err := sealKeys(raw, h.kind, link)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, err
	}
	// The key is of this header alone and the nonce is made of the body, so
	// that no two bodies are ever sealed with the same key and nonce.
	mac := hmac.New(sha256.New, nonceKey)
	mac.Write(body)
	nonce := mac.Sum(nil)[:nonceSize]
	value := aead.Seal(append(raw, nonce...), nonce, body, raw)
	sig, err := sign(append([]byte(h.kind.context()), value...))
	if err != nil {
		return nil, err
	}
	return append(value, sig...), nil
}

// sealKeys derives a record's key and the key of its nonce from the link
// secret (HKDF-SHA256, RFC 5869), with the header as context.
func sealKeys(rawHeader []byte, k kind, link identity.Link) (key, nonceKey []byte, err error) {
	const n = chacha20poly1305.KeySize
	both, err := hkdf.Key(sha256.New, link.Secret[:], link.Account[:], k.context()+string(rawHeader), 2*n)
	if err != nil {
		return nil, nil, fmt.Errorf("derive sealing key: %w", err)
	}
	return both[:n], both[n:], nil
}

// OpenAccount checks and opens an account record. Certificates out of date are
// left out; a forged one voids the record.
func OpenAccount(value []byte, link identity.Link, now time.Time) (Account, error) {
	e, body, err := open(value, kindAccount, link.Account, link, now)
	if err != nil {
		return Account{}, fmt.Errorf("open account record: %w", err)
	}
	a, err := decodeAccount(body, link.Account, now)
	if err != nil {
		return Account{}, fmt.Errorf("open account record: %w", err)
	}
	a.Seq, a.Issued, a.Expires = e.seq, time.UnixMilli(e.issued), time.UnixMilli(e.expires)
	return a, nil
}

// OpenPresence checks and opens a device's presence record. Whether the device
// is the account's is said by the account record.
func OpenPresence(value []byte, link identity.Link, device identity.DeviceID, now time.Time) (Presence, error) {
	key, err := identity.DeviceKeyBytes(device)
	if err != nil {
		return Presence{}, fmt.Errorf("open presence record: %w", err)
	}
	e, body, err := open(value, kindPresence, identity.AccountID(key), link, now)
	if err != nil {
		return Presence{}, fmt.Errorf("open presence record: %w", err)
	}
	p, err := decodePresence(body)
	if err != nil {
		return Presence{}, fmt.Errorf("open presence record: %w", err)
	}
	p.Device = device
	p.Seq, p.Issued, p.Expires = e.seq, time.UnixMilli(e.issued), time.UnixMilli(e.expires)
	return p, nil
}

// open checks everything outside and returns the record and its plain body.
func open(value []byte, k kind, signer identity.AccountID, link identity.Link, now time.Time) (envelope, []byte, error) {
	e, err := parse(value)
	if err != nil {
		return envelope{}, nil, err
	}
	if e.kind != k || e.signer != signer {
		return envelope{}, nil, fmt.Errorf("a record of another kind, account or device: %w", ErrWrongKey)
	}
	if err = e.checkLife(now); err != nil {
		return envelope{}, nil, err
	}
	if err = e.checkSignature(); err != nil {
		return envelope{}, nil, err
	}
	key, _, err := sealKeys(e.raw, k, link)
	if err != nil {
		return envelope{}, nil, err
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return envelope{}, nil, err
	}
	body, err := aead.Open(nil, e.nonce, e.sealed, e.raw)
	if err != nil {
		return envelope{}, nil, ErrBadSeal
	}
	return e, body, nil
}
