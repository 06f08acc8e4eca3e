package signaling

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// SAS is a short authentication string: four numbers of 11 bits, each an
// index into a list of 2048 words. Both people read it aloud; equal words mean
// that nobody stands between them.
type SAS [4]uint16

// Party is what one end puts into the short authentication string. Binding
// must contain the media fingerprint itself, not only a signature of it: the
// string protects what was fixed before the caller's nonce became known.
type Party struct{ Certificate, Binding, Nonce []byte }

// Commit is the caller's promise in the offer: SHA-256 of a label and its
// nonce. It fixes the caller's nonce before it sees the callee's, while the
// callee fixes its own before it sees the caller's; so neither a caller nor a
// callee nor somebody playing both can try nonces until the words fit.
func Commit(nonce []byte) [CommitSize]byte {
	h := sha256.New()
	hashPart(h, []byte("peerd call commit 1"))
	hashPart(h, nonce)
	return [CommitSize]byte(h.Sum(nil))
}

// Authenticate computes the short authentication string of a call: the first
// 44 bits of SHA-256 over a label, the call id and both parties' parts, each
// with its length as 4 bytes big-endian before it.
func Authenticate(callID string, caller, callee Party) SAS {
	h := sha256.New()
	hashPart(h, []byte("peerd call sas 1"))
	hashPart(h, []byte(callID))
	for _, p := range []Party{caller, callee} {
		hashPart(h, p.Certificate)
		hashPart(h, p.Binding)
		hashPart(h, p.Nonce)
	}
	bits := binary.BigEndian.Uint64(h.Sum(nil))
	var sas SAS
	for i := range sas {
		sas[i] = uint16(bits>>(64-11*(i+1))) & 0x7ff
	}
	return sas
}

func hashPart(h hash.Hash, part []byte) {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(part)))
	h.Write(size[:])
	h.Write(part)
}

// exchange is one end's view of commit and reveal: which parts are known.
type exchange struct {
	callID         string
	commit         []byte
	caller, callee Party
}

// nonceKnown reports whether the callee has shown its identity and nonce.
func (x *exchange) nonceKnown() bool { return len(x.callee.Nonce) > 0 }

// reveal takes the caller's nonce at the callee.
func (x *exchange) reveal(nonce []byte) error {
	if want := Commit(nonce); !bytes.Equal(want[:], x.commit) {
		return ErrCommitment
	}
	x.caller.Nonce = nonce
	return nil
}

// sas returns the string once both nonces are known.
func (x *exchange) sas() (SAS, bool) {
	if len(x.caller.Nonce) == 0 || len(x.callee.Nonce) == 0 {
		return SAS{}, false
	}
	return Authenticate(x.callID, x.caller, x.callee), true
}
