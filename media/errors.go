package media

import "errors"

// The ways in which a media session can fail. Errors returned by this package
// and carried by PathClosed wrap one of these where it applies.
var (
	// ErrClosed is returned by every method after Close.
	ErrClosed = errors.New("media session is closed")
	// ErrFingerprint means that the other end proved possession of a DTLS
	// certificate which is not the one its session description names (RFC 8122
	// section 5): somebody sits between, or the description was altered.
	ErrFingerprint = errors.New("DTLS certificate does not match the fingerprint in the session description")
	// ErrBadSDP is returned for a remote session description that is not one
	// audio call: too large, not SDP, no fingerprint, no Opus.
	ErrBadSDP = errors.New("unusable session description")
	// ErrBadCandidate is returned for a remote ICE candidate that cannot be
	// read, or is one too many.
	ErrBadCandidate = errors.New("unusable ICE candidate")
	// ErrPathFailed means that no way to the other end was found, or that none
	// was found again after the path was lost.
	ErrPathFailed = errors.New("no media path to the other end")
	// ErrRemoteClosed means that the other end closed the media path (DTLS
	// close_notify).
	ErrRemoteClosed = errors.New("the other end closed the media path")
	// ErrState is returned where a method does not fit what was called before,
	// such as a second Start or an Answer on the offering side.
	ErrState = errors.New("not possible in this state of the media session")
	// ErrBadDigit is returned by DTMF for anything but 0-9, *, #, A-D.
	ErrBadDigit = errors.New("not a DTMF digit")
)
