package media

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerd/peerd/audio"
)

// sendPath is the state of the way out.
type sendPath struct {
	encoder    audio.Encoder
	muted      atomic.Bool
	held       atomic.Bool
	expect     atomic.Int32 // percent of loss that the other end reports
	lateFrames atomic.Uint64
	sendErrors atomic.Uint64

	digitMu sync.Mutex
	digits  []byte // event codes still to be sent
}

// send reads frames from the microphone until it is closed: read, encode,
// write RTP. All buffers are made here, none per frame.
func (s *Session) send(stream audio.Stream) {
	pcm := make([]int16, audio.FrameSamples)
	packet := make([]byte, audio.MaxPacket)
	var clock lateClock
	var pad keypad
	loss := int32(0)
	for timestamp := randomTimestamp(); ; timestamp += audio.FrameSamples {
		if stream.Read(pcm) != nil {
			return
		}
		if want := s.expect.Load(); want != loss {
			loss = want
			_ = s.encoder.SetExpectedLoss(int(loss))
		}
		s.sendFrame(timestamp, pcm, packet)
		s.sendKeys(&pad, timestamp)
		s.left(clock.lateness(time.Now()))
	}
}

// left notes by how much a frame was late.
func (s *Session) left(late time.Duration) {
	if late > strainedFrame {
		s.engine.strained.Store(time.Now().UnixNano())
	}
	if late > lateFrame {
		s.lateFrames.Add(1)
	}
}

// sendFrame encodes and sends one frame. Muted, the encoder gets zeros, so
// that nothing of the room can be left in its state; on hold nothing is sent.
func (s *Session) sendFrame(timestamp uint32, pcm []int16, packet []byte) {
	if s.held.Load() {
		return
	}
	if s.muted.Load() {
		clear(pcm)
	}
	n, err := s.encoder.Encode(pcm, packet)
	if err != nil {
		s.sendErrors.Add(1)
		return
	}
	if n <= 2 { // DTX: silence goes on
		return
	}
	if s.track.sendOpus(timestamp, packet[:n]) != nil {
		s.sendErrors.Add(1)
	}
}
