package media

import (
	"testing"
	"time"
)

func TestEffortFollowsTheMachine(t *testing.T) {
	for _, c := range []struct {
		name   string
		took   func(i int) time.Duration
		frames int
		full   bool
	}{
		{"fast", func(int) time.Duration { return dearFrame / 2 }, 1, true},
		{"slow", func(int) time.Duration { return 2 * dearFrame }, 1, false},
		{"as slow, but three frames to a packet", func(int) time.Duration { return 2 * dearFrame }, 3, true},
		{"kept waiting now and then", func(i int) time.Duration {
			if i%3 == 0 {
				return 50 * dearFrame
			}
			return dearFrame / 2
		}, 1, true},
		{"slow at first", func(i int) time.Duration {
			if i < judgedAt {
				return 2 * dearFrame
			}
			return dearFrame / 2
		}, 1, false},
	} {
		var e effort
		for i := range 4 * judgedAt {
			e.encoded(c.took(i), c.frames)
		}
		if e.full(1) != c.full {
			t.Errorf("%s: full effort is %v", c.name, !c.full)
		}
		if e.full(fullEffort + 1) {
			t.Errorf("%s: full effort for many calls", c.name)
		}
	}
}
