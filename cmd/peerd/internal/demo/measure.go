package demo

import (
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/analysis"
	"github.com/peerd/peerd/audio/wavfile"
)

// maxDelay is the greatest delay from mouth to ear that is looked for: with a
// window of half a second it just fits into a transform of 65,536 samples.
const maxDelay = 850 * time.Millisecond

// recording is what somebody heard.
type recording struct {
	pcm   []int16
	start int64 // Unix ns of sample 0
}

// measure compares what was heard with what was spoken, judges it and draws it.
// The recordings are complete: the daemons have ended.
func (s *stage) measure(r *Report) error {
	heard := map[string]recording{}
	for _, name := range []string{"alice", "bob"} {
		rec, err := s.recorded(name)
		if err != nil {
			return err
		}
		heard[name] = rec
	}
	var drawn [2]drawnLeg
	for i := range r.Legs {
		l := &r.Legs[i]
		from, to := heard[l.From], heard[l.To]
		l.Spoken, l.Heard = s.spoken[i].file, s.heard(l.To)
		l.SpokenStart, l.HeardStart = from.start, to.start // one card has one start, for both directions
		l.compare(s.spoken[i].pcm, to.pcm)
		r.Problems = append(r.Problems, l.problems()...)
		drawn[i] = drawnLeg{Leg: *l, spoken: s.spoken[i].pcm, heard: to.pcm}
	}
	r.OK = len(r.Problems) == 0
	r.Picture = s.picture()
	return drawReport(r.Picture, *r, drawn[:])
}

// recorded loads what name's loudspeaker played.
func (s *stage) recorded(name string) (recording, error) {
	start, err := wavfile.ReadStart(s.heard(name))
	if err != nil {
		return recording{}, err
	}
	limit := int((maxSpeech + time.Minute).Seconds()) * audio.SampleRate
	pcm, err := wavfile.Load(s.heard(name), limit)
	return recording{pcm: pcm, start: start.StartUnixNS}, err
}

// compare fills in what the two recordings of the leg tell. A sound that is lag
// samples later in heard than in spoken, while heard began some time after
// spoken, took both together.
func (l *Leg) compare(spoken, heard []int16) {
	between := time.Duration(l.HeardStart - l.SpokenStart)
	shift := int(between.Seconds() * audio.SampleRate)
	found := analysis.Correlate(spoken, heard, analysis.Search{
		Min: -shift, Max: int(maxDelay.Seconds()*audio.SampleRate) - shift,
	})
	l.Correlation, l.Windows, l.Recognised = found.Correlation, len(found.Matches), found.Recognised
	if found.Recognised > 0 {
		l.MouthToEarMS = (between.Seconds() + float64(found.Lag)/audio.SampleRate) * 1000
	}
}
