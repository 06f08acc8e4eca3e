package playout

import (
	"testing"
	"time"
)

// TestSenderThatLostTimeIsFollowed: a sender starved of CPU loses sound, and all
// that follows comes later by as much, for good. That is no jitter: within two
// seconds the delay is small again, and nothing is made up or stretched any more.
func TestSenderThatLostTimeIsFollowed(t *testing.T) {
	for _, lost := range []time.Duration{150 * time.Millisecond, 300 * time.Millisecond, 900 * time.Millisecond, 3 * time.Second} {
		t.Run(lost.String(), func(t *testing.T) {
			n := network{frames: 600, arrive: func(i int) time.Duration {
				if i < 250 {
					return time.Millisecond
				}
				return time.Millisecond + lost
			}}
			_, _, each := n.play(t)
			back := 5 + 2 + int(lost.Seconds()+0.99) // seconds
			then, last := each[back], each[len(each)-1]
			if then.Target > 40*time.Millisecond || then.Delay > 60*time.Millisecond {
				t.Errorf("two seconds later the delay is %v, its target %v", then.Delay, then.Target)
			}
			if made := last.Concealed - then.Concealed; made > 0 {
				t.Errorf("%d samples are made up after that", made)
			}
			if stretched := last.Decelerated - then.Decelerated + last.Accelerated - then.Accelerated; stretched > 4800 {
				t.Errorf("%d samples are stretched after that", stretched)
			}
		})
	}
}
