package localapi

import (
	"errors"
	"fmt"
	"net/http"
)

// Codes of errors, Error.Code: a closed list for machines.
const (
	CodeBadRequest  = "bad_request"         // the request itself is wrong
	CodeBadLink     = "bad_link"            // a contact link with a typing error
	CodeNotFound    = "not_found"           // no such contact, call, device or route
	CodeUnreachable = "unreachable"         // known, but no path to it
	CodeExists      = "exists"              // the name is taken
	CodeWrongState  = "wrong_state"         // that cannot be done to this call now
	CodeBusy        = "busy"                // as many calls as allowed, or the device is in use
	CodeForbidden   = "forbidden"           // this device may not do that
	CodeMethod      = "method_not_allowed"  // the route exists, the method does not
	CodeTooLarge    = "too_large"           // body over MaxBody
	CodeVersion     = "unsupported_version" // an API version this daemon does not speak
	CodeNoSound     = "no_sound"            // no encoder in this build, or no sound device
	CodeUnavailable = "unavailable"         // the daemon is going down
	CodeInternal    = "internal"            // a fault of ours; the daemon's log says more
)

// Error is the body of every answer that is not 2xx.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"` // one sentence for people
	Hint    string `json:"hint"`    // what to do next; may be empty
}

func (e *Error) Error() string { return e.Message }

// Is makes errors.Is(err, &Error{Code: c}) true for every error of that code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an Error with no hint.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithHint returns a copy of e that says what to do next.
func (e *Error) WithHint(hint string) *Error {
	c := *e
	c.Hint = hint
	return &c
}

// ErrNoDaemon is returned by every method of a Client when nothing serves the
// socket.
var ErrNoDaemon = errors.New("no peerd daemon is running")

// ErrInUse is returned by Open when a living daemon serves the socket.
var ErrInUse = errors.New("another peerd daemon serves this socket")

// CodeOf returns the code of an Error wrapped in err, or an empty string.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// httpStatus returns the HTTP status that goes with a code.
func httpStatus(code string) int {
	switch code {
	case CodeBadRequest, CodeBadLink, CodeVersion:
		return http.StatusBadRequest
	case CodeNotFound, CodeUnreachable:
		return http.StatusNotFound
	case CodeExists, CodeWrongState, CodeBusy:
		return http.StatusConflict
	case CodeForbidden:
		return http.StatusForbidden
	case CodeMethod:
		return http.StatusMethodNotAllowed
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeUnavailable, CodeNoSound:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
