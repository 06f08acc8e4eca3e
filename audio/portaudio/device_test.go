//go:build cgo

package portaudio

import (
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerd/peerd/audio"
)

// fakeCard is a half whose callback comes every period for burst blocks of
// 10 ms.
type fakeCard struct {
	period time.Duration
	burst  int
	delay  time.Duration // before the first callback
	fault  error         // of opening it

	heard  []int16 // what a loudspeaker has played
	count  int16   // what a microphone captures: 1, 2, 3, ...
	muted  atomic.Bool
	closed chan struct{}
	ended  chan struct{}
}

func evenCard() *fakeCard { return &fakeCard{period: audio.PullDuration, burst: 1} }

func (c *fakeCard) open(_ Info, s side, moved func([]int16)) (half, error) {
	if c.fault != nil {
		return nil, c.fault
	}
	c.closed, c.ended = make(chan struct{}), make(chan struct{})
	go c.run(s.what == microphone().what, moved)
	return c, nil
}

func (c *fakeCard) run(mic bool, moved func([]int16)) {
	defer close(c.ended)
	block := make([]int16, audio.PullSamples)
	next := time.Now().Add(c.delay)
	for {
		next = next.Add(c.period)
		select {
		case <-c.closed:
			return
		case <-time.After(time.Until(next)):
		}
		for range c.burst {
			for i := range block {
				c.count++
				block[i] = c.count
			}
			if c.muted.Load() {
				continue
			}
			if moved(block); !mic {
				c.heard = append(c.heard, block...)
			}
		}
	}
}

func (c *fakeCard) Close() error {
	close(c.closed)
	<-c.ended
	return nil
}

// counter plays 1 in its first block, 2 in its second, and so on.
type counter struct {
	pulls atomic.Int32
	when  []time.Time
}

func (c *counter) Pull(out []int16) {
	n := c.pulls.Add(1)
	for i := range out {
		out[i] = int16(n)
	}
	c.when = append(c.when, time.Now())
}

func deviceOf(mic, speaker *fakeCard) *Device {
	sys := &System{open: func(d Info, s side, moved func([]int16)) (half, error) {
		if s.what == microphone().what {
			return mic.open(d, s, moved)
		}
		return speaker.open(d, s, moved)
	}}
	return &Device{system: sys, name: "portaudio"}
}

func opened(t *testing.T, d *Device, play audio.Player) audio.Stream {
	t.Helper()
	s, err := d.Open(play)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, s io.Closer) {
	t.Helper()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCardsOfAllKindsAreFed: whatever the card's bursts and clock are, the ring
// soon holds enough for them, and not much more.
func TestCardsOfAllKindsAreFed(t *testing.T) {
	for name, card := range map[string]struct {
		speaker   *fakeCard
		underruns uint64        // at most, until the ring has learned
		delay     time.Duration // at most, from pull to callback after ten seconds
	}{
		"even":   {evenCard(), 2, 16 * time.Millisecond},
		"bursts": {&fakeCard{period: 60 * time.Millisecond, burst: 6}, 8, 76 * time.Millisecond},
		"fast":   {&fakeCard{period: 9990 * time.Microsecond, burst: 1}, 3, 16 * time.Millisecond},
		"slow":   {&fakeCard{period: 10010 * time.Microsecond, burst: 1}, 2, 20 * time.Millisecond},
		"late":   {&fakeCard{period: audio.PullDuration, burst: 1, delay: 2 * time.Second}, 2, 16 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			play := &counter{}
			s := opened(t, deviceOf(evenCard(), card.speaker), play)
			time.Sleep(10 * time.Second)
			learned := s.Underruns()
			time.Sleep(20 * time.Second)
			closed(t, s)
			last := card.speaker.heard[len(card.speaker.heard)-1]
			delay := time.Since(play.when[last-1])
			t.Logf("%s: %d underruns, %v from pull to card", name, learned, delay)
			if learned > card.underruns || s.Underruns() > learned {
				t.Errorf("%s: %d underruns in the first 10 s, then %d", name, learned, s.Underruns()-learned)
			}
			if delay > card.delay {
				t.Errorf("%s: %v from pull to card, at most %v", name, delay, card.delay)
			}
			inOrder(t, name, card.speaker.heard)
		})
	}
}

// inOrder wants no block twice or before an earlier one.
func inOrder(t *testing.T, name string, heard []int16) {
	t.Helper()
	var last int16
	for i, v := range heard {
		if v != 0 && v < last {
			t.Fatalf("%s: block %d after block %d at sample %d", name, v, last, i)
		}
		last = max(last, v)
	}
}

func TestReadGivesWhatIsCaptured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, deviceOf(&fakeCard{period: 30 * time.Millisecond, burst: 3}, evenCard()), &counter{})
		defer closed(t, s)
		began, want := time.Now(), int16(0)
		frame := make([]int16, audio.FrameSamples)
		for range 50 {
			if err := s.Read(frame); err != nil {
				t.Fatal(err)
			}
			for _, v := range frame {
				if want++; v != want {
					t.Fatalf("sample %d is %d", want, v)
				}
			}
		}
		if d := time.Since(began); d < time.Second || d > 1030*time.Millisecond {
			t.Errorf("a second took %v", d)
		}
	})
}

func TestLateReaderLosesTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mic := evenCard()
		s := opened(t, deviceOf(mic, evenCard()), &counter{})
		time.Sleep(505 * time.Millisecond)
		pcm := make([]int16, 10)
		if err := s.Read(pcm); err != nil || pcm[0] != 50*480-keepSamples+1 {
			t.Errorf("read %d, %v", pcm[0], err)
		}
		closed(t, s)
	})
}

func TestMicrophoneThatStopsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mic := evenCard()
		mic.muted.Store(true)
		s := opened(t, deviceOf(mic, evenCard()), &counter{})
		defer closed(t, s)
		began := time.Now()
		if err := s.Read(make([]int16, 960)); !errors.Is(err, audio.ErrNoDevice) {
			t.Errorf("read %v", err)
		}
		if d := time.Since(began); d < silenceMax || d > silenceMax+100*time.Millisecond {
			t.Errorf("given up after %v", d)
		}
	})
}

// TestStalledLoudspeakerHoldsLittle: the player is pulled on, and what the card
// plays when it goes on is not older than the ring may be full.
func TestStalledLoudspeakerHoldsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		speaker, play := evenCard(), &counter{}
		s := opened(t, deviceOf(evenCard(), speaker), play)
		speaker.muted.Store(true)
		time.Sleep(10 * time.Second)
		if n := play.pulls.Load(); n < 990 || n > 1010 {
			t.Errorf("%d pulls in ten seconds", n)
		}
		if fill := s.(*stream).playing.fill(); fill > playSamples+audio.PullSamples {
			t.Errorf("the ring holds %d samples", fill)
		}
		closed(t, s)
	})
}

func TestSleepOfTheMachineIsNotCaughtUp(t *testing.T) {
	t.Parallel()
	start := time.Unix(0, 0)
	p := newPace(start)
	woken := start.Add(time.Hour)
	if p.pulled(woken, untouched, 0); !p.next.Equal(woken) {
		t.Errorf("pulls at %v, want %v", p.next, woken)
	}
}

func TestLateFeederDoesNotAddDelay(t *testing.T) {
	t.Parallel()
	start := time.Unix(0, 0)
	p := newPace(start)
	p.pulled(start.Add(40*time.Millisecond), 0, 3*audio.PullSamples)
	if want := start.Add(40*time.Millisecond - margin); !p.next.Equal(want) {
		t.Errorf("pulls at %v, want %v", p.next, want)
	}
}

func TestOneCallAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mic, speaker := evenCard(), evenCard()
		d := deviceOf(mic, speaker)
		s := opened(t, d, &counter{})
		if _, err := d.Open(&counter{}); !errors.Is(err, audio.ErrBusy) {
			t.Errorf("a second call: %v", err)
		}
		got := make(chan error)
		go func() { got <- s.Read(make([]int16, 4800)) }()
		synctest.Wait()
		closed(t, s)
		if err := <-got; !errors.Is(err, io.EOF) {
			t.Errorf("Read during Close: %v", err)
		}
		speaker.fault = errors.New("no power")
		if _, err := d.Open(&counter{}); !errors.Is(err, speaker.fault) {
			t.Errorf("loudspeaker without power: %v", err)
		}
		<-mic.ended // the microphone was given back
		speaker.fault = nil
		closed(t, opened(t, d, &counter{}))
	})
}
