// Package phone is where the rooms meet: it joins names and streams (node),
// call protocol (signaling), encrypted sound (media) and sound devices (audio)
// into a telephone. calls.go tells what happens when Alice calls Bob. It knows
// nothing of the local API that drives it.
package phone

import (
	"context"
	"log/slog"

	"github.com/peerd/peerd/audio"
)

// Config is everything a Phone needs.
type Config struct {
	Dir       string // private state directory; contacts and history live there
	MediaPort int    // UDP port of all media; 0 is any
	Answer    AnswerMode
	MaxCalls  int // live calls at once; 0 is 64

	Device          audio.Device                  // microphone and loudspeaker
	Encoder         func() (audio.Encoder, error) // nil: this build has none
	Decoder         func() (audio.Decoder, error) // for people we know
	StrangerDecoder func() (audio.Decoder, error) // memory-safe, for everybody else
	ListAudio       func() ([]AudioDevice, error) // what --audio can name

	SaveIdentity func() error // writes the identity back after a change of devices
	Log          *slog.Logger
}

// Phone is a running telephone.
type Phone struct{}

// Open starts everything and returns as soon as calls can be served locally;
// logging in goes on in the background.
func Open(ctx context.Context, cfg Config) (*Phone, error) { return nil, ErrClosed }

// Close hangs up, stops media, store and node in this order, and waits.
func (p *Phone) Close() error { return nil }

// Status is the present state.
func (p *Phone) Status() Status { return Status{} }

// Link is our own contact link.
func (p *Phone) Link() string { return "" }

// Contacts lists the address book by name.
func (p *Phone) Contacts() []Contact { return nil }

// AddContact adds a contact, or unblocks it when name and link are the same.
func (p *Phone) AddContact(name, link string) error { return ErrClosed }

// RemoveContact forgets a contact.
func (p *Phone) RemoveContact(name string) error { return ErrClosed }

// BlockContact keeps the contact but refuses its calls and tells it nothing.
func (p *Phone) BlockContact(name string) error { return ErrClosed }

// Dial calls a contact by name, or a contact link, and returns at once with the
// id of the call; everything else is told by events.
func (p *Phone) Dial(who string) (id string, err error) { return "", ErrClosed }

// Answer accepts a ringing call. An empty id means the only fitting call, here
// and in the methods below.
func (p *Phone) Answer(id string) error { return ErrClosed }

// Reject declines a ringing call.
func (p *Phone) Reject(id string) error { return ErrClosed }

// Hangup ends a call in any state: cancels, declines or hangs up.
func (p *Phone) Hangup(id string) error { return ErrClosed }

// Hold puts the other end on hold.
func (p *Phone) Hold(id string) error { return ErrClosed }

// Resume takes the other end off hold.
func (p *Phone) Resume(id string) error { return ErrClosed }

// Mute turns our microphone off for a call.
func (p *Phone) Mute(id string) error { return ErrClosed }

// Unmute turns our microphone on again.
func (p *Phone) Unmute(id string) error { return ErrClosed }

// DTMF sends digits (0-9 * # A-D) as telephone events.
func (p *Phone) DTMF(id, digits string) error { return ErrClosed }

// Calls lists live calls and history, newest first.
func (p *Phone) Calls() []Call { return nil }

// Call returns one call, live or from history. A unique prefix of the id will do.
func (p *Phone) Call(id string) (Call, error) { return Call{}, ErrNoSuchCall }

// Subscribe returns a channel of events and a function that ends it. The channel
// is closed when the watcher is too slow, when it is cancelled, or at Close:
// subscribe first, then ask for the present state, and nothing is missed.
func (p *Phone) Subscribe() (<-chan Event, func()) { return nil, func() {} }

// Devices lists the devices of our account, revoked ones included.
func (p *Phone) Devices() []AccountDevice { return nil }

// AddDevice certifies another device from the request it printed, and returns
// what is to be given back to it.
func (p *Phone) AddDevice(request string) (certificate string, err error) { return "", ErrClosed }

// RevokeDevice takes the certificate away from a device of our account.
func (p *Phone) RevokeDevice(id string) error { return ErrClosed }

// AudioDevices lists the sound devices this build can open.
func (p *Phone) AudioDevices() ([]AudioDevice, error) { return nil, nil }
