package phone

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/peerd/peerd/node/identity"
)

// A binding is a device's word that the DTLS certificate with this fingerprint
// is its own, in this call, in this role, towards that device. It is what ties
// the encryption of the sound to the device keys that the account certifies.
//
// Wire form: version (1 byte), SHA-256 fingerprint (32 bytes), Ed25519
// signature by the device key (64 bytes) over
//
//	"peerd call binding 1\x00" | fields, each with its length as uint16 before
//
// where the fields are the call id, the role of the signer, the fingerprint,
// the signer's device id and the other device's id.
const (
	bindingVersion = 1
	bindingContext = "peerd call binding 1\x00"
	bindingSize    = 1 + sha256.Size + 64

	roleCaller = "caller"
	roleCallee = "callee"
)

// errBadBinding: the binding is not the device's word about this call.
var errBadBinding = errors.New("DTLS fingerprint is not bound to the device")

// fingerprint is the SHA-256 of a DTLS certificate.
type fingerprint [sha256.Size]byte

// parseFingerprint reads the value of an SDP fingerprint attribute (RFC 8122
// section 5), with or without "sha-256" before it.
func parseFingerprint(text string) (fingerprint, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	text = strings.TrimSpace(strings.TrimPrefix(text, "sha-256"))
	raw, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(raw) != sha256.Size {
		return fingerprint{}, fmt.Errorf("%w: no SHA-256 fingerprint in the session description", errBadBinding)
	}
	return fingerprint(raw), nil
}

// boundCall is what a binding is about, beside the fingerprint.
type boundCall struct {
	id     string
	role   string // of the signer
	signer identity.DeviceID
	other  identity.DeviceID
}

func (b boundCall) message(fp fingerprint) []byte {
	msg := []byte(bindingContext)
	for _, field := range []string{b.id, b.role, string(fp[:]), string(b.signer), string(b.other)} {
		msg = binary.BigEndian.AppendUint16(msg, uint16(len(field)))
		msg = append(msg, field...)
	}
	return msg
}

// sign makes the binding with the device key behind signer.
func (b boundCall) sign(sign func([]byte) ([]byte, error), fp fingerprint) ([]byte, error) {
	sig, err := sign(b.message(fp))
	if err != nil {
		return nil, fmt.Errorf("sign the DTLS fingerprint: %w", err)
	}
	return append(append([]byte{bindingVersion}, fp[:]...), sig...), nil
}

// verify checks a binding that came from signer and returns the fingerprint it
// speaks for.
func (b boundCall) verify(raw []byte) (fingerprint, error) {
	if len(raw) != bindingSize || raw[0] != bindingVersion {
		return fingerprint{}, fmt.Errorf("%w: %d bytes of another form", errBadBinding, len(raw))
	}
	fp := fingerprint(raw[1 : 1+sha256.Size])
	if err := identity.VerifyDeviceSignature(b.signer, b.message(fp), raw[1+sha256.Size:]); err != nil {
		return fingerprint{}, fmt.Errorf("%w: %w", errBadBinding, err)
	}
	return fp, nil
}
