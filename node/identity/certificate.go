package identity

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"time"
)

const (
	// CertificateLife is how long a new certificate is valid.
	CertificateLife = 2 * 365 * 24 * time.Hour
	// MaxSkew is by how much two machines' clocks may differ.
	MaxSkew = 10 * time.Minute
	// MaxCertificateSize bounds a marshalled certificate, in bytes.
	MaxCertificateSize = certFixed + MaxNameLen + ed25519.SignatureSize

	certVersion = 1
	certContext = "peerd device certificate 1\x00"
	// version, account, device, serial, issued, expires, length of the name
	certFixed = 1 + 32 + 32 + 8 + 8 + 8 + 1
)

// Certificate is an account's word that a device is its own. Times have a
// resolution of one second on the wire.
type Certificate struct {
	Version uint8
	Account AccountID
	Device  DeviceID
	Name    string // the device's own name, shown to contacts
	Serial  uint64 // grows with every certificate of an account; Unix ms
	Issued  time.Time
	Expires time.Time
	Sig     []byte // by the account key
}

// Marshal returns the wire form, at most MaxCertificateSize bytes: version,
// account key, device key, serial, issued and expires (Unix seconds), length
// of name, name, signature; numbers are big-endian.
func (c Certificate) Marshal() []byte { return append(c.signed(), c.Sig...) }

// signed returns the wire form without the signature.
func (c Certificate) signed() []byte {
	raw := make([]byte, 0, MaxCertificateSize)
	raw = append(raw, c.Version)
	raw = append(raw, c.Account[:]...)
	key, err := DeviceKeyBytes(c.Device)
	if err != nil {
		key = make([]byte, ed25519.PublicKeySize) // nobody's key: verifies for no device
	}
	raw = append(raw, key...)
	raw = binary.BigEndian.AppendUint64(raw, c.Serial)
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.Issued.Unix()))
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.Expires.Unix()))
	name := c.Name[:min(len(c.Name), MaxNameLen)]
	return append(append(raw, byte(len(name))), name...)
}

// ParseCertificate reads what Marshal wrote; it checks the shape only. Errors
// wrap ErrBadCertificate or ErrNewerVersion.
func ParseCertificate(raw []byte) (Certificate, error) {
	if len(raw) == 0 || len(raw) > MaxCertificateSize*4 {
		return Certificate{}, fmt.Errorf("%d bytes: %w", len(raw), ErrBadCertificate)
	}
	if raw[0] > certVersion {
		return Certificate{}, fmt.Errorf("device certificate of version %d, this peerd knows %d: %w",
			raw[0], certVersion, ErrNewerVersion)
	}
	if raw[0] != certVersion || len(raw) < certFixed {
		return Certificate{}, fmt.Errorf("version %d with %d bytes: %w", raw[0], len(raw), ErrBadCertificate)
	}
	nameLen := int(raw[certFixed-1])
	if len(raw) != certFixed+nameLen+ed25519.SignatureSize {
		return Certificate{}, fmt.Errorf("%d bytes with a name of %d: %w", len(raw), nameLen, ErrBadCertificate)
	}
	name := string(raw[certFixed : certFixed+nameLen])
	if err := CheckName(name); err != nil {
		return Certificate{}, fmt.Errorf("%w: %w", err, ErrBadCertificate)
	}
	device, err := DeviceFromKey(raw[33:65])
	if err != nil {
		return Certificate{}, fmt.Errorf("%w: %w", err, ErrBadCertificate)
	}
	c := Certificate{
		Version: raw[0],
		Account: AccountID(raw[1:33]),
		Device:  device,
		Name:    name,
		Serial:  binary.BigEndian.Uint64(raw[65:]),
		Issued:  time.Unix(int64(binary.BigEndian.Uint64(raw[73:])), 0),
		Expires: time.Unix(int64(binary.BigEndian.Uint64(raw[81:])), 0),
		Sig:     append([]byte(nil), raw[certFixed+nameLen:]...),
	}
	return c, nil
}

// Verify returns ErrForgedCertificate unless the account named inside signed
// the certificate, and ErrExpiredCertificate outside its life. Whether that
// account is the one expected is the caller's question.
func (c Certificate) Verify(now time.Time) error {
	if c.Account.Verify(append([]byte(certContext), c.signed()...), c.Sig) != nil {
		return fmt.Errorf("device %s of account %s: %w", c.Device, c.Account, ErrForgedCertificate)
	}
	if now.Before(c.Issued.Add(-MaxSkew)) || now.After(c.Expires.Add(MaxSkew)) {
		return fmt.Errorf("device %s, valid from %s to %s: %w", c.Device,
			c.Issued.UTC().Format(time.RFC3339), c.Expires.UTC().Format(time.RFC3339), ErrExpiredCertificate)
	}
	return nil
}

// VerifyFor is Verify, and ErrForeignCertificate unless the certificate is
// that device's.
func (c Certificate) VerifyFor(device DeviceID, now time.Time) error {
	if err := c.Verify(now); err != nil {
		return err
	}
	if c.Device != device {
		return fmt.Errorf("certificate of %s shown by %s: %w", c.Device, device, ErrForeignCertificate)
	}
	return nil
}
