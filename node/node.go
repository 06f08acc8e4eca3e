// Package node is a member of the overlay: it logs a device in, finds the
// devices of other accounts, and opens authenticated streams to them. It knows
// accounts, devices, contacts and streams; it knows no calls and no sound.
package node

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/overlay"
	"github.com/peerd/peerd/node/relay"
	"github.com/peerd/peerd/node/storm"
)

// Roles a node can be asked to play (Config.Role) and plays (Status.Overlay.Role).
const (
	// RoleAuto starts as a client and becomes a server, for good, once a stranger has
	// dialled it back at a public address of one of its own interfaces, or when it
	// begins an overlay: no bootstrap node is named and nobody it knows answers.
	RoleAuto = "auto"
	// RoleClient uses the DHT, stores nothing for others.
	RoleClient = "client"
	// RoleServer stores records, carries circuits, answers STUN and TURN.
	RoleServer = "server"
)

// Config is what a node needs to run. Identity, Dir and Log are required.
type Config struct {
	// Identity holds the device key (the host key) and the account's certificate.
	Identity *identity.Identity
	// Dir is a private directory of this node: datastore, peer cache, contacts book.
	Dir string
	// Listen are multiaddrs to listen on. Empty: QUIC and TCP on port 27470 of all
	// addresses, or on any free port when 27470 is taken.
	Listen []string
	// Bootstrap are servers (multiaddrs with /p2p/) asked last, after every peer known.
	Bootstrap []string
	// Role is RoleAuto (also the empty string), RoleClient or RoleServer.
	Role string
	// MDNS looks for nodes on the local network and lets itself be found there.
	MDNS bool
	// RelayPort is the UDP and TCP port of the STUN and TURN server of a node that
	// is a server; 0 is any free port, negative is none.
	RelayPort int
	// Log receives constant messages with attributes.
	Log *slog.Logger
	// Now is the clock of records and evidence; nil is time.Now.
	Now func() time.Time
	// Memory keeps the DHT's records in memory only (tests).
	Memory bool
	// Network and Store stand in for this machine's network and record store; they
	// are for labs, and remain the caller's. Nil: the machine's own.
	Network overlay.Network
	Store   overlay.Store
	// CPU is the processor time spent until now; nil is the process's.
	CPU func() time.Duration
	// Off switches mechanisms of the storm policy off, for measurements.
	Off storm.Options
	// Trace takes a trace of the storm policy (node/storm/trace); nil takes none. It
	// must outlive the node.
	Trace io.Writer
}

// State is the login state of a node.
type State string

// The login states.
const (
	Starting State = "starting" // never been online since Open
	Online   State = "online"   // all conditions of the login hold
	Offline  State = "offline"  // was online, a condition has been lost
)

// Reachability is what others proved about us.
type Reachability string

// What a stranger's dial-back can prove.
const (
	ReachUnknown Reachability = "unknown"
	ReachDirect  Reachability = "direct"
	ReachRelay   Reachability = "relay"
)

// Status is a snapshot of a node; it shares no memory with it.
type Status struct {
	State     State        `json:"state"`
	Alone     bool         `json:"alone"`     // first node of an overlay: online without neighbours
	Addresses []string     `json:"addresses"` // dialable by others, with /p2p/
	Overlay   Overlay      `json:"overlay"`
	Login     Login        `json:"login"`
	Reachable Reachability `json:"reachable"`
}

// Overlay tells how this node stands in the overlay.
type Overlay struct {
	Peers int    `json:"peers"` // connected nodes
	Role  string `json:"role"`  // RoleClient or RoleServer, as played now
	// Load is what a server has let in over the last second as a share of what it
	// gives; it may exceed 1 for a moment.
	Load float64 `json:"load"`
	// Storm: more want to join than are let in, here or where this node asked.
	Storm    bool   `json:"storm"`
	Refusals uint64 `json:"refusals"` // by this server, since Open
}

// Login tells how far the login is.
type Login struct {
	Published bool      `json:"published"` // own presence record acknowledged or found there still valid
	Acks      int       `json:"acks"`      // nodes that acknowledged the last publication
	TookMS    int64     `json:"took_ms"`   // from Open to online the first time; 0 before
	Missing   []Missing `json:"missing"`   // empty when online
}

// Missing is one condition of the login that does not hold.
type Missing struct {
	What  string    `json:"what"` // neighbours | presence record | account record | reachability
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// PresenceState is what we know about a contact, strongest first.
type PresenceState string

// The presence states of an account or a device.
const (
	Connected PresenceState = "connected" // a connection to it is open now
	Announced PresenceState = "announced" // a valid record is known, nothing proven just now
	Gone      PresenceState = "gone"      // it said goodbye, or could not be reached
	Unknown   PresenceState = "unknown"
)

// ContactPresence is the presence of a contact with its evidence.
type ContactPresence struct {
	State     PresenceState    `json:"state"`
	Evidence  time.Time        `json:"evidence"`   // when we last heard from it; zero: never
	SignedOff bool             `json:"signed_off"` // what we heard then was a goodbye
	Devices   []DevicePresence `json:"devices"`
	// Listed says that Devices are those of an account record: there are no others.
	Listed bool `json:"listed"`
}

// DevicePresence is the presence of one device of a contact.
type DevicePresence struct {
	Device   identity.DeviceID `json:"device"`
	Name     string            `json:"name"`
	State    PresenceState     `json:"state"`
	Evidence time.Time         `json:"evidence"`
}

// Event is one change; exactly one field is set.
type Event struct {
	Status   *Status
	Presence *PresenceChange
}

// PresenceChange says that the presence of a contact changed.
type PresenceChange struct {
	Account  identity.AccountID
	Presence ContactPresence
}

// Peer is a verified device of an account we are connected to.
type Peer struct {
	Device      identity.DeviceID
	Certificate identity.Certificate
}

// Stream is a bidirectional, authenticated and encrypted byte stream to a device.
type Stream interface {
	io.ReadWriteCloser
	// Reset tears both directions down at once.
	Reset() error
	SetDeadline(time.Time) error
	// Device is the authenticated device at the other end.
	Device() identity.DeviceID
	// Relayed says that the stream runs over a circuit relay.
	Relayed() bool
}

// API is what the phone uses of a Node; its tests put another one in its place.
type API interface {
	Close() error
	Status() Status
	Subscribe() (<-chan Event, func())
	SetContacts([]identity.Link)
	Presence(identity.AccountID) ContactPresence
	Revoked(identity.AccountID, identity.DeviceID) bool
	Knows(identity.DeviceID) bool
	Connect(context.Context, identity.Link) (Peer, error)
	Stream(context.Context, identity.DeviceID, string) (Stream, error)
	Answers(context.Context, identity.DeviceID) bool
	Handle(string, func(Stream))
	Relays(context.Context) ([]relay.Grant, error)
}

var _ API = (*Node)(nil)
