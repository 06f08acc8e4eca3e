package signaling

// Event is what a call tells this end's phone. Events come in order on
// Call.Events; the channel is closed after Ended. The byte slices in them
// belong to the receiver.
type Event interface{ event() }

// Answer is what the callee shows of itself: its device certificate, the
// binding of its media fingerprint to the device key, and the SDP answer. All
// three are opaque here. Binding must contain the fingerprint (see Party).
type Answer struct{ Certificate, Binding, SDP []byte }

// RemoteRinging (caller): the callee's phone rings. Any part may be empty:
// certificate and binding come together, at the latest with RemoteAccepted.
type RemoteRinging struct{ Answer Answer }

// RemoteAccepted (caller): the callee has accepted. All parts are there,
// those of RemoteRinging included.
type RemoteAccepted struct{ Answer Answer }

// RemoteCandidate is one transport candidate of the peer, opaque here. At the
// callee it may come long before accept: keep it until media wants it.
type RemoteCandidate struct{ Candidate []byte }

// RemoteHold says that the peer holds the call (or has resumed it).
type RemoteHold struct{ Held bool }

// SASReady carries the short authentication string, once per call.
type SASReady struct{ SAS SAS }

// Start says that media may flow now, in both directions: the callee has
// accepted and the path is up. It comes at most once.
type Start struct{}

// Stopping says that this end has begun to end the call: stop media now.
// Ended follows when the peer has answered, at the latest 2 s later.
type Stopping struct{ Reason EndReason }

// Ended is the last event. Remote says that the reason is the peer's; Detail
// is a sentence for people, the peer's in printable ASCII, or "".
type Ended struct {
	Reason EndReason
	Remote bool
	Detail string
}

func (RemoteRinging) event()   {}
func (RemoteAccepted) event()  {}
func (RemoteCandidate) event() {}
func (RemoteHold) event()      {}
func (SASReady) event()        {}
func (Start) event()           {}
func (Stopping) event()        {}
func (Ended) event()           {}
