//go:build cgo && linux && !race

package portaudio

import (
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/analysis"
)

// hiss plays noise of which no two blocks are alike.
type hiss struct {
	at     int
	pulls  atomic.Int64
	played []int16
}

func (h *hiss) Pull(out []int16) {
	h.pulls.Add(1)
	state := uint32(h.at)*2654435761 + 12345
	for i := range out {
		state = state*1664525 + 1013904223
		out[i] = int16(state>>16) / 4
	}
	h.at++
	h.played = append(h.played, out...)
}

// TestWhatIsPlayedIsCaptured opens two real streams, for which the library
// cannot be run under the race detector; "make test" runs it without.
func TestWhatIsPlayedIsCaptured(t *testing.T) {
	soundServer(t)
	sys, err := Init(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	dev, err := sys.Device("")
	if err != nil {
		t.Skipf("no sound: %v (is the ALSA plugin for PulseAudio installed?)", err)
	}
	play := &hiss{}
	s, err := dev.Open(play)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dev.Open(play); !errors.Is(err, audio.ErrBusy) {
		t.Errorf("a second call: %v", err)
	}
	heard := make([]int16, 4*audio.SampleRate)
	for at := 0; at < len(heard); at += audio.FrameSamples {
		if err := s.Read(heard[at : at+audio.FrameSamples]); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	pulls := play.pulls.Load()
	if err := s.Read(heard[:1]); !errors.Is(err, io.EOF) {
		t.Errorf("Read after Close: %v", err)
	}
	late := play.played[len(play.played)-5*audio.SampleRate/2:] // the sound server needs up to two seconds to start
	r := analysis.Correlate(late[:3*audio.SampleRate/2], heard, analysis.Search{Min: 0, Max: len(heard)})
	t.Logf("%d pulls, %d underruns, correlation %.3f", pulls, s.Underruns(), r.Correlation)
	if r.Recognised == 0 {
		t.Errorf("nothing of what was played was captured: %+v", r)
	}
	if play.pulls.Load() != pulls {
		t.Error("pulled after Close")
	}
}
