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
	plan       atomic.Pointer[plan] // never nil
	lateFrames atomic.Uint64
	sendErrors atomic.Uint64

	digitMu sync.Mutex
	digits  []byte // event codes still to be sent
}

// send reads frames from the microphone until it is closed: read, encode,
// write RTP. All buffers are made here, none per frame.
func (s *Session) send(stream audio.Stream) {
	pcm := make([]int16, 0, maxFrames*audio.FrameSamples)
	packet := make([]byte, audio.MaxPacket)
	var clock lateClock
	var pad keypad
	var now plan
	var spent effort
	full := true
	for timestamp := randomTimestamp(); ; timestamp += audio.FrameSamples {
		frame := pcm[len(pcm) : len(pcm)+audio.FrameSamples]
		if now.repeat { // half a frame later than the last
			if stream.Read(frame[:audio.FrameSamples/2]) != nil {
				return
			}
			s.repeatFrame(timestamp - audio.FrameSamples)
			frame = frame[audio.FrameSamples/2:]
		}
		if stream.Read(frame) != nil {
			return
		}
		if len(pcm) == 0 { // between two packets
			s.keepTo(&now, s.plan.Load())
			if best := spent.full(int(s.engine.encoding.Load())); best != full {
				full = best
				_ = s.encoder.SetEffort(full)
			}
		}
		if pcm = pcm[:len(pcm)+audio.FrameSamples]; len(pcm) >= now.frames*audio.FrameSamples {
			begin := timestamp - uint32(len(pcm)-audio.FrameSamples)
			spent.encoded(s.sendFrame(begin, pcm, packet, now.depth), now.frames)
			pcm = pcm[:0]
		}
		s.sendKeys(&pad, timestamp)
		s.left(clock.lateness(time.Now()))
	}
}

// keepTo sets the encoder to a new plan.
func (s *Session) keepTo(now, next *plan) {
	if next.bitrate != now.bitrate {
		_ = s.encoder.SetBitrate(next.bitrate)
	}
	if next.fec != now.fec {
		_ = s.encoder.SetExpectedLoss(next.fec)
	}
	*now = *next
}

// repeatFrame sends the last frame again, if it is the one at timestamp: nothing
// is sent while there is nothing to say.
func (s *Session) repeatFrame(timestamp uint32) {
	if !s.held.Load() && s.track.repeatOpus(timestamp) != nil {
		s.sendErrors.Add(1)
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

// sendFrame encodes and sends one packet's sound, with depth earlier ones, and returns how
// long the encoder took. Muted, the encoder gets zeros, so that nothing of the room can be
// left in its state; on hold nothing is sent.
func (s *Session) sendFrame(timestamp uint32, pcm []int16, packet []byte, depth int) (took time.Duration) {
	if s.held.Load() {
		return 0
	}
	if s.muted.Load() {
		clear(pcm)
	}
	begun := time.Now()
	n, err := s.encoder.Encode(pcm, packet)
	took = time.Since(begun)
	if err != nil {
		s.sendErrors.Add(1)
		return took
	}
	if n <= 2 { // DTX: silence goes on
		return took
	}
	if s.track.sendOpus(timestamp, packet[:n], depth) != nil {
		s.sendErrors.Add(1)
	}
	return took
}
