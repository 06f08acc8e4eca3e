// Package localapi is how other programs of this machine drive the daemon: HTTP
// over a unix socket that only its owner can open. It holds the wire types, used
// by both ends, the server over a Phone, and the client that the command line
// uses. docs/api.md is the written contract.
package localapi

import "time"

// APIVersion is the version of this contract: the number in Prefix and in the
// handshake header. It changes only when a client written against the old one
// would misunderstand the new one; new fields, new event types and new routes
// do not change it.
const APIVersion = 1

// Prefix begins the path of every route.
const Prefix = "/v1"

// Headers of the version handshake. A client sends the highest API version it
// speaks and the version of its program; the server answers with its own.
const (
	HeaderAPI     = "Peerd-Api"
	HeaderVersion = "Peerd-Version"
)

// MaxBody bounds a request's body, and MaxLine one line of the event stream as
// a client reads it, in bytes.
const (
	MaxBody = 64 << 10
	MaxLine = 4 << 20
)

// States of the login, Status.State (design: online means neighbours, an
// acknowledged presence record and a proof of being reachable).
const (
	StateStarting = "starting"
	StateOnline   = "online"
	StateOffline  = "offline"
)

// Status is what GET /v1/status answers.
type Status struct {
	State     string   `json:"state"`     // starting, online or offline
	Alone     bool     `json:"alone"`     // online as the only node known of
	Account   string   `json:"account"`   // account id, the key people are known by
	Device    string   `json:"device"`    // libp2p peer id of this device
	Name      string   `json:"name"`      // name of this device
	Addresses []string `json:"addresses"` // dialable multiaddrs, with /p2p/
	Reachable string   `json:"reachable"` // direct, relay or unknown
	Overlay   Overlay  `json:"overlay"`
	Login     Login    `json:"login"`
	Answer    string   `json:"answer"`     // ask, auto or echo
	Audio     string   `json:"audio"`      // sound device of calls
	Encoder   bool     `json:"encoder"`    // this build can send sound of its own
	MediaPort int      `json:"media_port"` // UDP
	Calls     int      `json:"calls"`      // calls in progress
	Version   string   `json:"version"`    // of the daemon's program
	UptimeS   float64  `json:"uptime_s"`   // seconds
}

// Overlay is this node's place among the others.
type Overlay struct {
	Peers    int     `json:"peers"`    // live neighbours
	Role     string  `json:"role"`     // client or server
	Load     float64 `json:"load"`     // of a server: what it lets in, 1 is all it gives
	Storm    bool    `json:"storm"`    // more want to join than are let in
	Refusals uint64  `json:"refusals"` // by this server, since its start
}

// Login says how far the login is and what is missing.
type Login struct {
	Published bool      `json:"published"` // own presence record stored by others
	Acks      int       `json:"acks"`      // how many acknowledged it
	TookMS    int64     `json:"took_ms"`   // from start to first online; 0 before
	Missing   []Missing `json:"missing"`
}

// Missing is one condition of the login that does not hold.
type Missing struct {
	What  string    `json:"what"`
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// Contact is one entry of the address book.
type Contact struct {
	Name     string    `json:"name"` // petname, unique
	Account  string    `json:"account"`
	Link     string    `json:"link"` // peerd:...
	Blocked  bool      `json:"blocked"`
	Added    time.Time `json:"added"`
	Presence Presence  `json:"presence"`
	Devices  []string  `json:"devices"` // device ids known for the account
}

// Presence is what is known of a contact, with its evidence's age.
type Presence struct {
	State    string     `json:"state"`    // connected, announced, gone or unknown
	Evidence *time.Time `json:"evidence"` // when that was last seen; null: never
	// SignedOff tells that it is gone because it said so, at Evidence.
	SignedOff bool `json:"signed_off"`
}

// Directions of a call.
const (
	Outgoing = "outgoing"
	Incoming = "incoming"
)

// States of a call, Call.State.
const (
	CallDialing    = "dialing"    // looking the other up, or the offer is on its way
	CallRinging    = "ringing"    // there (outgoing) or here (incoming)
	CallConnecting = "connecting" // accepted, the media path is not up yet
	CallActive     = "active"     // both hear each other
	CallHeld       = "held"       // accepted, on hold
	CallEnded      = "ended"
)

// Outcomes of a call, Call.Outcome; empty while it lasts. Answered stays the
// outcome of every call that was accepted, whatever ended it.
const (
	OutcomeAnswered    = "answered"
	OutcomeBusy        = "busy"
	OutcomeDeclined    = "declined"
	OutcomeNoAnswer    = "no_answer"
	OutcomeNotFound    = "not_found"
	OutcomeUnreachable = "unreachable"
	OutcomeCancelled   = "cancelled"
	OutcomeFailed      = "failed"
)

// Call is a call in progress or in the history. What was not measured is null.
type Call struct {
	ID        string     `json:"id"`
	Direction string     `json:"direction"` // outgoing or incoming
	State     string     `json:"state"`     // dialing, ringing, connecting, active, held or ended
	Remote    Remote     `json:"remote"`
	Started   time.Time  `json:"started"`
	Answered  *time.Time `json:"answered"`
	Ended     *time.Time `json:"ended"`
	Outcome   string     `json:"outcome"`
	EndReason string     `json:"end_reason"` // signaling's closed list; empty while it lasts
	EndedBy   string     `json:"ended_by"`   // local or remote; empty while it lasts
	Error     string     `json:"error"`      // what went wrong here, in a sentence; often empty

	LookupMS        *float64 `json:"lookup_ms"`          // dial to a verified, connected device
	RingMS          *float64 `json:"ring_ms"`            // dial to "it rings there"
	AnswerToAudioMS *float64 `json:"answer_to_audio_ms"` // accept known here to first sound played here
	DurationS       float64  `json:"duration_s"`         // since it was accepted

	Path       string `json:"path"` // direct or relay; empty before there is one
	Held       bool   `json:"held"`
	RemoteHeld bool   `json:"remote_held"`
	Muted      bool   `json:"muted"`
	Digits     string `json:"digits"` // DTMF received
	// SAS is the short authentication string: four words that both people
	// read to each other; empty before both ends can compute it.
	SAS []string `json:"sas"`
	// Words is SAS as people read it: one text, with spaces.
	Words string `json:"words"`
	Stats Stats  `json:"stats"`
}

// Remote is the other end of a call.
type Remote struct {
	Name    string `json:"name"` // petname; of a stranger, what its certificate says
	Account string `json:"account"`
	Device  string `json:"device"`
	// Stranger tells an account that is not in the contacts, or a device never
	// seen before under it.
	Stranger bool `json:"stranger"`
}

// Event types, Event.Type.
const (
	EventState          = "state"           // first line: State is the whole present state
	EventStatus         = "status"          // Status changed
	EventContact        = "contact"         // Contact is new or changed
	EventContactRemoved = "contact_removed" // Contact is no more
	EventCall           = "call"            // Call is new or changed
	EventDTMF           = "dtmf"            // the other end of Call pressed Digit
	EventLost           = "lost"            // last line: the watcher read too slowly
	EventClosed         = "closed"          // last line: the daemon is going down
)

// Event is one line of GET /v1/events. Seq counts the lines of one stream from
// 1, which is the present state.
type Event struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`
	State   *State    `json:"state,omitempty"`
	Status  *Status   `json:"status,omitempty"`
	Contact *Contact  `json:"contact,omitempty"`
	Call    *Call     `json:"call,omitempty"`
	Digit   string    `json:"digit,omitempty"`
	Message string    `json:"message,omitempty"` // why the stream ends here
}

// State is the whole present state: the first line of an event stream.
type State struct {
	Status   Status    `json:"status"`
	Contacts []Contact `json:"contacts"`
	Calls    []Call    `json:"calls"` // in progress only
}

// AccountDevice is a device that belongs to this account.
type AccountDevice struct {
	Device  string    `json:"device"`
	Name    string    `json:"name"`
	This    bool      `json:"this"`
	Revoked bool      `json:"revoked"`
	Serial  uint64    `json:"serial"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}

// AudioDevice is a sound device that --audio can name.
type AudioDevice struct {
	Spec        string `json:"spec"` // what to give to --audio
	Description string `json:"description"`
	Input       bool   `json:"input"`   // has a microphone
	Output      bool   `json:"output"`  // has a loudspeaker
	Current     bool   `json:"current"` // what this daemon's calls use
}

// Version is what GET /v1/version answers.
type Version struct {
	Version string `json:"version"` // of the program
	API     int    `json:"api"`     // APIVersion
	Go      string `json:"go"`
	PID     int    `json:"pid"`
	// Goroutines is how many run in the daemon now: a figure that grows from
	// call to call tells a leak.
	Goroutines int `json:"goroutines"`
}

// Link is what GET /v1/link answers.
type Link struct {
	Link string `json:"link"`
}

// Bodies of requests.
type (
	// AddContact is the body of POST /v1/contacts.
	AddContact struct {
		Name string `json:"name"`
		Link string `json:"link"`
	}
	// Dial is the body of POST /v1/calls: a petname or a peerd: link.
	Dial struct {
		To string `json:"to"`
	}
	// DTMF is the body of POST /v1/calls/{id}/dtmf: 0-9, *, #, A-D.
	DTMF struct {
		Digits string `json:"digits"`
	}
	// AddDevice is the body of POST /v1/devices.
	AddDevice struct {
		Request string `json:"request"`
	}
	// AddedDevice is its answer: the text that the new device takes.
	AddedDevice struct {
		Certificate string `json:"certificate"`
	}
)
