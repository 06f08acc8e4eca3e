//go:build cgo

package portaudio

import "testing"

func TestRingKeepsOrderBetweenTwoThreads(t *testing.T) {
	t.Parallel()
	var r ring
	const total = 1 << 20 // goes around 32 times
	go func() {
		block := make([]int16, 480)
		for n := 0; n < total; {
			for i := range block {
				block[i] = int16(n + i)
			}
			n += r.write(block)
		}
	}()
	out := make([]int16, 333)
	for n := 0; n < total; {
		got := r.read(out)
		for i, v := range out[:got] {
			if v != int16(n+i) {
				t.Fatalf("sample %d is %d", n+i, v)
			}
		}
		n += got
	}
}

func TestFullRingTakesNoMore(t *testing.T) {
	t.Parallel()
	var r ring
	if n := r.write(make([]int16, 40000)); n != ringSamples || r.fill() != ringSamples {
		t.Errorf("took %d, holds %d", n, r.fill())
	}
	r.capture(make([]int16, 1))
	r.skip(32000)
	if n := r.read(make([]int16, 1000)); n != ringSamples-32000 {
		t.Errorf("%d left", n)
	}
}

func TestRingCountersWrapAround(t *testing.T) {
	t.Parallel()
	var r ring
	r.written.Store(1<<32 - 100)
	r.taken.Store(1<<32 - 100)
	in, out := make([]int16, 300), make([]int16, 400)
	in[0], in[299] = 7, 9
	if n := r.write(in); n != 300 || r.fill() != 300 {
		t.Errorf("took %d, holds %d", n, r.fill())
	}
	if n := r.read(out); n != 300 || out[0] != 7 || out[299] != 9 {
		t.Errorf("%d came out: %d ... %d", n, out[0], out[299])
	}
}

func TestPlaybackTellsWhatItLeftAndLacked(t *testing.T) {
	t.Parallel()
	p := newPlayback()
	out := make([]int16, 20)
	if low := p.takeLow(); low != untouched {
		t.Errorf("low %d before any callback", low)
	}
	p.play(out)
	if p.underruns.Load() != 0 || p.takeLacked() != 0 {
		t.Error("silence before the first sound counts")
	}
	p.takeLow()
	p.write(make([]int16, 50))
	p.play(out)
	p.write(make([]int16, 30))
	p.play(out)
	if low := p.takeLow(); low != 30 || p.takeLacked() != 0 {
		t.Errorf("low %d, want 30", low)
	}
	p.skip(10)
	out[19] = 1
	p.play(out)
	p.play(out)
	if low, lacked := p.takeLow(), p.takeLacked(); low != 0 || lacked != 10 || p.underruns.Load() != 1 || out[19] != 0 {
		t.Errorf("low %d, lacked %d, %d underruns, last sample %d", low, lacked, p.underruns.Load(), out[19])
	}
}

func TestCallbacksDoNotAllocate(t *testing.T) {
	p, block := newPlayback(), make([]int16, 480)
	var r ring
	if n := testing.AllocsPerRun(100, func() { r.capture(block); r.skip(480); p.play(block) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
