// Package cli is the command line of peerd: one file per command, with its
// flags, its help and its runner together. Commands talk to the daemon through
// the local API's client only.
package cli

import (
	"io"
	"log/slog"

	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// Program is the outside world of the command line. Rules of the terminal:
// what was asked for goes to Stdout, everything else to Stderr; plain ASCII;
// nothing is said by colour.
type Program struct {
	Version string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string

	// Sound sets the sound fields of cfg (Device, Encoder, Decoder,
	// StrangerDecoder, ListAudio) from the value of --audio: the codecs and
	// devices this build has.
	Sound func(spec string, cfg *phone.Config, log *slog.Logger) error
}
