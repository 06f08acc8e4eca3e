package localapi

import (
	"errors"

	"github.com/peerd/peerd/cmd/peerd/internal/phone"
	"github.com/peerd/peerd/node/identity"
)

// asError finds the code and the hint for an error of the phone's.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	for _, known := range phoneErrors() {
		if errors.Is(err, known.err) {
			return &Error{Code: known.code, Message: err.Error(), Hint: known.hint}
		}
	}
	return &Error{Code: CodeInternal, Message: err.Error(), Hint: "the daemon's log says more"}
}

type phoneError struct {
	err  error
	code string
	hint string
}

func phoneErrors() []phoneError {
	const (
		listCalls   = "peerd calls lists the calls and their ids"
		listDevices = "peerd account devices list shows the devices"
	)
	return []phoneError{
		{phone.ErrClosed, CodeUnavailable, "start the daemon again"},
		{phone.ErrNoSuchContact, CodeNotFound, "peerd contacts list shows the names; peerd contacts add NAME LINK adds one"},
		{phone.ErrContactExists, CodeExists, "peerd contacts list shows it; remove it first or choose another name"},
		{phone.ErrBadName, CodeBadRequest, "choose a short name without control characters"},
		{phone.ErrBlocked, CodeForbidden, "add the contact again with the same name and link to unblock it"},
		{identity.ErrBadLink, CodeBadLink, "copy the whole link that peerd link prints at the other person's"},
		{phone.ErrOwnLink, CodeBadLink, "ask the other person for the link that peerd link prints there"},
		{phone.ErrNoSuchCall, CodeNotFound, listCalls},
		{phone.ErrNoFittingCall, CodeNotFound, listCalls},
		{phone.ErrAmbiguousCall, CodeWrongState, listCalls},
		{phone.ErrWrongState, CodeWrongState, "peerd calls shows the state it is in"},
		{phone.ErrTooManyCalls, CodeBusy, "hang up a call, or start the daemon with a larger --max-calls"},
		{phone.ErrNoEncoder, CodeNoSound, "use a build with cgo, or start the daemon with --answer echo"},
		{phone.ErrSoundDevice, CodeNoSound, "peerd audio devices lists what there is; choose with peerd daemon --audio"},
		{phone.ErrBadDigits, CodeBadRequest, "use 0-9, *, # and A-D"},
		{phone.ErrNoSuchDevice, CodeNotFound, listDevices},
		{identity.ErrUnknownDevice, CodeNotFound, listDevices},
		{identity.ErrBadRequest, CodeBadRequest, "copy the whole request that peerd init --join prints on the other device"},
		{identity.ErrNoAccountKey, CodeForbidden, "do it on the device where the account was made or recovered"},
		{identity.ErrRevoked, CodeForbidden, listDevices},
	}
}
