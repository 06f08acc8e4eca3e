package media

import (
	"math"
	"net"
	"strconv"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/peerd/peerd/media/playout"
)

// Stats is a snapshot of one session. Counts are since Start.
type Stats struct {
	PacketsSent     uint64 `json:"packets_sent"`
	BytesSent       uint64 `json:"bytes_sent"` // RTP payload, earlier frames included
	PacketsReceived uint64 `json:"packets_received"`
	BytesReceived   uint64 `json:"bytes_received"` // RTP payload, earlier frames included

	Lost      uint64 `json:"lost"`      // sequence numbers never seen
	Late      uint64 `json:"late"`      // came after their turn to be played
	Duplicate uint64 `json:"duplicate"` // seen before
	Reordered uint64 `json:"reordered"` // came after a packet with a higher sequence number
	Early     uint64 `json:"early"`     // dropped because Start had not been called, or on hold
	Foreign   uint64 `json:"foreign"`   // payload types that are neither Opus nor telephone-event, damaged packets

	ConcealedRatio   float64 `json:"concealed_ratio"` // samples made up, over samples played
	ConcealedSamples uint64  `json:"concealed_samples"`
	PlayedSamples    uint64  `json:"played_samples"`
	Recovered        uint64  `json:"recovered"` // frames restored from what later packets carry, RED or in-band
	Accelerated      uint64  `json:"accelerated_samples"`
	Decelerated      uint64  `json:"decelerated_samples"`
	JitterMS         float64 `json:"jitter_ms"`        // RFC 3550 section 6.4.1
	PlayoutDelayMS   float64 `json:"playout_delay_ms"` // arrival on the fastest path to loudspeaker
	TargetMS         float64 `json:"target_ms"`        // what the playout delay is steered to
	Path             Path    `json:"path"`             // with the round trip of ICE's checks
	RemoteLoss       float64 `json:"remote_loss"`      // of what we sent, as reported in the last seconds, 0..1

	Redundancy  int     `json:"redundancy"`   // earlier frames in each packet that we send
	Repeated    bool    `json:"repeated"`     // each frame is sent once more in a packet of its own
	FEC         bool    `json:"fec"`          // in-band forward error correction is armed
	BitrateKbit float64 `json:"bitrate_kbit"` // of our encoder, kbit/s, without redundancy
	FrameMS     int     `json:"frame_ms"`     // sound in each packet that we send
	RemoteBurst float64 `json:"remote_burst"` // mean number of packets lost in a row, as reported

	LateFrames   uint64  `json:"late_frames"`    // captured frames sent a frame time too late, for lack of CPU
	SendErrors   uint64  `json:"send_errors"`    // frames not sent because the path was not up
	Underruns    uint64  `json:"underruns"`      // blocks the loudspeaker went without, because it pulled too late
	FirstSoundMS float64 `json:"first_sound_ms"` // from Start; 0 until then
}

// Path is the selected pair of ICE candidates.
type Path struct {
	Relay  bool          `json:"relay"`  // at least one end is a TURN allocation
	Local  string        `json:"local"`  // address and port, empty until PathUp
	Remote string        `json:"remote"` // address and port, empty until PathUp
	RTT    time.Duration `json:"rtt"`
}

// Kind is "relay", "direct", or "" while there is no path.
func (p Path) Kind() string {
	switch {
	case p.Remote == "":
		return ""
	case p.Relay:
		return "relay"
	default:
		return "direct"
	}
}

// Stats returns a snapshot.
func (s *Session) Stats() Stats {
	_, packets, bytes, _ := s.track.sent()
	out := Stats{
		PacketsSent: packets, BytesSent: bytes,
		PacketsReceived: s.packets.Load(), BytesReceived: s.bytes.Load(),
		Early: s.early.Load(), Foreign: s.foreign.Load(),
		RemoteLoss: math.Float64frombits(s.remoteLoss.Load()),
		LateFrames: s.lateFrames.Load(), SendErrors: s.sendErrors.Load(),
		FirstSoundMS: millis(time.Duration(s.firstSound.Load())),
		Path:         s.Path(),
	}
	now := s.plan.Load()
	if _, red, _ := s.track.types(); red != 0 {
		out.Redundancy, out.Repeated = now.depth, now.repeat
	}
	out.FEC, out.BitrateKbit, out.FrameMS = now.fec > 0, float64(now.bitrate)/1000, now.frames*20
	s.repair.mu.Lock()
	out.RemoteBurst = s.repair.meter.burst()
	s.repair.mu.Unlock()
	s.mu.Lock()
	if s.stream != nil {
		out.Underruns = s.stream.Underruns()
	}
	s.mu.Unlock()
	if b := s.buffer.Load(); b != nil {
		out.addPlayout(b.Stats())
	}
	return out
}

func (out *Stats) addPlayout(p playout.Stats) {
	out.Lost, out.Late, out.Duplicate, out.Reordered = p.Lost, p.Late, p.Duplicate, p.Reordered
	out.Foreign += p.Damaged
	if p.Played > 0 {
		out.ConcealedRatio = float64(p.Concealed) / float64(p.Played)
	}
	out.ConcealedSamples, out.PlayedSamples = p.Concealed, p.Played
	out.Recovered, out.Accelerated, out.Decelerated = p.Recovered, p.Accelerated, p.Decelerated
	out.JitterMS, out.PlayoutDelayMS, out.TargetMS = millis(p.Jitter), millis(p.Delay), millis(p.Target)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Path returns the selected pair; it is empty before PathUp. Until then pion is
// not asked: it sets its ICE transport up without a lock.
func (s *Session) Path() Path {
	if !s.up.Load() {
		return Path{}
	}
	transport := s.sender.Transport().ICETransport()
	pair, err := transport.GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return Path{}
	}
	p := Path{
		Local: address(pair.Local), Remote: address(pair.Remote),
		Relay: pair.Local.Typ == webrtc.ICECandidateTypeRelay || pair.Remote.Typ == webrtc.ICECandidateTypeRelay,
	}
	if st, ok := transport.GetSelectedCandidatePairStats(); ok {
		p.RTT = time.Duration(st.CurrentRoundTripTime * float64(time.Second))
	}
	return p
}

func address(c *webrtc.ICECandidate) string {
	return net.JoinHostPort(c.Address, strconv.Itoa(int(c.Port)))
}
