package identity

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// MaxNameLen bounds an account's or device's own name, in bytes of UTF-8.
const MaxNameLen = 40

// AccountID is the Ed25519 public key of an account.
type AccountID [ed25519.PublicKeySize]byte

// DeviceID is the libp2p peer id of a device's Ed25519 key.
type DeviceID = peer.ID

// base32Text is RFC 4648 base32 in lower case without padding.
var base32Text = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String returns the id as 52 lower-case base32 characters.
func (a AccountID) String() string { return base32Text.EncodeToString(a[:]) }

// IsZero reports whether a is no account at all.
func (a AccountID) IsZero() bool { return a == AccountID{} }

// Verify returns ErrBadSignature unless sig is the account's signature of msg.
func (a AccountID) Verify(msg, sig []byte) error {
	if len(sig) != ed25519.SignatureSize || !ed25519.Verify(a[:], msg, sig) {
		return ErrBadSignature
	}
	return nil
}

// ParseAccountID reads what String wrote.
func ParseAccountID(text string) (AccountID, error) {
	var a AccountID
	if len(text) != base32Text.EncodedLen(len(a)) {
		return a, fmt.Errorf("account id of %d characters: %w", len(text), ErrBadKey)
	}
	if _, err := base32Text.Decode(a[:], []byte(text)); err != nil || a.String() != text {
		return AccountID{}, fmt.Errorf("account id %q: %w", text, ErrBadKey)
	}
	return a, nil
}

// DeviceFromKey returns the device id of a raw 32-byte Ed25519 public key.
func DeviceFromKey(raw []byte) (DeviceID, error) {
	key, err := crypto.UnmarshalEd25519PublicKey(raw)
	if err != nil {
		return "", fmt.Errorf("device key of %d bytes: %w", len(raw), ErrBadKey)
	}
	return peer.IDFromPublicKey(key)
}

// ParseDevice reads a device id as its String writes it (12D3Koo...).
func ParseDevice(text string) (DeviceID, error) {
	if len(text) > 128 {
		return "", fmt.Errorf("device id of %d characters: %w", len(text), ErrBadKey)
	}
	device, err := peer.Decode(text)
	if err != nil {
		return "", fmt.Errorf("device id %q: %w: %w", text, err, ErrBadKey)
	}
	_, err = DeviceKeyBytes(device)
	return device, err
}

// DeviceKeyBytes returns the raw 32-byte Ed25519 public key inside a device id.
func DeviceKeyBytes(device DeviceID) ([]byte, error) {
	if len(device) > 64 {
		return nil, fmt.Errorf("device id of %d bytes: %w", len(device), ErrBadKey)
	}
	key, err := device.ExtractPublicKey()
	if err != nil {
		return nil, fmt.Errorf("device id %s: %w", device, ErrBadKey)
	}
	if _, ok := key.(*crypto.Ed25519PublicKey); !ok {
		return nil, fmt.Errorf("device id %s holds another kind of key: %w", device, ErrBadKey)
	}
	return key.Raw()
}

// VerifyDeviceSignature returns ErrBadSignature unless sig is the device's
// signature of msg.
func VerifyDeviceSignature(device DeviceID, msg, sig []byte) error {
	raw, err := DeviceKeyBytes(device)
	if err != nil {
		return err
	}
	return AccountID(raw).Verify(msg, sig)
}

// CheckName returns ErrBadName unless name is 1 to MaxNameLen bytes of
// printable UTF-8.
func CheckName(name string) error {
	if name == "" || len(name) > MaxNameLen {
		return fmt.Errorf("name of %d bytes, 1 to %d are allowed: %w", len(name), MaxNameLen, ErrBadName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("name is not UTF-8: %w", ErrBadName)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("name holds the unprintable character %U: %w", r, ErrBadName)
		}
	}
	return nil
}

// accountSeed turns the entropy of a phrase into the account's secret seed:
// the BIP-39 seed with an empty passphrase, then HKDF-SHA512 for our purpose.
func accountSeed(phrase string) ([]byte, error) {
	seed, err := phraseSeed(phrase, "")
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha512.New, seed, nil, "peerd account key 1", ed25519.SeedSize)
}

// phraseSeed is the 64-byte seed of BIP-39. The phrase is already normalised:
// the English words are ASCII, so NFKD changes nothing.
func phraseSeed(phrase, passphrase string) ([]byte, error) {
	return pbkdf2.Key(sha512.New, phrase, []byte("mnemonic"+passphrase), 2048, 64)
}

// linkSecret derives the link secret of one version from the account seed, so
// that the phrase alone brings it back.
func linkSecret(seed []byte, version uint32) ([LinkSecretSize]byte, error) {
	info := fmt.Sprintf("peerd link secret 1/%d", version)
	secret, err := hkdf.Key(sha256.New, seed, nil, info, LinkSecretSize)
	if err != nil {
		return [LinkSecretSize]byte{}, err
	}
	return [LinkSecretSize]byte(secret), nil
}
