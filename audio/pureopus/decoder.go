// Package pureopus decodes Opus in memory-safe Go (github.com/pion/opus): for
// packets of strangers, for tools, and for builds without cgo. Mono only. The
// library knows neither concealment nor forward error correction, so this
// package repeats the last pitch period while packets are missing and fades
// the first sound after them in, where the library may overshoot.
package pureopus

import (
	"fmt"

	"github.com/pion/opus"

	"github.com/peerd/peerd/audio"
)

const (
	maxSamples = 5760 // 120 ms, the longest packet
	fadeIn     = 240  // samples, 5 ms, of sound after a loss
)

var _ audio.Decoder = (*Decoder)(nil)

// Decoder implements audio.Decoder. It belongs to one goroutine.
type Decoder struct {
	opus  opus.Decoder
	tail  tail
	lossy bool // the last samples were made up
}

// NewDecoder makes a decoder. Close does nothing but is there for the interface.
func NewDecoder() (*Decoder, error) {
	d, err := opus.NewDecoderWithOutput(audio.SampleRate, audio.Channels)
	if err != nil {
		return nil, fmt.Errorf("opening the pure Opus decoder: %w", err)
	}
	return &Decoder{opus: d}, nil
}

// Decode implements audio.Decoder. A packet of two bytes or fewer says that
// nothing was sent (DTX): its sound is a fading continuation. Stereo packets
// are refused.
func (d *Decoder) Decode(packet []byte, pcm []int16) (n int, err error) {
	if len(packet) == 0 || len(packet) > audio.MaxPacket {
		return 0, fmt.Errorf("decoding %d bytes: %w", len(packet), audio.ErrBadPacket)
	}
	length, err := duration(packet)
	if err != nil {
		return 0, err
	}
	if len(pcm) < length {
		return 0, fmt.Errorf("decoding %d samples into room for %d: %w", length, len(pcm), audio.ErrBadPacket)
	}
	if len(packet) <= 2 {
		d.Conceal(pcm[:length])
		return length, nil
	}
	return d.decode(packet, pcm[:length])
}

func (d *Decoder) decode(packet []byte, pcm []int16) (n int, err error) {
	defer func() { // the library parses what strangers send
		if r := recover(); r != nil {
			d.restart()
			n, err = 0, fmt.Errorf("decoding: %w: %v", audio.ErrBadPacket, r)
		}
	}()
	n, err = d.opus.DecodeToInt16(packet, pcm)
	if err != nil {
		return 0, fmt.Errorf("decoding: %w: %w", audio.ErrBadPacket, err)
	}
	if d.lossy {
		d.tail.blend(pcm[:min(n, fadeIn)])
		d.lossy = false
	}
	d.tail.remember(pcm[:n])
	return n, nil
}

// restart makes the library forget a packet that broke it.
func (d *Decoder) restart() {
	_ = d.opus.Init(audio.SampleRate, audio.Channels) // these arguments were good before
}

// Recover implements audio.Decoder: the library cannot.
func (d *Decoder) Recover([]byte, []int16) bool { return false }

// Conceal implements audio.Decoder.
func (d *Decoder) Conceal(pcm []int16) {
	d.tail.extend(pcm)
	d.lossy = true
}

// Close implements audio.Decoder.
func (d *Decoder) Close() error { return nil }

// duration is the number of samples in a packet (RFC 6716 section 3.1, 3.2).
func duration(packet []byte) (int, error) {
	if packet[0]&4 != 0 {
		return 0, fmt.Errorf("decoding stereo: %w", audio.ErrBadPacket)
	}
	frames := 1
	switch packet[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(packet) < 2 {
			return 0, fmt.Errorf("decoding a packet without frame count: %w", audio.ErrBadPacket)
		}
		frames = int(packet[1] & 63)
	}
	n := frames * frameSamples(packet[0]>>3)
	if n == 0 || n > maxSamples {
		return 0, fmt.Errorf("decoding %d samples in one packet: %w", n, audio.ErrBadPacket)
	}
	return n, nil
}

// frameSamples is the length of a frame by its configuration number (RFC 6716
// table 2).
func frameSamples(config byte) int {
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [...]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		return [...]int{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		return 120 << (config & 3)
	}
}
