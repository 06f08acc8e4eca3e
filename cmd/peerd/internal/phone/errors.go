package phone

import "errors"

// What the methods of Phone return, wrapped with what was attempted.
var (
	// ErrClosed: the phone is shutting down.
	ErrClosed = errors.New("phone is shutting down")
	// ErrNoSuchContact: no contact has that name, and it is no contact link.
	ErrNoSuchContact = errors.New("no such contact")
	// ErrContactExists: the name or the account is taken by another contact.
	ErrContactExists = errors.New("contact exists already")
	// ErrBadName: a contact name is empty, too long, or has control characters.
	ErrBadName = errors.New("bad contact name")
	// ErrBlocked: the contact is blocked; unblock it by adding it again.
	ErrBlocked = errors.New("contact is blocked")
	// ErrOwnLink: the link is our own.
	ErrOwnLink = errors.New("that is your own contact link")
	// ErrNoSuchCall: no call has that id.
	ErrNoSuchCall = errors.New("no such call")
	// ErrNoFittingCall: an empty id was given and no call can do what was asked.
	ErrNoFittingCall = errors.New("there is no call to do this with")
	// ErrAmbiguousCall: an empty id was given and several calls fit.
	ErrAmbiguousCall = errors.New("several calls fit: name one by its id")
	// ErrWrongState: the call cannot do that in the state it is in.
	ErrWrongState = errors.New("the call is in the wrong state for this")
	// ErrTooManyCalls: MaxCalls calls are live.
	ErrTooManyCalls = errors.New("too many calls at once")
	// ErrNoEncoder: this build has no Opus encoder, so it can only echo.
	ErrNoEncoder = errors.New("this build cannot send sound (built without cgo): use --answer echo")
	// ErrSoundDevice: the sound device could not be opened; wraps the cause.
	ErrSoundDevice = errors.New("sound device cannot be opened")
	// ErrBadDigits: DTMF digits are 0-9, *, # and A-D.
	ErrBadDigits = errors.New("bad DTMF digits")
	// ErrNoSuchDevice: the account has no such device.
	ErrNoSuchDevice = errors.New("no such device")
)
