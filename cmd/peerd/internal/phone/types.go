package phone

import "time"

// AnswerMode says what happens to an incoming call.
type AnswerMode string

// The answer modes. AnswerEcho serves everybody, as it has no microphone.
const (
	AnswerAsk  AnswerMode = "ask"  // ring until the user answers
	AnswerAuto AnswerMode = "auto" // answer contacts, and whoever proves to have our link, at once with the sound device; ring for others
	AnswerEcho AnswerMode = "echo" // answer at once and send every packet back
)

// Direction of a call, seen from here.
type Direction string

// The two directions.
const (
	Outgoing Direction = "outgoing"
	Incoming Direction = "incoming"
)

// CallState is what a user is told about a call.
type CallState string

// The states of a call, in the order in which a call can pass them.
const (
	StateDialing    CallState = "dialing"    // looking the callee up, or the offer is on its way
	StateRinging    CallState = "ringing"    // the callee's device rings (either end)
	StateConnecting CallState = "connecting" // accepted, the media path is not up yet
	StateActive     CallState = "active"     // both hear each other
	StateHeld       CallState = "held"       // accepted, at least one end put it on hold
	StateEnded      CallState = "ended"
)

// Call is what is known about a call, live or over. Times that have not come
// are zero.
type Call struct {
	ID        string // 32 hex digits; the same at both ends, except after glare: see Dial
	Direction Direction
	State     CallState
	Remote    Remote

	Started  time.Time // dialled, or the offer read
	Rung     time.Time // the callee's device said it rings
	Answered time.Time // accepted by the callee
	Ended    time.Time

	Lookup        time.Duration // dial to connected device; outgoing only
	Ring          time.Duration // outgoing: dial to ringing; incoming: offer read to ringing said
	AnswerToAudio time.Duration // callee: Answer to first sound played; caller: accept received to first sound played
	Duration      time.Duration // answered to ended, or to now

	Muted      bool     // our microphone is off
	Held       bool     // we put the other end on hold
	RemoteHeld bool     // the other end put us on hold
	Path       string   // "direct", "relay", or "" while there is none
	SAS        []string // four words both users read to each other; empty before ringing
	Digits     string   // DTMF digits received

	EndReason string // one of signaling's end reasons; empty while live
	EndedBy   string // "local" or "remote"; empty while live
	Error     string // what went wrong on this side in a sentence; often empty

	Stats Stats
}

// Live reports whether the call is not over.
func (c Call) Live() bool { return c.State != StateEnded }

// Remote is the other end of a call.
type Remote struct {
	Account  string // account id; empty while unknown
	Device   string // device id (libp2p peer id); empty until connected
	Name     string // petname, or what the certificate says for a stranger
	Stranger bool   // not in the contacts, or a device never seen under that account
}

// Stats are the figures of a call's sound and path so far.
type Stats struct {
	PacketsSent     uint64
	PacketsReceived uint64
	PacketsLost     uint64 // RTP sequence gaps never filled
	PacketsLate     uint64 // came after their time to be played
	BytesSent       uint64
	BytesReceived   uint64

	ConcealedRatio float64       // concealed over played samples, 0..1
	PlayoutDelay   time.Duration // what the playout buffer holds now
	Jitter         time.Duration // RFC 3550 section 6.4.1
	RTT            time.Duration // of the media path
	Underruns      uint64        // device pulls that came too late
	LateFrames     uint64        // captured frames sent later than their time, for lack of CPU

	Chain []string // what sound passes through: the way out and the way in, one line each; live calls only
}

// Contact is a person in the address book.
type Contact struct {
	Name    string
	Account string
	Link    string // peerd:...
	Blocked bool
	Added   time.Time

	Presence  string    // connected | announced | gone | unknown
	Evidence  time.Time // when Presence was last proven; zero when never
	SignedOff bool      // it is gone because it said so, at Evidence
	Devices   []string  // device ids known for the account
}

// Status is the whole state of the daemon.
type Status struct {
	State     string // starting | online | offline
	Alone     bool   // online as the first node of an overlay
	Name      string
	Account   string
	Device    string
	Addresses []string // dialable multiaddrs with /p2p/
	Overlay   OverlayStatus
	Login     LoginStatus
	Reachable string // direct | relay | unknown

	Answer      AnswerMode
	AudioDevice string
	Encoder     bool // this build can send sound of its own
	MediaPort   int
	LiveCalls   int
	Started     time.Time
}

// OverlayStatus is our place in the overlay.
type OverlayStatus struct {
	Peers    int
	Role     string  // client | server
	Load     float64 // of a server: what it lets in, 1 is all it gives
	Storm    bool    // more want to join than are let in
	Refusals uint64  // by this server, since its start
}

// LoginStatus says how far the log-in is.
type LoginStatus struct {
	Published bool
	Acks      int
	Took      time.Duration // start to online; zero before
	Missing   []Missing
}

// Missing is one condition of being online that is not met.
type Missing struct {
	What  string
	Since time.Time
	Why   string
}

// AccountDevice is a device of our own account.
type AccountDevice struct {
	ID      string
	Name    string
	Serial  uint64
	Issued  time.Time
	Expires time.Time
	This    bool // the one this daemon runs on
	Revoked bool
}

// AudioDevice is a sound device that --audio can name.
type AudioDevice struct {
	Spec        string // what to give to --audio
	Description string
	Input       bool
	Output      bool
	Current     bool
}

// EventType names what an Event is about.
type EventType string

// The events a watcher sees. Events are hints with the whole new state of the
// thing they are about.
const (
	EventStatus         EventType = "status"          // Status changed
	EventCall           EventType = "call"            // Call changed: new, state, hold, mute, path
	EventDTMF           EventType = "dtmf"            // Call received Digit
	EventContact        EventType = "contact"         // Contact added, blocked, or its presence changed
	EventContactRemoved EventType = "contact_removed" // Contact is gone
)

// Event is one change. Exactly the field that the type names is set.
type Event struct {
	Type    EventType
	At      time.Time
	Status  *Status
	Call    *Call
	Contact *Contact
	Digit   string // with EventDTMF, beside Call
}
