package clockcard

import (
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerd/peerd/audio"
)

// counter is a player whose samples are numbered by pull, and which remembers
// when it was pulled.
type counter struct {
	mu    sync.Mutex
	pulls []time.Time
	stall func(pull int) // runs inside a pull, unless nil
}

func (c *counter) Pull(out []int16) {
	c.mu.Lock()
	c.pulls = append(c.pulls, time.Now())
	n := len(c.pulls)
	c.mu.Unlock()
	for i := range out {
		out[i] = int16(n)
	}
	if c.stall != nil {
		c.stall(n)
	}
}

// tape is a loudspeaker that remembers.
type tape struct{ pcm []int16 }

func (t *tape) Play(pcm []int16) { t.pcm = append(t.pcm, pcm...) }

// ramp is a microphone that counts.
type ramp struct{ n int16 }

func (r *ramp) Capture(pcm []int16) {
	for i := range pcm {
		pcm[i] = r.n
		r.n++
	}
}

func TestPullsAreOneLeadAheadWithoutDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		play, heard := &counter{}, &tape{}
		start := time.Now()
		c := Open(start, play, nil, heard, nil)
		time.Sleep(time.Minute - 5*time.Millisecond)
		shut(t, c)
		if len(play.pulls) != 6000 { // blocks 1 to 6000
			t.Fatalf("%d pulls in a minute", len(play.pulls))
		}
		for i, at := range play.pulls {
			if want := start.Add(time.Duration(i+1)*audio.PullDuration - Lead); !at.Equal(want) {
				t.Fatalf("pull %d at %v, want %v", i, at.Sub(start), want.Sub(start))
			}
		}
		for k := range 6000 {
			if got := heard.pcm[k*audio.PullSamples]; got != int16(k) {
				t.Fatalf("block %d plays pull %d", k, got)
			}
		}
		if c.Underruns() != 0 {
			t.Errorf("%d underruns", c.Underruns())
		}
	})
}

func TestLatePullLeavesSilenceAndKeepsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		play, heard := &counter{}, &tape{}
		play.stall = func(pull int) {
			if pull == 3 {
				time.Sleep(32 * time.Millisecond) // from 20 to 52 ms: misses all of 30 and 40, 2 ms of 50
			}
		}
		c := Open(time.Now(), play, nil, heard, nil)
		time.Sleep(85 * time.Millisecond)
		shut(t, c)
		want := []int16{0, 1, 2, 0, 0, 4, 5, 6, 7, 8}
		var got []int16
		for at := 0; at < len(heard.pcm); at += audio.PullSamples {
			got = append(got, heard.pcm[at+96])
		}
		if !slices.Equal(got, want) {
			t.Fatalf("blocks %v, want %v", got, want)
		}
		if heard.pcm[5*audio.PullSamples+95] != 0 {
			t.Error("the first 2 ms of block 5 were heard after their time")
		}
		if c.Underruns() != 3 {
			t.Errorf("%d underruns, want 3", c.Underruns())
		}
	})
}

func TestReadReturnsWhenTheLastSampleIsCaptured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := Open(start, &counter{}, &ramp{}, nil, nil)
		defer shut(t, c)
		frame := make([]int16, audio.FrameSamples)
		for i := 1; i <= 30; i++ {
			if err := c.Read(frame); err != nil {
				t.Fatal(err)
			}
			if got, want := time.Since(start), time.Duration(i)*audio.FrameDuration; got != want {
				t.Fatalf("frame %d after %v, want %v", i, got, want)
			}
			if frame[0] != int16((i-1)*audio.FrameSamples) {
				t.Fatalf("frame %d begins with sample %d", i, frame[0])
			}
		}
	})
}

func TestLateReaderLosesTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Open(time.Now(), &counter{}, &ramp{}, nil, nil)
		defer shut(t, c)
		time.Sleep(500 * time.Millisecond)
		frame := make([]int16, audio.FrameSamples)
		if err := c.Read(frame); err != nil {
			t.Fatal(err)
		}
		if frame[0] != 14400 { // 500 ms less the 200 that are kept
			t.Errorf("first sample %d", frame[0])
		}
		if c.Overruns() != 1 {
			t.Errorf("%d overruns", c.Overruns())
		}
	})
}

func TestCloseEndsReadAndPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		play, released := &counter{}, 0
		c := Open(time.Now(), play, nil, nil, func() error { released++; return nil })
		read := make(chan error)
		go func() { read <- c.Read(make([]int16, audio.SampleRate)) }()
		time.Sleep(50 * time.Millisecond)
		shut(t, c)
		if err := <-read; !errors.Is(err, io.EOF) {
			t.Errorf("Read ends with %v", err)
		}
		n := len(play.pulls)
		time.Sleep(time.Second)
		if len(play.pulls) != n {
			t.Error("pulled after Close")
		}
		shut(t, c)
		if released != 1 {
			t.Errorf("released %d times", released)
		}
		if err := c.Read(make([]int16, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("Read after Close: %v", err)
		}
	})
}

func shut(t *testing.T, c *Card) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
