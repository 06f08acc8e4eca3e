package harness

import (
	"testing"

	"github.com/peerd/peerd/audio"
)

func TestVoicesAreToldApart(t *testing.T) {
	for a := range uint64(3) {
		for b := range uint64(3) {
			got, pieces := likeness(Voice(2, a), Voice(3, b))
			if pieces < 10 {
				t.Fatalf("voice %d says something in %d pieces only", a, pieces)
			}
			t.Logf("voices %d and %d: %.3f", a, b, got)
			if a == b && got < 0.99 || a != b && got > 0.45 {
				t.Errorf("voices %d and %d are alike by %.3f", a, b, got)
			}
		}
	}
}

func TestAVoiceIsKnownAgainWhenItIsStretched(t *testing.T) {
	spoken := Voice(5, 1)
	var heard []int16
	for at := 0; at < len(spoken); at += audio.SampleRate / 8 { // 10 ms more every 125 ms, then 10 ms less
		part := spoken[at:min(len(spoken), at+audio.SampleRate/8)]
		if at < len(spoken)/3 {
			heard = append(heard, part...)
			heard = append(heard, part[len(part)-480:]...)
		} else {
			heard = append(heard, part[:max(0, len(part)-480)]...)
		}
	}
	got, _ := likeness(spoken[:3*audio.SampleRate], heard)
	t.Logf("%.3f", got)
	if got < alike {
		t.Errorf("stretched, the voice is alike by %.3f", got)
	}
}

func TestSilenceIsNobodysVoice(t *testing.T) {
	if got, _ := likeness(Voice(3, 1), make([]int16, 4*audio.SampleRate)); got != 0 {
		t.Errorf("silence is alike by %.3f", got)
	}
	if got, _ := likeness(Voice(3, 1), nil); got != 0 {
		t.Errorf("nothing is alike by %.3f", got)
	}
}
