// Package config turns flags, PEERD_* environment variables and the
// configuration file into one checked struct, names every file and directory
// the daemon touches, and holds the lock that keeps a second daemon off the
// same directories.
//
// A setting is taken from its flag, else from its variable, else from the
// file, else its default holds. Nothing outside this package reads the
// environment or the file.
package config

import (
	"errors"
	"log/slog"
)

// The errors of this package; every returned error wraps one of them or comes
// from the operating system.
var (
	// ErrInvalid: a setting has a value it cannot have; the text names each.
	ErrInvalid = errors.New("invalid setting")
	// ErrNewerVersion: the configuration file is of a newer peerd.
	ErrNewerVersion = errors.New("written by a newer version of peerd")
	// ErrLocked: another daemon runs on the same directories.
	ErrLocked = errors.New("another peerd daemon is running on this home")
	// ErrUnsafeDir: a directory belongs to another user or is open to others.
	ErrUnsafeDir = errors.New("directory is not private")
)

// Roles of a node in the overlay.
const (
	RoleAuto   = "auto"
	RoleClient = "client"
	RoleServer = "server"
)

// What to do with an incoming call.
const (
	AnswerAsk  = "ask"  // ring
	AnswerAuto = "auto" // accept contacts, and whoever has our link, at once; ring for others
	AnswerEcho = "echo" // accept and send back what is received
)

// Kinds of audio device.
const (
	AudioPortAudio = "portaudio"
	AudioFile      = "file"
	AudioTone      = "tone"
	AudioNull      = "null"
)

// Audio says which sound device a call uses.
type Audio struct {
	Kind string // one of the Audio constants
	In   string // portaudio: name of the microphone; file: WAV to speak; may be empty
	Out  string // portaudio: name of the loudspeaker; file: WAV to record; may be empty
}

// Config is everything the daemon is told. Each field's setting is named in
// the table of settings.go, as flag, variable (PEERD_ and the flag in upper
// case) and key of the file.
type Config struct {
	Dirs

	Name           string   // --name: own name in a new identity, shown to contacts
	Listen         []string // --listen: multiaddrs of the overlay host
	ListenExplicit bool     // Listen was asked for: a port in use is an error, not a reason to take another
	MediaPort      int      // --media-port: UDP port of all calls' sound, 0 = any
	RelayPort      int      // --relay-port: STUN and TURN port of a server, 0 = any
	Bootstrap      []string // --bootstrap: multiaddrs with /p2p/ of nodes to join by
	Role           string   // --role: one of the Role constants
	MDNS           bool     // --mdns: find nodes on the local network
	Audio          Audio    // --audio
	Answer         string   // --answer: one of the Answer constants
	MaxCalls       int      // --max-calls: calls at one time
	LogLevel       slog.Level
	StormTrace     string // --storm-trace: file for a trace of the storm policy, empty = none
	Passphrase     string // PEERD_PASSPHRASE only: seals the identity file
}
