package playout

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
)

// redundant is a call of 60 s whose packets carry depth earlier frames, with
// independent loss between from and to.
func redundant(depth int, loss float64, from, to time.Duration) (each []Stats) {
	b := New(&wave{})
	out := make([]int16, audio.PullSamples)
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 3000 {
		now := time.Duration(i) * audio.FrameDuration
		if now < from || now >= to || random.Float64() >= loss {
			b.Put(now, uint16(i), uint32(i*audio.FrameSamples), packet(i))
			for k := 1; k <= min(depth, i); k++ {
				b.PutCopy(now, uint32((i-k)*audio.FrameSamples), packet(i-k))
			}
		}
		b.Pull(now+3*time.Millisecond, out)
		b.Pull(now+3*time.Millisecond+audio.PullDuration, out)
		if i%50 == 49 {
			each = append(each, b.Stats())
		}
	}
	return each
}

// TestCopiesAreWaitedForWhileThereIsLoss: the delay covers what was lost and
// comes again, and comes down when nothing is lost any more.
func TestCopiesAreWaitedForWhileThereIsLoss(t *testing.T) {
	each := redundant(2, 0.2, 10*time.Second, 30*time.Second)
	before, during, after := each[9], each[29], each[59]
	t.Logf("before %+v\nduring %+v\nafter %+v", before, during, after)
	if before.Target != minTarget || before.Delay > 20*time.Millisecond {
		t.Errorf("without loss copies make the delay %v, its target %v", before.Delay, before.Target)
	}
	if during.Delay < 38*time.Millisecond || during.Delay > 55*time.Millisecond {
		t.Errorf("delay %v with copies that come after 40 ms", during.Delay)
	}
	if made := float64(during.Concealed-each[14].Concealed) / (15 * audio.SampleRate); made > 0.02 {
		t.Errorf("%.3f made up at 20 %% loss and two copies of each frame", made)
	}
	if after.Target != minTarget || after.Delay > 20*time.Millisecond {
		t.Errorf("30 s after the loss the delay is %v, its target %v", after.Delay, after.Target)
	}
	if after.Late != 0 || after.Duplicate != 0 {
		t.Errorf("copies are counted as packets: %+v", after)
	}
}

// TestSpikeIsFollowedUpAndDown: nothing for 300 ms, then all at once. Nothing
// that was said is lost, and two seconds later the delay is what it was.
func TestSpikeIsFollowedUpAndDown(t *testing.T) {
	n := network{frames: 1000, arrive: func(i int) time.Duration {
		const first, length = 400, 15
		if i >= first && i < first+length {
			return 5*time.Millisecond + time.Duration(first+length-i)*audio.FrameDuration
		}
		return 5 * time.Millisecond
	}}
	b, _, each := n.play(t)
	s := b.Stats()
	t.Logf("before %v, 1 s after %v, 2 s after %v: %+v", each[7].Delay, each[9].Delay, each[10].Delay, s)
	if d := each[10].Delay; d > each[7].Delay+10*time.Millisecond {
		t.Errorf("delay %v two seconds after a spike, %v before", d, each[7].Delay)
	}
	if s.Late > 0 {
		t.Errorf("%d packets of a spike were skipped", s.Late)
	}
}

func TestCopiesAllocateNothing(t *testing.T) {
	b := New(&wave{})
	out := make([]int16, audio.PullSamples)
	i := 2
	if n := testing.AllocsPerRun(1000, func() {
		now := time.Duration(i) * audio.FrameDuration
		if i%5 > 0 {
			b.Put(now, uint16(i), uint32(i*audio.FrameSamples), packet(i))
			b.PutCopy(now, uint32((i-1)*audio.FrameSamples), packet(i-1))
		}
		b.Pull(now, out)
		b.Pull(now+audio.PullDuration, out)
		i++
	}); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}
