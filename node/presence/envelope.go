package presence

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/peerd/peerd/node/identity"
)

// kind tells the two records apart on the wire.
type kind uint8

const (
	kindAccount  kind = 'a'
	kindPresence kind = 'p'
)

// namespace is the first part of the record's key.
func (k kind) namespace() string {
	if k == kindAccount {
		return AccountNamespace
	}
	return PresenceNamespace
}

// context begins everything hashed, signed or sealed for this kind of record.
func (k kind) context() string {
	if k == kindAccount {
		return "peerd account record 1\x00"
	}
	return "peerd presence record 1\x00"
}

const (
	wireVersion = 1
	// version, kind, signer's key, day, sequence, issued, expires
	headerSize = 1 + 1 + ed25519.PublicKeySize + 4 + 8 + 8 + 8
	nonceSize  = 12 // of ChaCha20-Poly1305, RFC 8439
	tagSize    = 16
	overhead   = headerSize + nonceSize + tagSize + ed25519.SignatureSize
	// maxBody is the room for a body before it is sealed, in bytes.
	maxBody = MaxSize - overhead
	// maxMillis keeps sums of times far from overflow (the year 144,683).
	maxMillis = 1 << 52
)

// header is the part of a record that everyone can read. On the wire all
// numbers are big-endian, times are Unix milliseconds.
type header struct {
	kind            kind
	signer          identity.AccountID // the account's or the device's Ed25519 key
	day             int64
	seq             uint64
	issued, expires int64
}

// envelope is a record taken apart; its slices share the value's memory.
type envelope struct {
	header
	raw    []byte // the header's bytes
	nonce  []byte
	sealed []byte
	signed []byte // everything before the signature
	sig    []byte
}

// appendTo appends the header's wire form.
func (h header) appendTo(b []byte) []byte {
	b = append(b, wireVersion, byte(h.kind))
	b = append(b, h.signer[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(h.day))
	b = binary.BigEndian.AppendUint64(b, h.seq)
	b = binary.BigEndian.AppendUint64(b, uint64(h.issued))
	return binary.BigEndian.AppendUint64(b, uint64(h.expires))
}

// parse takes a record apart and checks its shape only.
func parse(value []byte) (envelope, error) {
	switch {
	case len(value) > MaxSize:
		return envelope{}, fmt.Errorf("record of %d bytes, %d are allowed: %w", len(value), MaxSize, ErrTooLarge)
	case len(value) > 0 && value[0] > wireVersion:
		return envelope{}, fmt.Errorf("version %d, this peerd knows %d: %w", value[0], wireVersion, ErrNewerVersion)
	case len(value) < overhead || value[0] != wireVersion:
		return envelope{}, fmt.Errorf("%d bytes: %w", len(value), ErrMalformed)
	}
	body := len(value) - ed25519.SignatureSize
	e := envelope{
		header: header{
			kind:    kind(value[1]),
			signer:  identity.AccountID(value[2:34]),
			day:     int64(binary.BigEndian.Uint32(value[34:])),
			seq:     binary.BigEndian.Uint64(value[38:]),
			issued:  int64(min(binary.BigEndian.Uint64(value[46:]), maxMillis)),
			expires: int64(min(binary.BigEndian.Uint64(value[54:]), maxMillis)),
		},
		raw:    value[:headerSize],
		nonce:  value[headerSize : headerSize+nonceSize],
		sealed: value[headerSize+nonceSize : body],
		signed: value[:body],
		sig:    value[body:],
	}
	if e.kind != kindAccount && e.kind != kindPresence {
		return envelope{}, fmt.Errorf("record of kind %#02x: %w", value[1], ErrMalformed)
	}
	return e, nil
}

// checkLife returns ErrExpired unless the record is valid at now, and
// ErrWrongKey when its day is none of those it lives in.
func (h header) checkLife(now time.Time) error {
	t, skew, life := now.UnixMilli(), MaxSkew.Milliseconds(), MaxLife.Milliseconds()
	switch {
	case h.issued > t+skew:
		return fmt.Errorf("issued %d ms ahead of our clock: %w", h.issued-t, ErrExpired)
	case h.expires <= h.issued || h.expires-h.issued > life:
		return fmt.Errorf("a life of %d ms: %w", h.expires-h.issued, ErrExpired)
	case h.expires < t-skew:
		return fmt.Errorf("expired %d ms ago: %w", t-h.expires, ErrExpired)
	}
	first, last := Day(time.UnixMilli(h.issued-skew)), Day(time.UnixMilli(h.expires+skew))
	if h.day < first || h.day > last {
		return fmt.Errorf("day %d in a record that lives on days %d to %d: %w", h.day, first, last, ErrWrongKey)
	}
	return nil
}

// checkSignature returns ErrBadSignature unless the signer named in the header
// signed the record.
func (e envelope) checkSignature() error {
	if e.signer.Verify(append([]byte(e.kind.context()), e.signed...), e.sig) != nil {
		return ErrBadSignature
	}
	return nil
}
