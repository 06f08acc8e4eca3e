package signaling

// EndReason says why a call ended. The list is closed: every end of every
// call is one of these words, on the wire, in logs and in the local API.
type EndReason string

// The reasons, the one that wins first: when both ends leave at the same
// moment for different reasons, both show the one that stands higher here
// (see prefer). Findings about the peer come before decisions of people, and
// decisions before misfortune.
const (
	ReasonUnsupportedVersion EndReason = "unsupported_version" // the peer speaks a call protocol this end does not know
	ReasonProtocolError      EndReason = "protocol_error"      // a malformed, oversized or forbidden message
	ReasonBadIdentity        EndReason = "bad_identity"        // the certificate is forged, foreign, expired or revoked
	ReasonBadFingerprint     EndReason = "bad_fingerprint"     // the media key is not the one bound to the device key
	ReasonGlare              EndReason = "glare"               // both called each other; the other call goes on
	ReasonBusy               EndReason = "busy"                // the callee has no room for another call
	ReasonDeclined           EndReason = "declined"            // the callee said no
	ReasonCancelled          EndReason = "cancelled"           // the caller gave up before the call was accepted
	ReasonNoAnswer           EndReason = "no_answer"           // it rang, nobody came
	ReasonHangup             EndReason = "hangup"              // the ordinary end of an accepted call
	ReasonMediaFailed        EndReason = "media_failed"        // accepted, but no media path came up
	ReasonShutdown           EndReason = "shutdown"            // one end's daemon is stopping
	ReasonNotFound           EndReason = "not_found"           // the callee's devices are not known to the overlay
	ReasonUnreachable        EndReason = "unreachable"         // the callee's device does not respond
	ReasonInternal           EndReason = "internal"            // a fault of this end
	ReasonLost               EndReason = "lost"                // the connection to the peer was lost
)

// reasons is the closed list in the order of precedence.
var reasons = [...]EndReason{
	ReasonUnsupportedVersion, ReasonProtocolError, ReasonBadIdentity, ReasonBadFingerprint,
	ReasonGlare, ReasonBusy, ReasonDeclined, ReasonCancelled, ReasonNoAnswer, ReasonHangup,
	ReasonMediaFailed, ReasonShutdown, ReasonNotFound, ReasonUnreachable, ReasonInternal, ReasonLost,
}

// Reasons returns the closed list of end reasons; the slice is the caller's.
func Reasons() []EndReason { return append([]EndReason(nil), reasons[:]...) }

// Known reports whether r is on the closed list.
func (r EndReason) Known() bool { return r.rank() < len(reasons) }

func (r EndReason) rank() int {
	for i, known := range reasons {
		if r == known {
			return i
		}
	}
	return len(reasons)
}

// understood maps a word from a newer peer onto the closed list: the call is
// over, and nothing more is known about it.
func (r EndReason) understood() EndReason {
	if r.Known() {
		return r
	}
	return ReasonHangup
}

// prefer settles two reasons that crossed. It is symmetric, so both ends come
// to the same answer.
func prefer(a, b EndReason) EndReason {
	if b.rank() < a.rank() {
		return b
	}
	return a
}
