package signaling

import "errors"

var (
	// ErrMalformed is a message that is not what the protocol allows: bad
	// JSON, a missing or oversized field, an empty frame.
	ErrMalformed = errors.New("malformed call message")
	// ErrTooLarge is a frame longer than MaxMessage; its body is not read.
	ErrTooLarge = errors.New("call message too large")
	// ErrUnsupportedVersion is a message of a protocol version other than Version.
	ErrUnsupportedVersion = errors.New("unsupported call protocol version")
	// ErrUnexpected is a well-formed message or a request at a moment at which it means nothing.
	ErrUnexpected = errors.New("not possible in this state of the call")
	// ErrFlood is a peer that sends more messages or candidates than a call can need.
	ErrFlood = errors.New("too many call messages")
	// ErrCommitment is a revealed nonce that is not the one committed to in the offer.
	ErrCommitment = errors.New("the revealed nonce does not match the commitment")
	// ErrRefused is an incoming call that was answered with an end reason and never became a Call.
	ErrRefused = errors.New("incoming call refused")
	// ErrBusy is a call that would exceed MaxCalls.
	ErrBusy = errors.New("too many calls at once")
	// ErrDuplicate is a call id that is or was in use.
	ErrDuplicate = errors.New("call id already used")
	// ErrEnded is a request to a call that is ending or has ended.
	ErrEnded = errors.New("the call has ended")
	// ErrClosed is a request to a Manager that was closed.
	ErrClosed = errors.New("signalling is closed")
)

// refusal is a decision of this end about an incoming call, as an error.
type refusal EndReason

func (r refusal) Error() string { return "this end does not take the call: " + string(r) }

// reasonOf names the end reason that an error leads to. What is neither a
// decision nor a fault in the peer's messages is a broken stream.
func reasonOf(err error) EndReason {
	var decision refusal
	switch {
	case errors.As(err, &decision):
		return EndReason(decision)
	case errors.Is(err, ErrUnsupportedVersion):
		return ReasonUnsupportedVersion
	case errors.Is(err, ErrMalformed), errors.Is(err, ErrTooLarge), errors.Is(err, ErrUnexpected),
		errors.Is(err, ErrFlood), errors.Is(err, ErrCommitment), errors.Is(err, ErrDuplicate):
		return ReasonProtocolError
	case errors.Is(err, ErrBusy):
		return ReasonBusy
	case errors.Is(err, ErrClosed):
		return ReasonShutdown
	default:
		return ReasonLost
	}
}
