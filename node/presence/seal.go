package presence

import (
	"time"

	"github.com/peerd/peerd/node/identity"
)

// SealAccount builds the account record of a day.
func SealAccount(id *identity.Identity, a Account, day int64) ([]byte, error) {
	return nil, ErrMalformed
}

// SealPresence builds the presence record of a day.
func SealPresence(id *identity.Identity, p Presence, day int64) ([]byte, error) {
	return nil, ErrMalformed
}

// OpenAccount checks and opens an account record.
func OpenAccount(value []byte, link identity.Link, now time.Time) (Account, error) {
	return Account{}, ErrMalformed
}

// OpenPresence checks and opens a presence record.
func OpenPresence(value []byte, link identity.Link, device identity.DeviceID, now time.Time) (Presence, error) {
	return Presence{}, ErrMalformed
}
