package null

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerd/peerd/audio"
)

type loud struct{ pulls int }

func (l *loud) Pull(out []int16) { l.pulls++ }

func TestNullCapturesSilenceInSeveralCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dev audio.Device = Device{}
		var players [3]loud
		var streams []audio.Stream
		for i := range players {
			s, err := dev.Open(&players[i])
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		start := time.Now()
		for i, s := range streams {
			frame := make([]int16, audio.FrameSamples)
			frame[7] = 7
			for range 50 {
				if err := s.Read(frame); err != nil {
					t.Fatal(err)
				}
			}
			if frame[7] != 0 {
				t.Error("captured something")
			}
			if i == 0 && time.Since(start) != time.Second {
				t.Errorf("50 frames in %v", time.Since(start))
			}
		}
		for i, s := range streams {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if players[i].pulls < 98 {
				t.Errorf("call %d was pulled %d times", i, players[i].pulls)
			}
		}
	})
}
