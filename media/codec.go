package media

import (
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// Payload types we offer. An answer takes over those of the offer.
const (
	payloadOpus  = 111
	payloadRED   = 63  // RFC 2198 redundant audio, as browsers number it
	payloadEvent = 110 // RFC 4733 telephone-event
)

// registerCodecs tells pion the formats of an audio call (RFC 7587 section 7,
// RFC 4733 section 2.4.1, RFC 2198 section 4). Opus comes first, so a browser
// sends it plain; whoever has RED reads it at any time. "stereo" is absent, so nobody sends us two channels.
func registerCodecs(m *webrtc.MediaEngine) error {
	for _, c := range []webrtc.RTPCodecParameters{
		{RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
			SDPFmtpLine: "minptime=10;useinbandfec=1",
		}, PayloadType: payloadOpus},
		{RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: mimeRED, ClockRate: 48000, Channels: 2,
			SDPFmtpLine: "111/111",
		}, PayloadType: payloadRED},
		{RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: mimeEvent, ClockRate: 48000,
			SDPFmtpLine: "0-15",
		}, PayloadType: payloadEvent},
	} {
		if err := m.RegisterCodec(c, webrtc.RTPCodecTypeAudio); err != nil {
			return err
		}
	}
	return nil
}

const (
	mimeEvent = "audio/telephone-event"
	mimeRED   = "audio/red"
)

// noInterceptors: reports are sent by report.go, losses are dealt with by the
// playout buffer, and RTCP before Start would tell an observer too much.
func noInterceptors() *interceptor.Registry { return &interceptor.Registry{} }
