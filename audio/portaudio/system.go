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
// The callbacks only copy between the card and a ring: they take no lock and
// allocate nothing. The feeder pulls every 10 ms and keeps the playback ring just
// full enough that the largest burst finds all it wants.
package portaudio

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	pa "github.com/gordonklaus/portaudio"
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

	device *pa.DeviceInfo
}

var errClosed = errors.New("PortAudio is closed")

// library guards what a process has one of: PortAudio, which is not made for
// concurrent calls.
var library sync.Mutex

// System is the initialised PortAudio library.
type System struct {
	open   opener
	closed bool // guarded by library
}

// Init starts PortAudio and looks for sound devices, which takes some tens of
// milliseconds. What the sound libraries below print to stderr meanwhile goes to
// log at debug level.
func Init(log *slog.Logger) (*System, error) {
	library.Lock()
	defer library.Unlock()
	var err error
	quietly(log, func() { err = pa.Initialize() })
	if err != nil {
		return nil, fmt.Errorf("start PortAudio: %w", err)
	}
	return &System{open: openCard}, nil
}

// Close ends the library's use. Open streams must have been closed before.
func (s *System) Close() error {
	library.Lock()
	defer library.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return pa.Terminate()
}

// Devices lists what there was when the library was started.
func (s *System) Devices() ([]Info, error) {
	library.Lock()
	defer library.Unlock()
	if s.closed {
		return nil, errClosed
	}
	all, err := pa.Devices()
	if err != nil {
		return nil, fmt.Errorf("list sound devices: %w", err)
	}
	in, _ := pa.DefaultInputDevice() // no default: none is marked
	out, _ := pa.DefaultOutputDevice()
	list := make([]Info, len(all))
	for i, d := range all {
		list[i] = Info{
			Index: d.Index, Name: d.Name, API: d.HostApi.Name,
			Inputs: d.MaxInputChannels, Outputs: d.MaxOutputChannels,
			DefaultInput: d == in, DefaultOutput: d == out, device: d,
		}
	}
	return list, nil
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
