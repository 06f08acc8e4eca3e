package media

import (
	"math/rand/v2"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// track is our side of the RTP stream. Opus and telephone-event share one
// SSRC, hence one row of sequence numbers (RFC 4733 section 2.1). Safe for
// concurrent use; nothing is allocated per packet.
type track struct {
	mu         sync.Mutex
	out        webrtc.TrackLocalWriter // nil until negotiated
	header     rtp.Header
	opus       uint8 // payload types of this call
	event      uint8 // 0: the other end knows no telephone-event
	red        uint8 // 0: the other end knows no RED
	earlier    redBuilder
	marked     bool // the first packet has been sent
	packets    uint64
	bytes      uint64
	timestamps uint32 // of the last packet
}

func newTrack() *track {
	return &track{header: rtp.Header{Version: 2, SequenceNumber: uint16(rand.Uint32())}}
}

// Bind is called by pion when the payload types are agreed.
func (t *track) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var chosen webrtc.RTPCodecParameters
	var red []webrtc.RTPCodecParameters
	for _, p := range c.CodecParameters() {
		switch p.MimeType {
		case webrtc.MimeTypeOpus:
			if t.opus == 0 {
				t.opus, chosen = uint8(p.PayloadType), p
			}
		case mimeEvent:
			t.event = uint8(p.PayloadType)
		case mimeRED:
			red = append(red, p)
		}
	}
	for _, p := range red {
		if redOf(p.SDPFmtpLine, t.opus) {
			t.red = uint8(p.PayloadType)
		}
	}
	if t.opus == 0 {
		return chosen, webrtc.ErrUnsupportedCodec
	}
	t.out, t.header.SSRC = c.WriteStream(), uint32(c.SSRC())
	return chosen, nil
}

// Unbind is called by pion when the session ends.
func (t *track) Unbind(webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out, t.opus, t.event, t.red = nil, 0, 0, 0
	return nil
}

func (t *track) ID() string                { return "audio" }
func (t *track) StreamID() string          { return "peerd" }
func (t *track) RID() string               { return "" }
func (t *track) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

// sendOpus writes one Opus packet whose first sample has the given timestamp,
// with up to depth earlier ones where the other end knows RED.
func (t *track) sendOpus(timestamp uint32, payload []byte, depth int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.earlier.remember(timestamp, payload)
	if depth > 0 && t.red != 0 {
		if out, ok := t.earlier.build(t.opus, timestamp, payload, depth); ok {
			return t.sendSound(t.red, timestamp, out)
		}
	}
	return t.sendSound(t.opus, timestamp, payload)
}

// repeatOpus writes the last frame once more, if it is the one at timestamp and
// the other end knows RED.
func (t *track) repeatOpus(timestamp uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := &t.earlier.past[0]; t.red == 0 || last.size == 0 || last.timestamp != timestamp {
		return nil
	}
	return t.sendSound(t.red, timestamp, t.earlier.again(t.opus))
}

// forward writes a payload of the other end, of type opus or red, as it is.
func (t *track) forward(payloadType uint8, timestamp uint32, payload []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sendSound(payloadType, timestamp, payload)
}

func (t *track) sendSound(payloadType uint8, timestamp uint32, payload []byte) error {
	if err := t.write(payloadType, timestamp, !t.marked, payload); err != nil {
		return err
	}
	t.marked = true
	t.packets++
	t.bytes += uint64(len(payload))
	return nil
}

// sendEvent writes one telephone-event packet.
func (t *track) sendEvent(timestamp uint32, first bool, payload []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.event == 0 {
		return errNoEvents
	}
	return t.write(t.event, timestamp, first, payload)
}

func (t *track) write(pt uint8, timestamp uint32, marker bool, payload []byte) error {
	if t.out == nil {
		return errNotNegotiated
	}
	t.header.PayloadType, t.header.Timestamp, t.header.Marker = pt, timestamp, marker
	_, err := t.out.WriteRTP(&t.header, payload)
	t.header.SequenceNumber++
	t.timestamps = timestamp
	return err
}

// types are the payload types of this call; 0: not agreed.
func (t *track) types() (opus, red, event uint8) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.opus, t.red, t.event
}

func (t *track) sent() (ssrc uint32, packets, bytes uint64, timestamp uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.header.SSRC, t.packets, t.bytes, t.timestamps
}
