//go:build cgo

package portaudio

import "testing"

func open(t *testing.T) half {
	t.Helper()
	h, err := newHalf()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestRingKeepsOrderBetweenTwoThreads(t *testing.T) {
	h := open(t)
	const total = 1 << 20 // goes around 32 times
	go func() {
		block := make([]int16, 480)
		for n := 0; n < total; {
			for i := range block {
				block[i] = int16(n + i)
			}
			n += h.write(block)
		}
	}()
	out := make([]int16, 333)
	for n := 0; n < total; {
		got := h.read(out)
		for i, v := range out[:got] {
			if v != int16(n+i) {
				t.Fatalf("sample %d is %d", n+i, v)
			}
		}
		n += got
	}
}

func TestFullRingTakesNoMore(t *testing.T) {
	h := open(t)
	if n := h.write(make([]int16, 40000)); n != 32768 || h.fill() != 32768 {
		t.Errorf("took %d, holds %d", n, h.fill())
	}
	if n := h.write(make([]int16, 1)); n != 0 {
		t.Errorf("took %d more", n)
	}
	h.skip(32000)
	if n := h.read(make([]int16, 1000)); n != 768 {
		t.Errorf("%d left", n)
	}
}

func TestLoudspeakerTellsHowLowTheRingGot(t *testing.T) {
	h := open(t)
	if _, ok := h.takeLow(); ok {
		t.Error("low before any callback")
	}
	h.write(make([]int16, 50))
	out := make([]int16, 20)
	h.play(out)
	h.write(make([]int16, 30))
	h.play(out)
	if low, ok := h.takeLow(); !ok || low != 30 || h.shortages() != 0 {
		t.Errorf("low %d, want 30; %d shortages", low, h.shortages())
	}
	h.skip(10)
	out[19] = 1
	h.play(out)
	h.play(out)
	if low, _ := h.takeLow(); low != -10 || out[19] != 0 || h.shortages() != 1 {
		t.Errorf("low %d, want -10; %d shortages", low, h.shortages())
	}
}

func TestSplitSpec(t *testing.T) {
	for spec, want := range map[string][2]string{
		"":                          {"", ""},
		"usb":                       {"usb", ""},
		"1, 2":                      {"1", "2"},
		",speaker":                  {"", "speaker"},
		"HDA (hw:0,0),USB (hw:1,0)": {"HDA (hw:0,0)", "USB (hw:1,0)"},
	} {
		if in, out := splitSpec(spec); in != want[0] || out != want[1] {
			t.Errorf("%q is %q and %q", spec, in, out)
		}
	}
}
