// Package audio holds what every sound room agrees on: the format of a
// sample, the size of a frame, and the small interfaces behind which codecs
// and sound devices stand. It has no code that touches hardware or C; those
// are the leaves below this directory.
package audio

import (
	"errors"
	"time"
)

// The one format inside peerd: 48 kHz, mono, signed 16 bit (RFC 7587 section
// 4.1 fixes the Opus RTP clock at 48 kHz). Devices that run at another rate
// resample at their own edge.
const (
	SampleRate = 48000 // samples per second
	Channels   = 1

	FrameDuration = 20 * time.Millisecond // one Opus packet
	FrameSamples  = 960                   // samples in FrameDuration

	PullDuration = 10 * time.Millisecond // what a loudspeaker asks for at once
	PullSamples  = 480                   // samples in PullDuration

	MaxPacket = 1275 // bytes, the largest Opus frame (RFC 6716 section 3.2.1)
)

// ErrBusy is returned by Device.Open when the device serves another call and
// cannot serve two.
var ErrBusy = errors.New("sound device is in use by another call")

// ErrNoDevice is returned when there is no such microphone or loudspeaker.
var ErrNoDevice = errors.New("no such sound device")

// ErrBadPacket is returned by a Decoder for bytes that are not Opus.
var ErrBadPacket = errors.New("not an Opus packet")

// Encoder turns frames into Opus packets. It is used by one goroutine.
type Encoder interface {
	// Encode reads FrameSamples samples, or two or three times as many, and
	// writes one packet into out, which should hold MaxPacket bytes; it returns
	// the packet's length. Both slices
	// belong to the caller. A packet of two bytes or fewer is DTX: nothing
	// needs to be sent (RFC 6716 section 2.1.9).
	Encode(pcm []int16, out []byte) (int, error)
	// SetBitrate sets the target in bit/s.
	SetBitrate(bps int) error
	// SetExpectedLoss tells the encoder the loss, in percent, it should arm its in-band
	// forward error correction for; 0: none.
	SetExpectedLoss(percent int) error
	// SetEffort says whether to take the processor time that the best sound needs, as an
	// encoder does at first, or less of it.
	SetEffort(full bool) error
	Close() error
}

// Decoder turns packets into sound. It is used by one goroutine; all slices
// belong to the caller.
type Decoder interface {
	// Decode writes the sound of one packet into pcm (room for 120 ms, 5760
	// samples) and returns the number of samples. Errors wrap ErrBadPacket;
	// the decoder stays usable after one.
	Decode(packet []byte, pcm []int16) (int, error)
	// Recover decodes the forward error correction that next carries for the
	// frame before it into pcm, whose length is that frame's. ok is false where
	// the packet carries none or the decoder cannot use it; the caller then
	// conceals.
	Recover(next []byte, pcm []int16) (ok bool)
	// Conceal fills pcm with a continuation of what was decoded last, fading
	// out when called again and again.
	Conceal(pcm []int16)
	Close() error
}

// Player is the side of a call that a loudspeaker pulls from.
type Player interface {
	// Pull fills all of out (PullSamples samples, owned by the caller) with
	// what is to be played next. It never blocks and never allocates: it is
	// called on the sound card's clock.
	Pull(out []int16)
}

// Device is a pair of microphone and loudspeaker that calls can open.
type Device interface {
	// Name is what people call it: "portaudio", "file:in.wav", "tone", "null".
	Name() string
	// Open starts both directions for one call, now: the moment Open is called
	// is sample 0 of what is captured and of what is played. It returns
	// ErrBusy or ErrNoDevice (wrapped) where it cannot.
	Open(play Player) (Stream, error)
}

// Stream is an open device.
type Stream interface {
	// Read fills pcm (any length, usually FrameSamples; owned by the caller)
	// with the next captured samples, waiting until the last of them has been
	// captured. It returns io.EOF after Close.
	Read(pcm []int16) error
	// Underruns counts the pulls that came too late to be played in time.
	Underruns() uint64
	// Close stops both directions; when it returns, Player.Pull is not running
	// and will not be called again, and all files are complete. A second Close
	// does nothing.
	Close() error
}
