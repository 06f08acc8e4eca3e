package mediatest

import (
	"io"
	"math"
	"sync"
	"time"

	"github.com/peerd/peerd/audio"
)

// Card is an audio.Device on the clock of package time, which may be virtual.
// It captures a function of the sample's number and remembers what it plays.
type Card struct {
	Mic func(n int64) int16 // nil: silence

	mu    sync.Mutex
	heard []int16
	opens int
}

// Tone is a sine of hz at half of full scale.
func Tone(hz float64) func(int64) int16 {
	return func(n int64) int16 {
		return int16(16000 * math.Sin(2*math.Pi*hz*float64(n)/audio.SampleRate))
	}
}

// Name implements audio.Device.
func (c *Card) Name() string { return "test" }

// Heard returns a copy of everything played.
func (c *Card) Heard() []int16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int16(nil), c.heard...)
}

// Opens is how often the card was opened.
func (c *Card) Opens() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opens
}

// Open implements audio.Device.
func (c *Card) Open(play audio.Player) (audio.Stream, error) {
	c.mu.Lock()
	c.opens++
	c.mu.Unlock()
	s := &stream{card: c, begin: time.Now(), done: make(chan struct{})}
	s.wg.Go(func() { s.play(play) })
	return s, nil
}

type stream struct {
	card  *Card
	begin time.Time
	n     int64
	done  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup
}

func (s *stream) Read(pcm []int16) error {
	for i := range pcm {
		pcm[i] = 0
		if s.card.Mic != nil {
			pcm[i] = s.card.Mic(s.n + int64(i))
		}
	}
	s.n += int64(len(pcm))
	return s.until(time.Duration(s.n) * time.Second / audio.SampleRate)
}

func (s *stream) until(at time.Duration) error {
	t := time.NewTimer(time.Until(s.begin.Add(at)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.done:
		return io.EOF
	}
}

func (s *stream) play(p audio.Player) {
	out := make([]int16, audio.PullSamples)
	for k := time.Duration(1); s.until(k*audio.PullDuration) == nil; k++ {
		p.Pull(out)
		s.card.mu.Lock()
		s.card.heard = append(s.card.heard, out...)
		s.card.mu.Unlock()
	}
}

func (s *stream) Underruns() uint64 { return 0 }

func (s *stream) Close() error {
	s.once.Do(func() { close(s.done) })
	s.wg.Wait()
	return nil
}
