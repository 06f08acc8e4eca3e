package node

import (
	"errors"

	"github.com/peerd/peerd/node/overlay"
)

var (
	// ErrNotFound: neither the contacts book nor the DHT knows a device of that account.
	ErrNotFound = errors.New("no device of this account found in the overlay")
	// ErrUnreachable: devices of the account are known, but none of them answered at any address.
	ErrUnreachable = errors.New("no device of this account can be reached")
	// ErrRevoked: the account has withdrawn the certificate of the device.
	ErrRevoked = errors.New("the account has revoked this device")
	// ErrUnlisted: the newest account record we hold does not list the device.
	ErrUnlisted = errors.New("the account does not list this device")
	// ErrClosed: the node has been closed.
	ErrClosed = errors.New("the node is closed")
	// ErrPortInUse: an explicitly asked listen address is taken by another program.
	ErrPortInUse = overlay.ErrPortInUse
	// ErrConfig: a setting makes no sense; the wrapped text says which.
	ErrConfig = errors.New("bad node configuration")
)
