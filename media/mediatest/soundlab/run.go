package soundlab

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/analysis"
	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/media/mediatest"
)

const (
	sampleEvery = 100 * time.Millisecond
	// afterwards is how long is listened when all has been said.
	afterwards = 1500 * time.Millisecond
	ringing    = 3 * time.Second
	// farthest is the largest delay that is looked for.
	farthest = 1200 * time.Millisecond
)

// Call is what is to be measured.
type Call struct {
	Profile Profile
	Speech  []int16       // 48 kHz mono, what end 0 says
	Warm    time.Duration // of the end of Speech that is said before it and not measured
	Seed    uint64

	Encoder func() (audio.Encoder, error)
	Decoder func() (audio.Decoder, error)
	// Listener, unless nil, changes the listener's end.
	Listener func(*media.SessionConfig)
}

// Result is what was measured of one call, in the direction from end 0 to end 1.
type Result struct {
	Profile string
	Heard   []int16  // from the moment at which Speech begins, device buffers not included
	Samples []Sample // every 100 ms of the same time

	DelayMS      float64 // mouth to ear, median of the half seconds in which speech is recognised
	LateMS       float64 // the same, 95th percentile
	Windows      []Delay
	PayloadKbits float64 // RTP payload sent, kbit/s
	WireKbits    float64 // UDP and IP headers included, kbit/s
	LostShare    float64 // of the RTP packets sent, 0..1
	Concealed    float64 // of the samples played, 0..1
	Stats        media.Stats
}

// Sample is a moment of a call; counts are since the beginning of Speech.
type Sample struct {
	At                            time.Duration
	DelayMS, TargetMS             float64
	Sent, Got, Concealed, Frames  float64 // packets, packets, samples, samples
	Late, Recovered, Faster, Slow uint64
	Depth                         int // earlier frames in each packet
	Bitrate                       int // of the encoder, bit/s
}

// Delay is mouth to ear at a moment.
type Delay struct {
	At time.Duration
	MS float64
}

// Run makes the call in virtual time.
func (c Call) Run(t *testing.T) (r Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { r = c.run(t) })
	r.measureDelay(c.Speech)
	return r
}

func (c Call) run(t *testing.T) Result {
	link := mediatest.NewLink(t, c.Seed, mediatest.Weather{})
	one := media.SessionConfig{Encoder: c.Encoder, Decoder: c.Decoder}
	configs := [2]media.SessionConfig{one, one}
	if c.Listener != nil {
		c.Listener(&configs[1])
	}
	pair := mediatest.NewPair(t, link.Nets, configs)
	pair.Connect(t)
	pair.AwaitUp(t)
	// It rings for a while on the network of the call, before that is loaded.
	link.Set(mediatest.Weather{Delay: c.Profile.Weather.Delay, Jitter: c.Profile.Weather.Jitter})
	pause(ringing)
	link.Set(c.Profile.Weather)
	var wire wire
	warm := int(c.Warm * audio.SampleRate / time.Second)
	spoken := slices.Concat(c.Speech[len(c.Speech)-warm:], c.Speech)
	mic := func(n int64) int16 {
		if n >= int64(len(spoken)) {
			return 0
		}
		return spoken[n]
	}
	ear := &mediatest.Card{}
	start(t, pair[1].Session, ear)
	phase := rand.New(rand.NewPCG(c.Seed, 3)).Int64N(int64(audio.PullDuration))
	pause(time.Duration(phase))
	start(t, pair[0].Session, &mediatest.Card{Mic: mic})
	pause(c.Warm)
	link.Tap(wire.count)
	r := c.follow(link, pair)
	link.Tap(nil)
	r.WireKbits = wire.kbits(c.talks() + afterwards)
	// The card plays what it pulls from 10 ms after it was opened on.
	heard := append(make([]int16, audio.PullSamples), ear.Heard()...)
	from := min(len(heard), warm+int(phase*audio.SampleRate/int64(time.Second)))
	r.Heard = heard[from:]
	for _, e := range pair {
		_ = e.Session.Close()
	}
	return r
}

func (c Call) talks() time.Duration {
	return time.Duration(len(c.Speech)) * time.Second / audio.SampleRate
}

// follow lets the call go on, changes the weather, and looks at it.
func (c Call) follow(link *mediatest.Link, pair mediatest.Pair) Result {
	begin := time.Now()
	first := [2]media.Stats{pair[0].Session.Stats(), pair[1].Session.Stats()}
	r := Result{Profile: c.Profile.Name}
	changes := c.Profile.Changes
	for time.Since(begin) < c.talks()+afterwards {
		for len(changes) > 0 && time.Since(begin) >= changes[0].At {
			link.Set(changes[0].Weather)
			if changes[0].Stall > 0 {
				link.Stall(changes[0].Stall)
			}
			changes = changes[1:]
		}
		pause(sampleEvery)
		r.Samples = append(r.Samples, sample(time.Since(begin), first, pair))
	}
	last := r.Samples[len(r.Samples)-1]
	now := pair[0].Session.Stats()
	r.PayloadKbits = float64(now.BytesSent-first[0].BytesSent) * 8 / 1000 / time.Since(begin).Seconds()
	r.LostShare = 1 - last.Got/max(1, last.Sent)
	r.Concealed = last.Concealed / max(1, last.Frames)
	r.Stats = pair[1].Session.Stats()
	return r
}

func sample(at time.Duration, first [2]media.Stats, pair mediatest.Pair) Sample {
	out, in := pair[0].Session.Stats(), pair[1].Session.Stats()
	return Sample{
		At: at, DelayMS: in.PlayoutDelayMS, TargetMS: in.TargetMS,
		Sent: float64(out.PacketsSent - first[0].PacketsSent), Got: float64(in.PacketsReceived - first[1].PacketsReceived),
		Concealed: float64(in.ConcealedSamples - first[1].ConcealedSamples),
		Frames:    float64(in.PlayedSamples - first[1].PlayedSamples),
		Late:      in.Late - first[1].Late, Recovered: in.Recovered - first[1].Recovered,
		Depth: out.Redundancy, Bitrate: int(out.BitrateKbit * 1000),
		Faster: in.Accelerated - first[1].Accelerated, Slow: in.Decelerated - first[1].Decelerated,
	}
}

func (r *Result) measureDelay(speech []int16) {
	const perMS = audio.SampleRate / 1000
	found := analysis.Correlate(speech, r.Heard, analysis.Search{Max: int(farthest * audio.SampleRate / time.Second)})
	for _, m := range found.Matches {
		if m.Correlation >= 0.6 {
			r.Windows = append(r.Windows, Delay{time.Duration(m.At) * time.Second / audio.SampleRate, float64(m.Lag) / perMS})
		}
	}
	if len(r.Windows) == 0 {
		return
	}
	lags := make([]float64, len(r.Windows))
	for i, w := range r.Windows {
		lags[i] = w.MS
	}
	slices.Sort(lags)
	r.DelayMS, r.LateMS = lags[len(lags)/2], lags[len(lags)*95/100]
}

// wire counts what end 0 puts on the network.
type wire struct {
	mu    sync.Mutex
	bytes int
}

func (w *wire) count(from int, packet []byte) {
	if from == 0 {
		w.mu.Lock()
		w.bytes += len(packet) + mediatest.Header
		w.mu.Unlock()
	}
}

func (w *wire) kbits(over time.Duration) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return float64(w.bytes) * 8 / 1000 / over.Seconds()
}

func start(t *testing.T, s *media.Session, d audio.Device) {
	t.Helper()
	if err := s.Start(d); err != nil {
		t.Fatal(err)
	}
}

// pause lets virtual time go by.
func pause(d time.Duration) { <-time.After(d) }
