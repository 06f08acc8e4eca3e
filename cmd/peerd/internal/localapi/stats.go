package localapi

// Stats are the figures of one call's sound and path; all zero before media
// flowed.
type Stats struct {
	PacketsSent     uint64 `json:"packets_sent"`
	PacketsReceived uint64 `json:"packets_received"`
	PacketsLost     uint64 `json:"packets_lost"` // RTP sequence gaps never filled
	PacketsLate     uint64 `json:"packets_late"` // arrived after their time to be played
	BytesSent       uint64 `json:"bytes_sent"`
	BytesReceived   uint64 `json:"bytes_received"`

	ConcealedRatio float64 `json:"concealed_ratio"`  // concealed over played samples, 0..1
	PlayoutDelayMS float64 `json:"playout_delay_ms"` // what the playout buffer holds now
	JitterMS       float64 `json:"jitter_ms"`        // RFC 3550 section 6.4.1
	RTTMS          float64 `json:"rtt_ms"`           // of the media path
	Underruns      uint64  `json:"underruns"`        // pulls of the sound card that came too late
	LateFrames     uint64  `json:"late_frames"`      // frames sent late for lack of CPU

	Chain []string `json:"chain"` // the send and the receive chain, one line each
}
