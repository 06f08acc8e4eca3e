package phone

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/peerd/peerd/node/identity"
)

// A proof of the link shows the callee that the caller was given its contact
// link, without showing the link. Wire form: HMAC-SHA256, 32 bytes, over
//
//	fields, each with its length as uint16 before
//
// which are the call id, the caller's device id and the callee's. The key is
// HKDF-SHA256(link secret, salt = account key, info = proofContext), 32 bytes.
const proofContext = "peerd call proof 1\x00"

// proveLink makes the proof for a call with this id.
func proveLink(l identity.Link, id string, caller, callee identity.DeviceID) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, l.Secret[:], l.Account[:], proofContext, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("prove the link: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	for _, field := range []string{id, string(caller), string(callee)} {
		mac.Write(binary.BigEndian.AppendUint16(nil, uint16(len(field))))
		mac.Write([]byte(field))
	}
	return mac.Sum(nil), nil
}

// provenLink reports whether the caller's proof is one of our link.
func (c *call) provenLink(proof []byte) bool {
	own := c.phone.cfg.Identity
	want, err := proveLink(own.Link(), c.wireID, c.device, own.Device())
	return err == nil && hmac.Equal(proof, want)
}

// answersItself reports whether an incoming call is accepted without asking. The
// microphone opens to nobody but contacts and those who were given our link.
func (c *call) answersItself(proof []byte) bool {
	switch c.phone.cfg.Answer {
	case AnswerEcho:
		return true
	case AnswerAuto:
		return !c.strange() || c.provenLink(proof)
	default:
		return false
	}
}
