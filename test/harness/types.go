package harness

import "time"

// Status is what the tests read of "peerd status --json".
type Status struct {
	State     string   `json:"state"`
	Alone     bool     `json:"alone"`
	Account   string   `json:"account"`
	Device    string   `json:"device"`
	Addresses []string `json:"addresses"`
	Reachable string   `json:"reachable"`
	Overlay   struct {
		Peers    int     `json:"peers"`
		Role     string  `json:"role"`
		Load     float64 `json:"load"`
		Storm    bool    `json:"storm"`
		Refusals uint64  `json:"refusals"`
	} `json:"overlay"`
	Login struct {
		Published bool `json:"published"`
		Acks      int  `json:"acks"`
		TookMS    int  `json:"took_ms"`
		Missing   []struct {
			What string `json:"what"`
			Why  string `json:"why"`
		} `json:"missing"`
	} `json:"login"`
	MediaPort int `json:"media_port"`
	Calls     int `json:"calls"`
}

// Call is what the tests read of a call.
type Call struct {
	ID        string `json:"id"`
	Direction string `json:"direction"`
	State     string `json:"state"`
	Remote    struct {
		Name     string `json:"name"`
		Device   string `json:"device"`
		Stranger bool   `json:"stranger"`
	} `json:"remote"`
	Outcome   string   `json:"outcome"`
	EndReason string   `json:"end_reason"`
	EndedBy   string   `json:"ended_by"`
	Error     string   `json:"error"`
	RingMS    *float64 `json:"ring_ms"`
	AudioMS   *float64 `json:"answer_to_audio_ms"`
	DurationS float64  `json:"duration_s"`
	Path      string   `json:"path"`
	Held      bool     `json:"held"`
	ByRemote  bool     `json:"remote_held"`
	Muted     bool     `json:"muted"`
	Digits    string   `json:"digits"`
	SAS       []string `json:"sas"`
	Stats     struct {
		PacketsSent     uint64  `json:"packets_sent"`
		PacketsReceived uint64  `json:"packets_received"`
		PacketsLost     uint64  `json:"packets_lost"`
		ConcealedRatio  float64 `json:"concealed_ratio"`
		LateFrames      uint64  `json:"late_frames"`
	} `json:"stats"`
}

// event is a line of the event stream.
type event struct {
	Type  string    `json:"type"`
	Time  time.Time `json:"time"`
	State *struct {
		Status Status `json:"status"`
		Calls  []Call `json:"calls"`
	} `json:"state"`
	Status *Status `json:"status"`
	Call   *Call   `json:"call"`
}
