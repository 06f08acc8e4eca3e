// Package mediatest has what tests of media need around a session: a network
// that loses and delays, a sound card that records, a codec that costs
// nothing, and two sessions that are connected as a caller and a callee are.
package mediatest

import (
	"fmt"
	"sync/atomic"

	"github.com/peerd/peerd/audio"
)

// Codec makes encoders and decoders that carry the upper eight bits of every
// fourth sample: 240 bytes a frame, no delay, loss is silence. It counts what is
// open.
type Codec struct{ open, thrifty atomic.Int64 }

// Open is the number of encoders and decoders that were not closed.
func (c *Codec) Open() int { return int(c.open.Load()) }

// Thrifty is the number of encoders that were told to save processor time.
func (c *Codec) Thrifty() int { return int(c.thrifty.Load()) }

// Encoder fits media.SessionConfig.
func (c *Codec) Encoder() (audio.Encoder, error) { c.open.Add(1); return &coder{c: c}, nil }

// Decoder fits media.SessionConfig.
func (c *Codec) Decoder() (audio.Decoder, error) { c.open.Add(1); return &coder{c: c}, nil }

// every is how many samples become one byte.
const every = 4

type coder struct {
	c       *Codec
	closed  bool
	thrifty bool
}

func (coder) Encode(pcm []int16, out []byte) (int, error) {
	for i := range len(pcm) / every {
		out[i] = byte(pcm[i*every] >> 8)
	}
	return len(pcm) / every, nil
}

func (coder) SetBitrate(int) error      { return nil }
func (coder) SetExpectedLoss(int) error { return nil }

// SetEffort notes how many were told to save processor time, as Thrifty tells.
func (c *coder) SetEffort(full bool) error {
	if c.thrifty == full {
		c.thrifty = !full
		if full {
			c.c.thrifty.Add(-1)
		} else {
			c.c.thrifty.Add(1)
		}
	}
	return nil
}

func (coder) Decode(packet []byte, pcm []int16) (int, error) {
	if n := len(packet) * every; n == 0 || n%audio.FrameSamples != 0 || n > len(pcm) {
		return 0, fmt.Errorf("%d bytes: %w", len(packet), audio.ErrBadPacket)
	}
	sample := func(i int) int { return int(int16(packet[min(i, len(packet)-1)])<<8 | 0x80) }
	for i := range len(packet) * every {
		from, to := sample(i/every), sample(i/every+1)
		pcm[i] = int16(from + (to-from)*(i%every)/every)
	}
	return len(packet) * every, nil
}

func (coder) Recover([]byte, []int16) bool { return false }
func (coder) Conceal(pcm []int16)          { clear(pcm) }

func (c *coder) Close() error {
	if !c.closed {
		_ = c.SetEffort(true)
		c.closed = true
		c.c.open.Add(-1)
	}
	return nil
}
