package media

import (
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
)

// TestLateFramesAreThoseThatLeaveAFrameTooLate plays frames of a sound card on
// a clock of its own: each leaves when it is captured, or later where a stall
// says so.
func TestLateFramesAreThoseThatLeaveAFrameTooLate(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func(k int) time.Duration // of frame k, after its capture
		want  int
	}{
		{"in time", func(int) time.Duration { return 0 }, 0},
		{"jitter of half a frame", func(k int) time.Duration { return time.Duration(k%3) * 5 * time.Millisecond }, 0},
		{"first frames late, then caught up", func(k int) time.Duration { return backlog(k, 0, 200) }, 0},
		{"a stall of 100 ms", func(k int) time.Duration { return backlog(k, 100, 100) }, 4},
		{"a crystal 200 ppm slow", func(k int) time.Duration { return time.Duration(k) * 4 * time.Microsecond }, 0},
		{"a crystal 200 ppm fast", func(k int) time.Duration { return -time.Duration(k) * 4 * time.Microsecond }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := lateOf(1000, c.leave); got != c.want {
				t.Errorf("%d frames are late, want %d", got, c.want)
			}
		})
	}
}

// TestSoundThatTheCardHasLostDoesNotMakeAllLaterFramesLate: for 60 ms there are
// no frames at all, and then they come in time.
func TestSoundThatTheCardHasLostDoesNotMakeAllLaterFramesLate(t *testing.T) {
	got := lateOf(1000, func(k int) time.Duration {
		if k < 100 {
			return 0
		}
		return 60 * time.Millisecond
	})
	if got == 0 || got > 2*lateSpan {
		t.Errorf("%d frames are late, want some, and no more than %d", got, 2*lateSpan)
	}
}

// backlog is the delay of frame k when the sender stalls for some ms at frame
// at, and then sends what has gathered.
func backlog(k, at int, stall time.Duration) time.Duration {
	if k < at {
		return 0
	}
	return max(0, stall*time.Millisecond-time.Duration(k-at)*audio.FrameDuration)
}

func lateOf(frames int, leave func(k int) time.Duration) (late int) {
	var clock lateClock
	start := time.Unix(1_800_000_000, 0)
	for k := range frames {
		if clock.lateness(start.Add(time.Duration(k)*audio.FrameDuration+leave(k))) > lateFrame {
			late++
		}
	}
	return late
}
