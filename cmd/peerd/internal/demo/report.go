package demo

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// ReportVersion is the version of the JSON form of Report; fields are only
// added within one version.
const ReportVersion = 1

// What a leg must reach, or the demonstration has failed.
const (
	minCorrelation = 0.90 // spoken and heard are the same speech
	maxConcealed   = 0.02 // of the sound heard, made up for want of packets
	maxMouthToEar  = 150  // ms; up to here a talk is undisturbed (ITU-T G.114)
)

// Report is everything that was measured in one demonstration. Durations that
// did not come about are null.
type Report struct {
	Version  int      `json:"version"`
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"` // why not, in words
	Out      string   `json:"out"`      // directory of recordings, logs and picture
	Picture  string   `json:"picture"`  // PNG

	Nodes   []Node    `json:"nodes"`    // in the order they were started
	LoginMS []float64 `json:"login_ms"` // of each node: start of its process's node to online

	LookupMS        *float64 `json:"lookup_ms"`          // call to a verified connection to bob
	RingMS          *float64 `json:"ring_ms"`            // call to "it rings there"
	AnswerToAudioMS *float64 `json:"answer_to_audio_ms"` // answer to first sound, the later of both ends
	Path            string   `json:"path"`               // direct or relay
	Timeline        []Span   `json:"timeline"`           // of the call, from the moment alice calls
	TalkS           float64  `json:"talk_s"`             // seconds between answer and hang-up
	Legs            []Leg    `json:"legs"`               // one per direction
}

// Node is one of the daemons.
type Node struct {
	Name    string  `json:"name"`
	Role    string  `json:"role"` // server or phone
	LoginMS float64 `json:"login_ms"`
	Peers   int     `json:"peers"` // live neighbours when the call began
}

// Span is a part of the set-up of the call, in ms since alice called.
type Span struct {
	What string  `json:"what"`
	From float64 `json:"from_ms"`
	To   float64 `json:"to_ms"`
}

// Leg is what one direction of the call did to speech.
type Leg struct {
	From            string   `json:"from"`
	To              string   `json:"to"`
	Spoken          string   `json:"spoken"` // WAV file that was the microphone
	SpokenStart     int64    `json:"spoken_start_unix_ns"`
	Heard           string   `json:"heard"` // WAV file of what the loudspeaker played
	HeardStart      int64    `json:"heard_start_unix_ns"`
	MouthToEarMS    float64  `json:"mouth_to_ear_ms"` // median over half-second windows
	ConcealedRatio  float64  `json:"concealed_ratio"` // 0..1
	Correlation     float64  `json:"correlation"`     // median over half-second windows, each aligned
	Windows         int      `json:"windows"`         // that have speech
	Recognised      int      `json:"recognised"`      // of them, found again in what was heard
	AnswerToAudioMS *float64 `json:"answer_to_audio_ms"`
	PacketsLost     uint64   `json:"packets_lost"`
	Underruns       uint64   `json:"underruns"` // of the listener's sound card
}

// problems returns what the leg failed to reach.
func (l Leg) problems() []string {
	var p []string
	add := func(format string, args ...any) {
		p = append(p, fmt.Sprintf("%s to %s: ", l.From, l.To)+fmt.Sprintf(format, args...))
	}
	switch {
	case l.Windows == 0:
		add("there is no speech in %s", l.Spoken)
	case l.Correlation < minCorrelation:
		add("what was heard is not what was spoken (correlation %.2f, at least %.2f is needed)", l.Correlation, minCorrelation)
	}
	if l.ConcealedRatio > maxConcealed {
		add("%.1f %% of the sound had to be made up (at most %.0f %%)", 100*l.ConcealedRatio, 100*maxConcealed)
	}
	if l.Recognised > 0 && l.MouthToEarMS > maxMouthToEar {
		add("%.0f ms from mouth to ear (at most %d)", l.MouthToEarMS, maxMouthToEar)
	}
	return p
}

// Text writes the report for people.
func (r Report) Text(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tROLE\tLOGIN\tNEIGHBOURS")
	for _, n := range r.Nodes {
		fmt.Fprintf(t, "%s\t%s\t%.0f ms\t%d\n", n.Name, n.Role, n.LoginMS, n.Peers)
	}
	fmt.Fprintln(t, "\nCALL\t")
	fmt.Fprintf(t, "look-up\t%s\n", ms(r.LookupMS))
	fmt.Fprintf(t, "ringing after\t%s\n", ms(r.RingMS))
	fmt.Fprintf(t, "answer to first sound\t%s\n", ms(r.AnswerToAudioMS))
	fmt.Fprintf(t, "path\t%s\n", r.Path)
	fmt.Fprintf(t, "talk\t%.1f s\n", r.TalkS)
	fmt.Fprintln(t, "\nLEG\tMOUTH TO EAR\tCORRELATION\tCONCEALED")
	for _, l := range r.Legs {
		fmt.Fprintf(t, "%s to %s\t%.1f ms\t%.3f\t%.2f %%\n", l.From, l.To, l.MouthToEarMS, l.Correlation, 100*l.ConcealedRatio)
	}
	t.Flush()
	fmt.Fprintf(w, "\nrecordings, logs and picture: %s\n", r.Out)
	if r.OK {
		fmt.Fprintln(w, "What was heard is what was spoken, both ways.")
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, "FAILED:", p)
	}
}

// ms prints a measured time, or that there is none.
func ms(v *float64) string {
	if v == nil {
		return "not measured"
	}
	return fmt.Sprintf("%.1f ms", *v)
}
