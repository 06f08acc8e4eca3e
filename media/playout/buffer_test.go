package playout

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
)

// wave decodes a packet to a stretch of a sine that the packet names, so that
// the sound is continuous exactly when packets are played in order.
type wave struct{ concealed int }

const waveHz = 200

func (w *wave) Decode(packet []byte, pcm []int16) (int, error) {
	if len(packet) != 4 {
		return 0, audio.ErrBadPacket
	}
	from := (int(packet[0])<<16 | int(packet[1])<<8 | int(packet[2])) * audio.FrameSamples
	for i := range audio.FrameSamples {
		pcm[i] = int16(10000 * math.Sin(2*math.Pi*waveHz*float64(from+i)/audio.SampleRate))
	}
	return audio.FrameSamples, nil
}
func (w *wave) Recover([]byte, []int16) bool { return false }
func (w *wave) Conceal(pcm []int16)          { clear(pcm); w.concealed += len(pcm) }
func (w *wave) Close() error                 { return nil }

func packet(i int) []byte { return []byte{byte(i >> 16), byte(i >> 8), byte(i), 0} }

// network is a simulated call of packets, each with the time it arrives at, or
// -1.
type network struct {
	arrive func(i int) time.Duration // delay of packet i, negative: lost
	drift  float64                   // how much faster the sender's clock runs, 1e-6
	frames int
}

// play runs the call and returns the buffer, what was played, and the stats at
// each second.
func (n network) play(t testing.TB) (*Buffer, []int16, []Stats) {
	t.Helper()
	b := New(&wave{})
	type event struct {
		at time.Duration
		i  int
	}
	var queue []event
	for i := range n.frames {
		sent := time.Duration(float64(i+1) * float64(audio.FrameDuration) * (1 - n.drift/1e6))
		if d := n.arrive(i); d >= 0 {
			queue = append(queue, event{sent + d, i})
		}
	}
	for i := 1; i < len(queue); i++ { // nearly sorted
		for k := i; k > 0 && queue[k].at < queue[k-1].at; k-- {
			queue[k], queue[k-1] = queue[k-1], queue[k]
		}
	}
	var played []int16
	var each []Stats
	out := make([]int16, audio.PullSamples)
	pulls := n.frames*2 - int(n.drift/1e6*float64(n.frames)*2) - 4 // not beyond the last packet
	for k := range pulls {
		now := time.Duration(k)*audio.PullDuration + 3*time.Millisecond
		for len(queue) > 0 && queue[0].at <= now {
			b.Put(queue[0].at, uint16(65000+queue[0].i), uint32(1<<32-4800+queue[0].i*audio.FrameSamples), packet(queue[0].i))
			queue = queue[1:]
		}
		b.Pull(now, out)
		played = append(played, out...)
		if (k+1)%100 == 0 {
			each = append(each, b.Stats())
		}
	}
	return b, played, each
}

// clicks counts steps that a 200 Hz sine of this loudness does not make.
func clicks(pcm []int16) int {
	n := 0
	for i := 1; i < len(pcm); i++ {
		if d := int(pcm[i]) - int(pcm[i-1]); d > 600 || d < -600 {
			n++
		}
	}
	return n
}

func constant(d time.Duration) func(int) time.Duration {
	return func(int) time.Duration { return d }
}

func TestCleanPathHasLittleDelayAndNothingMadeUp(t *testing.T) {
	b, pcm, _ := network{arrive: constant(5 * time.Millisecond), frames: 1000}.play(t)
	s := b.Stats()
	t.Logf("%+v", s)
	if s.Concealed != 0 || s.Late != 0 || s.Lost != 0 || s.Decelerated != 0 || s.Accelerated > maxLag {
		t.Errorf("a clean path was repaired: %+v", s)
	}
	if s.Delay > 18*time.Millisecond {
		t.Errorf("delay %v on a clean path", s.Delay)
	}
	if c := clicks(pcm); c != 0 {
		t.Errorf("%d clicks", c)
	}
}

func TestDelayRisesWithJitterAndComesDownAgain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	n := network{frames: 50 * 60, arrive: func(i int) time.Duration {
		if i >= 500 && i < 1000 {
			return time.Duration(r.IntN(60)) * time.Millisecond
		}
		return 5 * time.Millisecond
	}}
	b, _, each := n.play(t)
	calm, rough, after := each[8], each[19], each[55]
	t.Logf("calm %v/%v rough %v/%v after %v/%v, %+v", calm.Delay, calm.Target, rough.Delay, rough.Target, after.Delay, after.Target, b.Stats())
	if rough.Delay < 45*time.Millisecond || rough.Delay > 90*time.Millisecond {
		t.Errorf("delay %v with 0-60 ms of jitter", rough.Delay)
	}
	if after.Delay > calm.Delay+8*time.Millisecond {
		t.Errorf("delay %v after the jitter, %v before", after.Delay, calm.Delay)
	}
	if c := float64(rough.Concealed-each[13].Concealed) / (6 * audio.SampleRate); c > 0.02 {
		t.Errorf("%.1f %% made up once the jitter is known", 100*c)
	}
}

func TestStretchingDoesNotClick(t *testing.T) {
	// One spike makes the buffer wait longer; nothing is lost, so the only
	// discontinuities allowed are the two ends of the made-up silence.
	n := network{frames: 1500, arrive: func(i int) time.Duration {
		if i == 200 {
			return 60 * time.Millisecond
		}
		return 5 * time.Millisecond
	}}
	b, pcm, _ := n.play(t)
	s := b.Stats()
	t.Logf("%+v", s)
	if s.Accelerated == 0 {
		t.Error("the delay of a single spike was kept")
	}
	if c := clicks(pcm); c > 2 {
		t.Errorf("%d clicks around one spike", c)
	}
}

func TestClockDriftDoesNotGrowTheDelay(t *testing.T) {
	for _, ppm := range []float64{-200, 200} {
		b, pcm, each := network{arrive: constant(5 * time.Millisecond), drift: ppm, frames: 50 * 300}.play(t)
		s := b.Stats()
		t.Logf("%+v ppm: %+v", ppm, s)
		if s.Concealed != 0 || s.Late != 0 {
			t.Errorf("%v ppm: repaired: %+v", ppm, s)
		}
		for i, e := range each[5:] {
			if e.Delay > 28*time.Millisecond || e.Delay < 5*time.Millisecond {
				t.Fatalf("%v ppm: delay %v after %d s", ppm, e.Delay, i+5)
			}
		}
		if c := clicks(pcm); c != 0 {
			t.Errorf("%v ppm: %d clicks", ppm, c)
		}
	}
}

func TestLossIsConcealedAndCounted(t *testing.T) {
	n := network{frames: 1000, arrive: func(i int) time.Duration {
		if i%20 == 10 {
			return -1
		}
		return 5 * time.Millisecond
	}}
	b, _, _ := n.play(t)
	s := b.Stats()
	if s.Lost != 50 {
		t.Errorf("lost %d of 50", s.Lost)
	}
	if want := uint64(50 * audio.FrameSamples); s.Concealed != want {
		t.Errorf("concealed %d samples, lost were %d", s.Concealed, want)
	}
	if s.Delay > 30*time.Millisecond {
		t.Errorf("loss grew the delay to %v", s.Delay)
	}
}

func TestDuplicateAndReorderedPackets(t *testing.T) {
	b := New(&wave{})
	for _, i := range []int{0, 2, 1, 1, 3, 2} {
		b.Put(0, uint16(i), uint32(i*audio.FrameSamples), packet(i))
	}
	s := b.Stats()
	if s.Duplicate != 2 || s.Reordered != 1 || s.Waiting != 4 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

func TestPauseBeginsAnewWithoutDelay(t *testing.T) {
	// The other end is silent for ten seconds, as on hold, then goes on.
	n := network{frames: 1500, arrive: func(i int) time.Duration {
		if i >= 300 && i < 800 {
			return -1
		}
		return 5 * time.Millisecond
	}}
	b, _, _ := n.play(t)
	s := b.Stats()
	if s.Delay > 25*time.Millisecond {
		t.Errorf("delay %v after a pause", s.Delay)
	}
	if made := time.Duration(s.Concealed) * time.Second / audio.SampleRate; made > absent+200*time.Millisecond {
		t.Errorf("%v of a pause counted as concealed", made)
	}
}

func TestLateBurstIsCaughtUp(t *testing.T) {
	// Everything stops for 400 ms and arrives at once.
	n := network{frames: 1000, arrive: func(i int) time.Duration {
		if i >= 300 && i < 320 {
			return time.Duration(320-i) * audio.FrameDuration
		}
		return 5 * time.Millisecond
	}}
	b, _, each := n.play(t)
	t.Logf("%+v", b.Stats())
	if d := each[9].Delay; d > 60*time.Millisecond {
		t.Errorf("delay %v three seconds after a burst", d)
	}
}

func TestLoudspeakerThatStoodStillCatchesUp(t *testing.T) {
	b := New(&wave{})
	out := make([]int16, audio.PullSamples)
	for i := range 500 {
		now := time.Duration(i) * audio.FrameDuration
		b.Put(now, uint16(i), uint32(i*audio.FrameSamples), packet(i))
		if i >= 200 && i < 225 { // half a second without a pull
			continue
		}
		b.Pull(now+time.Millisecond, out)
		b.Pull(now+time.Millisecond+audio.PullDuration, out)
	}
	if s := b.Stats(); s.Delay > 40*time.Millisecond || s.Late == 0 {
		t.Errorf("five seconds later the delay is %v: %+v", s.Delay, s)
	}
}

func TestPullAllocatesNothing(t *testing.T) {
	b := New(&wave{})
	out := make([]int16, audio.PullSamples)
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		now := time.Duration(i) * audio.FrameDuration
		b.Put(now, uint16(i), uint32(i*audio.FrameSamples), packet(i))
		b.Pull(now, out)
		b.Pull(now+audio.PullDuration, out)
		i++
	}); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}

func FuzzPlayout(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{0, 0, 0, 0, 255, 255, 255, 255, 128, 1, 9, 200, 3, 3, 3, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		b := New(&wave{})
		out := make([]int16, audio.PullSamples)
		var now time.Duration
		for len(script) >= 8 && len(script) < 1<<14 {
			op, rest := script[:8], script[8:]
			script = rest
			now += time.Duration(op[0]) * time.Millisecond
			b.Put(now, uint16(op[1])<<8|uint16(op[2]), uint32(op[3])<<24|uint32(op[4])<<16|uint32(op[5])<<8, packet(int(op[6])))
			for range op[7] % 8 {
				b.Pull(now, out)
				now += audio.PullDuration
			}
			s := b.Stats()
			if s.Concealed > s.Played+giveUp+maxDecoded || s.Waiting > capacity || s.Target < 0 || s.Target > maxTarget || len(b.pcm) > maxDecoded+maxLag {
				t.Fatalf("impossible: %+v, %d samples ready", s, len(b.pcm))
			}
		}
	})
}

func BenchmarkPull(b *testing.B) {
	p := New(&wave{})
	out := make([]int16, audio.PullSamples)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now := time.Duration(i) * audio.FrameDuration
		p.Put(now, uint16(i), uint32(i*audio.FrameSamples), packet(i))
		p.Pull(now, out)
		p.Pull(now+audio.PullDuration, out)
	}
}

// anew is a decoder during whose work the stream begins anew, as another packet
// or a hold may make it.
type anew struct {
	wave
	b     *Buffer
	asked bool
}

func (a *anew) Recover([]byte, []int16) bool {
	a.asked = true
	a.b.Reset()
	return false
}

func TestStreamBeginsAnewDuringRecovery(t *testing.T) {
	d := &anew{}
	d.b = New(d)
	for i := range 10 {
		if i != 5 { // one packet is missing: the next is asked to restore it
			d.b.Put(time.Duration(i)*audio.FrameDuration, uint16(i), uint32(i*audio.FrameSamples), packet(i))
		}
	}
	out := make([]int16, audio.PullSamples)
	for i := range 40 {
		d.b.Pull(15*time.Millisecond+time.Duration(i)*10*time.Millisecond, out)
	}
	if !d.asked {
		t.Error("no packet was asked to restore the missing one")
	}
}
