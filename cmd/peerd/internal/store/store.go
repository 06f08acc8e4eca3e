// Package store keeps what must survive a restart: contacts, call history and
// small settings, in one bbolt database. Every method that returns without an
// error has its change on the disk (fsync). The schema has a version; older
// ones are migrated when the file is opened, newer ones are refused, and the
// file is never deleted.
package store

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/peerd/peerd/node/identity"
)

// The errors of this package; every returned error wraps one of them or comes
// from the operating system.
var (
	// ErrNewerVersion: written by a newer peerd; nothing was changed.
	ErrNewerVersion = errors.New("written by a newer version of peerd")
	// ErrDamaged: the file is cut off, changed, or no database of ours.
	ErrDamaged = errors.New("database is damaged")
	// ErrInUse: another process has the database open.
	ErrInUse = errors.New("database is in use by another process")
	// ErrBadPetname: a petname is empty, too long or not printable.
	ErrBadPetname = errors.New("not a usable contact name")
	// ErrNameTaken: another contact has this petname.
	ErrNameTaken = errors.New("a contact with this name exists already")
	// ErrKnownAccount: another contact has this account.
	ErrKnownAccount = errors.New("this account is a contact already")
	// ErrNotFound: no such contact, call or value.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge: a value is over its bound.
	ErrTooLarge = errors.New("too large to store")
)

const (
	// MaxCalls bounds the call history: the newest are kept.
	MaxCalls = 10_000
	// MaxContacts bounds the contacts.
	MaxContacts = 10_000
	// MaxPetname bounds a petname, in characters.
	MaxPetname = 64
	// MaxStats bounds a call's JSON summary, in bytes.
	MaxStats = 16 << 10
	// MaxValue bounds a value of SetValue, in bytes.
	MaxValue = 64 << 10
	// MaxSeenDevices bounds the devices kept per contact; the oldest go first.
	MaxSeenDevices = 32

	maxText = 256 // ids, names and reasons of a call, in bytes
)

// Contact is a person known by a petname.
type Contact struct {
	Petname string
	Link    identity.Link
	Added   time.Time
	Blocked bool
	Devices []Device // seen under this account, oldest first
}

// Device is a device seen under a contact's account.
type Device struct {
	ID         identity.DeviceID
	Name       string
	FirstSeen  time.Time
	SAS        string    // the short authentication string last verified, "" if never
	VerifiedAt time.Time // zero if never
}

// Direction of a call, as seen from here.
type Direction string

// The two directions.
const (
	Outgoing Direction = "outgoing"
	Incoming Direction = "incoming"
)

// ReasonLost is the end reason given at Open to calls that were live when the
// last process ended without closing them.
const ReasonLost = "lost"

// Call is one entry of the history. Times are Unix milliseconds, 0 for "never".
type Call struct {
	ID        string    `json:"id"`
	Direction Direction `json:"direction"`
	Account   string    `json:"account"`          // remote account, "" when unknown
	Device    string    `json:"device,omitempty"` // remote device
	Name      string    `json:"name,omitempty"`   // petname, or what the other end calls itself
	Started   int64     `json:"started_ms"`
	Ringing   int64     `json:"ringing_ms,omitempty"`
	Answered  int64     `json:"answered_ms,omitempty"`
	Seen      int64     `json:"seen_ms,omitempty"`  // when a live call was last known to be live, if told
	Ended     int64     `json:"ended_ms,omitempty"` // 0 while the call is live
	Reason    string    `json:"reason,omitempty"`   // one of signaling's end reasons
	Path      string    `json:"path,omitempty"`     // "direct" or "relay"

	// Stats is a JSON summary, kept as it is, at most MaxStats bytes.
	Stats json.RawMessage `json:"stats,omitempty"`
}
