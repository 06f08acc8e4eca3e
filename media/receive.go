package media

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/media/playout"
)

// maxRTP is the largest packet read, bytes; longer ones are cut and dropped.
const maxRTP = 1500

// receivePath is the state of the way in.
type receivePath struct {
	decoder    audio.Decoder
	buffer     atomic.Pointer[playout.Buffer] // nil until Start; never set with Echo
	echoing    atomic.Bool
	receiving  atomic.Bool
	packets    atomic.Uint64
	bytes      atomic.Uint64
	remoteSSRC atomic.Uint32
	remoteLoss atomic.Uint64 // of what we sent, bits of a float64 0..1
	repair     repair
	early      atomic.Uint64
	foreign    atomic.Uint64
	firstSound atomic.Int64 // ns from Start

	theirReport atomic.Pointer[senderReport]

	// Used by the reading goroutine alone.
	digitsHeard int
	digitBegin  uint32
	echoBase    uint32
	echoSet     bool
	blocks      [maxBlocks]redBlock
}

// receive reads the other end's stream until it ends. It never waits for the
// loudspeaker: packets go into the playout buffer, which drops the oldest when
// full.
func (s *Session) receive(remote *webrtc.TrackRemote) {
	buf := make([]byte, maxRTP)
	var p rtp.Packet
	for {
		n, _, err := remote.Read(buf)
		if n == 0 && err != nil {
			return
		}
		// pion reports a payload type it does not know as an error beside the
		// packet. That is the packet's fault, not the stream's.
		if err != nil || p.Unmarshal(buf[:n]) != nil {
			s.foreign.Add(1)
			continue
		}
		s.arrived(&p, time.Now())
	}
}

// arrived sorts one packet. p's payload is valid until it returns.
func (s *Session) arrived(p *rtp.Packet, now time.Time) {
	opus, red, event := s.track.types()
	switch {
	case len(p.Payload) == 0:
		s.foreign.Add(1)
	case p.PayloadType == red && red != 0:
		s.arrivedRED(p, opus, now)
	case p.PayloadType == opus && len(p.Payload) <= audio.MaxPacket:
		s.arrivedOpus(p, now)
	case p.PayloadType == event && event != 0:
		if b := s.buffer.Load(); b != nil {
			b.Note(p.SequenceNumber)
		}
		if digit, ok := s.digitHeard(p.Timestamp, p.Payload); ok && s.isStarted() {
			s.post(DTMF{digit})
		}
	default:
		s.foreign.Add(1)
	}
}

func (s *Session) arrivedOpus(p *rtp.Packet, now time.Time) {
	if !s.takes(p) {
		return
	}
	if s.echoing.Load() {
		s.echo(p)
		return
	}
	s.buffer.Load().Put(now.Sub(s.startTime()), p.SequenceNumber, p.Timestamp, p.Payload)
}

// arrivedRED takes a packet apart: its own frame, and earlier ones, which the
// playout buffer may have already.
func (s *Session) arrivedRED(p *rtp.Packet, opus uint8, now time.Time) {
	n, err := readRED(p.Payload, &s.blocks)
	if err != nil {
		s.foreign.Add(1)
		return
	}
	if !s.takes(p) {
		return
	}
	if s.echoing.Load() {
		s.echo(p)
		return
	}
	buffer, at := s.buffer.Load(), now.Sub(s.startTime())
	sound := func(b *redBlock) bool {
		return b.payloadType == opus && len(b.data) > 0 && len(b.data) <= audio.MaxPacket
	}
	own := &s.blocks[n-1]
	switch {
	case !sound(own):
		buffer.Note(p.SequenceNumber)
	case n == 1 && buffer.Begun(): // a frame again, in a packet of its own
		buffer.Note(p.SequenceNumber)
		buffer.PutCopy(at, p.Timestamp, own.data)
	default:
		buffer.Put(at, p.SequenceNumber, p.Timestamp, own.data)
	}
	for i := range n - 1 {
		if b := &s.blocks[n-2-i]; sound(b) { // the nearest first
			buffer.PutCopy(at, p.Timestamp-b.offset, b.data)
		}
	}
}

// takes counts a packet of sound and tells whether it is to be played or sent
// back.
func (s *Session) takes(p *rtp.Packet) bool {
	if (s.buffer.Load() == nil && !s.echoing.Load()) || s.held.Load() {
		s.early.Add(1)
		return false
	}
	s.remoteSSRC.Store(p.SSRC)
	s.packets.Add(1)
	s.bytes.Add(uint64(len(p.Payload)))
	return true
}

// echo sends a packet back on our own stream, with the earlier frames in it.
// Timestamps keep their distances and begin elsewhere; sequence numbers are our
// own, so losses on the way in are not losses on the way out.
func (s *Session) echo(p *rtp.Packet) {
	if !s.echoSet {
		s.echoSet, s.echoBase = true, randomTimestamp()-p.Timestamp
		s.heardFirst(time.Now())
	}
	if s.track.forward(p.PayloadType, s.echoBase+p.Timestamp, p.Payload) != nil {
		s.sendErrors.Add(1)
	}
}

// loudspeaker is what the device pulls from.
type loudspeaker struct{ s *Session }

// Pull implements audio.Player.
func (l loudspeaker) Pull(out []int16) {
	buffer := l.s.buffer.Load()
	if buffer == nil || l.s.held.Load() {
		clear(out)
		return
	}
	now := time.Now()
	if buffer.Pull(now.Sub(l.s.startTime()), out) && l.s.firstSound.Load() == 0 {
		l.s.heardFirst(now)
	}
}

func (s *Session) heardFirst(now time.Time) {
	if s.firstSound.CompareAndSwap(0, max(1, int64(now.Sub(s.startTime())))) {
		s.post(FirstSound{})
	}
}

var errNoCodec = errors.New("no codec given")

// openCodecs makes encoder and decoder.
func (s *Session) openCodecs() (err error) {
	if s.cfg.Encoder == nil || s.cfg.Decoder == nil {
		return errNoCodec
	}
	if s.encoder, err = s.cfg.Encoder(); err != nil {
		return fmt.Errorf("opening the encoder: %w", err)
	}
	s.engine.encoding.Add(1)
	if s.decoder, err = s.cfg.Decoder(); err != nil {
		return fmt.Errorf("opening the decoder: %w", err)
	}
	return nil
}

// closeCodecs is called when neither path runs any more.
func (s *Session) closeCodecs() {
	if s.encoder != nil {
		_ = s.encoder.Close()
		s.encoder = nil
		s.engine.encoding.Add(-1)
	}
	if s.decoder != nil {
		_ = s.decoder.Close()
		s.decoder = nil
	}
}
