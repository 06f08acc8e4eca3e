// Package presence builds and checks the two records a device publishes: the
// account record (which devices an account has) and the presence record (where
// one device can be reached). Both are values of the overlay's hash table,
// signed on the outside, sealed for those who hold the contact link. The
// package is pure: time is an argument, and there is no input or output.
package presence

import (
	"errors"
	"time"

	"github.com/peerd/peerd/node/identity"
)

const (
	// MaxSize bounds a record, in bytes.
	MaxSize = 1024
	// MaxLife is how far ahead a record's expiry may lie.
	MaxLife = 2 * time.Hour
	// MaxSkew is by how much two machines' clocks may differ.
	MaxSkew = identity.MaxSkew
	// MaxAddrs bounds the addresses of a presence record.
	MaxAddrs = 16
	// MaxCapabilities bounds the capabilities of a presence record.
	MaxCapabilities = 16
	// MaxCapabilityLen bounds one capability, in bytes.
	MaxCapabilityLen = 32
)

// The errors of this package; every returned error wraps one of them.
var (
	// ErrExpired: the record's life is over, has not begun, or is too long.
	ErrExpired = errors.New("record is out of date")
	// ErrReplayed: a record older than the one already known.
	ErrReplayed = errors.New("record is older than the known one")
	// ErrBadSignature: the named account or device did not sign the record.
	ErrBadSignature = errors.New("record's signature is wrong")
	// ErrBadSeal: the link does not open the record, or its body is not well formed.
	ErrBadSeal = errors.New("record does not open with this link")
	// ErrTooLarge: the record, or a part of it, is over its bound.
	ErrTooLarge = errors.New("record is too large")
	// ErrMalformed: the bytes are not shaped like a record.
	ErrMalformed = errors.New("not a record")
	// ErrWrongKey: a true record, but of another key, account or device.
	ErrWrongKey = errors.New("record belongs under another key")
	// ErrNewerVersion: written by a newer peerd.
	ErrNewerVersion = errors.New("record of a newer version of peerd")
)

// Account is the body of an account record.
type Account struct {
	Seq     uint64 // Unix ms; the higher one wins
	Issued  time.Time
	Expires time.Time              // at most MaxLife after Issued
	Devices []identity.Certificate // at most identity.MaxDevices
	Revoked []identity.DeviceID    // newest last; the oldest are left out when there is no room
}

// Presence is the body of a presence record.
type Presence struct {
	Seq          uint64 // Unix ms; the higher one wins
	Issued       time.Time
	Expires      time.Time // at most MaxLife after Issued
	Device       identity.DeviceID
	Addrs        []string // multiaddrs, best first; the last are left out when there is no room
	Capabilities []string // 1 to MaxCapabilityLen bytes each
	Name         string   // the person's or device's own name
}
