package media

// Event is what a session reports: one of the types below.
type Event interface{ mediaEvent() }

// Candidate is an ICE candidate found after the session description was
// returned; Data goes to the other end's AddCandidate as it is.
type Candidate struct{ Data []byte }

// PathUp means that ICE and DTLS have succeeded, or that a lost path is back.
type PathUp struct{}

// PathLost means that nothing has been received for some seconds (about 2.5).
// ICE goes on trying; PathUp or PathClosed follows.
type PathLost struct{}

// PathClosed is the end of the path and the last event. Err is ErrRemoteClosed,
// ErrFingerprint, ErrPathFailed or ErrClosed (wrapped).
type PathClosed struct{ Err error }

// FirstSound means that the first received frame is being played.
type FirstSound struct{}

// DTMF is a digit pressed at the other end (RFC 4733): 0-9, *, #, A-D.
type DTMF struct{ Digit rune }

func (Candidate) mediaEvent()  {}
func (PathUp) mediaEvent()     {}
func (PathLost) mediaEvent()   {}
func (PathClosed) mediaEvent() {}
func (FirstSound) mediaEvent() {}
func (DTMF) mediaEvent()       {}
