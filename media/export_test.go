package media

import (
	"net"
	"reflect"
	"sync/atomic"

	"github.com/pion/webrtc/v4"

	"github.com/peerd/peerd/audio"
)

// Mislead leaves pion's own summary of the path's state at "connecting", where a
// goroutine of pion leaves it that has looked before another and writes after it.
func (s *Session) Mislead() {
	summary := (*atomic.Value)(reflect.ValueOf(s.pc).Elem().FieldByName("connectionState").Addr().UnsafePointer())
	s.pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) {
		summary.Store(webrtc.PeerConnectionStateConnecting)
		s.wake()
	})
}

// Inject sends a packet of any payload type on the session's own stream.
func (s *Session) Inject(payloadType uint8, payload []byte) error {
	s.track.mu.Lock()
	defer s.track.mu.Unlock()
	return s.track.write(payloadType, s.track.timestamps, false, payload)
}

// Protect sets what is sent against loss until the other end reports some.
func (s *Session) Protect(depth int, repeat bool) {
	p := newPlan()
	p.depth, p.repeat = depth, repeat
	s.plan.Store(&p)
}

// FrameSender returns what the sending goroutine does for each frame after it
// was read, in a session that was started with Echo, so that none runs.
func (s *Session) FrameSender(encoder audio.Encoder) func(pcm []int16) {
	s.encoder = encoder
	s.engine.encoding.Add(1)
	packet := make([]byte, audio.MaxPacket)
	var pad keypad
	timestamp := randomTimestamp()
	return func(pcm []int16) {
		s.sendFrame(timestamp, pcm, packet, s.plan.Load().depth)
		s.sendKeys(&pad, timestamp)
		timestamp += audio.FrameSamples
	}
}

// SendTo replaces the network under the stream, so that only our own work is
// measured.
func (s *Session) SendTo(out webrtc.TrackLocalWriter) {
	s.track.mu.Lock()
	defer s.track.mu.Unlock()
	s.track.out, s.track.opus = out, 111
}

// AgentAddresses are those of our own ICE agents' host candidates.
func (e *Engine) AgentAddresses() []net.Addr { return e.main.mux.GetListenAddresses() }

// ParseCandidate is how a candidate line is read.
var ParseCandidate = parseCandidate
