//go:build cgo

// Package portaudio gives access to the microphones and loudspeakers of this
// machine through PortAudio. It needs cgo.
//
// Real cards and sound servers move sound in bursts (PulseAudio: 20 to 60 ms at
// once) and on a clock of their own. Between such a card and the even 10 ms
// steps of a call stands a ring buffer on either side:
//
//	microphone  -> callback -> capture ring  -> Read
//	loudspeaker <- callback <- playback ring <- feeder <- Player.Pull
//
// The callbacks are a few lines of C, so that no garbage collection delays them. The
// feeder pulls every 10 ms, and keeps the playback ring just full enough
// that the largest burst finds all it wants: it skips a pull when the ring never
// runs low, and pulls once more when it ran dry. That also follows the card's
// clock, which is never quite ours.
package portaudio

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/peerd/peerd/audio"
)

// Info describes one device of the machine.
type Info struct {
	Index         int    // number by which it can be chosen
	Name          string // name by which it can be chosen, or a part of it
	API           string // the sound system it belongs to: "ALSA", "Core Audio"
	Inputs        int    // channels it captures; 0 is no microphone
	Outputs       int    // channels it plays; 0 is no loudspeaker
	DefaultInput  bool
	DefaultOutput bool

	inputLatency  time.Duration // least that the card promises
	outputLatency time.Duration
}

var errClosed = errors.New("PortAudio is closed")

// System is the initialised PortAudio library.
type System struct {
	mu     sync.Mutex // PortAudio is not made for concurrent calls
	closed bool
}

// Init starts PortAudio and looks for sound devices, which takes some tens of
// milliseconds. What the sound libraries below print to stderr meanwhile goes to
// log at debug level.
func Init(log *slog.Logger) (*System, error) {
	var err error
	quietly(log, func() { err = initialize() })
	if err != nil {
		return nil, fmt.Errorf("start PortAudio: %w", err)
	}
	return &System{}, nil
}

// Close ends the library's use. Open streams must have been closed before.
func (s *System) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return terminate()
}

// Devices lists what there was when the library was started.
func (s *System) Devices() ([]Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	return devices()
}

// Device returns the device that spec names: "" for the machine's default
// microphone and loudspeaker, or "IN,OUT" with either of them a number or a name
// (or an unambiguous part of it) of Devices, or empty for the default. It wraps
// audio.ErrNoDevice, with what to do, when there is none.
func (s *System) Device(spec string) (*Device, error) {
	all, err := s.Devices()
	if err != nil {
		return nil, err
	}
	in, out := splitSpec(spec)
	d := &Device{system: s, name: "portaudio"}
	if spec != "" {
		d.name += ":" + spec
	}
	if d.in, err = choose(all, in, microphone()); err != nil {
		return nil, err
	}
	if d.out, err = choose(all, out, loudspeaker()); err != nil {
		return nil, err
	}
	return d, nil
}

// splitSpec cuts at the first comma outside of parentheses: ALSA's names have
// commas inside, as in "HDA Intel PCH: ALC257 Analog (hw:0,0)".
func splitSpec(spec string) (in, out string) {
	depth := 0
	for i, c := range spec {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth <= 0:
			return strings.TrimSpace(spec[:i]), strings.TrimSpace(spec[i+1:])
		}
	}
	return strings.TrimSpace(spec), ""
}

// side is one of the two halves of a sound device.
type side struct {
	what     string
	channels func(Info) int
	standard func(Info) bool
}

func microphone() side {
	return side{"microphone", func(d Info) int { return d.Inputs }, func(d Info) bool { return d.DefaultInput }}
}

func loudspeaker() side {
	return side{"loudspeaker", func(d Info) int { return d.Outputs }, func(d Info) bool { return d.DefaultOutput }}
}

const insteadHint = `connect one and start again, or choose another with --audio portaudio:IN,OUT ("peerd audio devices" lists them), ` +
	"or do without: --audio null"

// choose finds the device that want means for one side.
func choose(all []Info, want string, s side) (Info, error) {
	var found []Info
	for _, d := range all {
		switch {
		case s.channels(d) == 0:
		case want == "" && s.standard(d), want != "" && (d.Name == want || strconv.Itoa(d.Index) == want):
			return d, nil
		case want != "" && strings.Contains(strings.ToLower(d.Name), strings.ToLower(want)):
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Info{}, fmt.Errorf("%w: %d are called %q as %s, the first %q; give more of the name",
			audio.ErrNoDevice, len(found), want, s.what, found[0].Name)
	case want == "":
		return Info{}, fmt.Errorf("%w: this machine has no %s; %s", audio.ErrNoDevice, s.what, insteadHint)
	}
	return Info{}, fmt.Errorf("%w: no %s is called %q; %s", audio.ErrNoDevice, s.what, want, insteadHint)
}
