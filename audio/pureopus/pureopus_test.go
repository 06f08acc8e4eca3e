package pureopus

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/peerd/peerd/audio"
)

// speech.opus is two seconds of test/data's synthetic vowels as written by
// libopus: uint16 length, packet, and so on; see testdata/README.md.
//
//go:embed testdata/speech.opus
var speech []byte

// packets splits the test data.
func packets(t testing.TB) (out [][]byte) {
	t.Helper()
	r := bytes.NewReader(speech)
	for {
		var n uint16
		if err := binary.Read(r, binary.BigEndian, &n); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(r, p); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
}

func newDecoder(t testing.TB) *Decoder {
	t.Helper()
	d, err := NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func rms(pcm []int16) float64 {
	sum := 0.0
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(pcm)))
}

func maxStep(pcm []int16) int {
	most := 0
	for i := 1; i < len(pcm); i++ {
		most = max(most, int(math.Abs(float64(pcm[i])-float64(pcm[i-1]))))
	}
	return most
}

func TestDecodesSpeech(t *testing.T) {
	d := newDecoder(t)
	out := make([]int16, maxSamples)
	var heard []int16
	for _, p := range packets(t) {
		n, err := d.Decode(p, out)
		if err != nil || n != audio.FrameSamples {
			t.Fatal(n, err)
		}
		heard = append(heard, out[:n]...)
	}
	if level := rms(heard[9600:]); level < 1500 || level > 12000 {
		t.Errorf("level %.0f", level)
	}
}

func TestConcealmentIsContinuousAndFades(t *testing.T) {
	d := newDecoder(t)
	out := make([]int16, maxSamples)
	var heard []int16
	all := packets(t)
	for i, p := range all {
		n := audio.FrameSamples
		if i%10 == 9 {
			d.Conceal(out[:audio.PullSamples])
			d.Conceal(out[audio.PullSamples:n])
			if i > 10 && rms(out[:n]) < 300 {
				t.Errorf("packet %d: concealed with nearly nothing, %.0f", i, rms(out[:n]))
			}
		} else if _, err := d.Decode(p, out); err != nil {
			t.Fatal(err)
		}
		heard = append(heard, out[:n]...)
	}
	clean := newDecoder(t)
	var whole []int16
	for _, p := range all {
		n, err := clean.Decode(p, out)
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, out[:n]...)
	}
	if got, want := maxStep(heard), maxStep(whole); got > 2*want {
		t.Errorf("steps of %d with losses, %d without", got, want)
	}
	for range 15 {
		d.Conceal(out[:audio.PullSamples])
	}
	if level := rms(out[:audio.PullSamples]); level > 1 {
		t.Errorf("level %.0f after 150 ms without packets", level)
	}
}

func TestSilencePacketsContinue(t *testing.T) {
	d := newDecoder(t)
	out := make([]int16, maxSamples)
	first := packets(t)[50]
	if _, err := d.Decode(first, out); err != nil {
		t.Fatal(err)
	}
	for _, dtx := range [][]byte{{first[0]}, {first[0], 0}} {
		if n, err := d.Decode(dtx, out); err != nil || n != audio.FrameSamples {
			t.Errorf("% x: %d samples, %v", dtx, n, err)
		}
	}
}

func TestBadPackets(t *testing.T) {
	d := newDecoder(t)
	out := make([]int16, maxSamples)
	for name, b := range map[string][]byte{
		"none": nil, "stereo": {0x7c, 1, 2, 3}, "no frame count": {3}, "zero frames": {3, 0, 1},
		"too long": {0x1b, 63, 1, 2, 3}, "large": make([]byte, audio.MaxPacket+1),
	} {
		if n, err := d.Decode(b, out); !errors.Is(err, audio.ErrBadPacket) {
			t.Errorf("%s: %d samples, %v", name, n, err)
		}
	}
	if _, err := d.Decode(packets(t)[0], out[:100]); !errors.Is(err, audio.ErrBadPacket) {
		t.Errorf("too little room: %v", err)
	}
	if _, err := d.Decode(packets(t)[0], out); err != nil {
		t.Errorf("a good packet after bad ones: %v", err)
	}
	if d.Recover(packets(t)[0], out[:audio.FrameSamples]) {
		t.Error("claims to know forward error correction")
	}
}

func FuzzDecodePure(f *testing.F) {
	for _, p := range packets(f)[:5] {
		f.Add(p)
	}
	f.Add([]byte{3, 0x41, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newDecoder(t)
		out := make([]int16, maxSamples)
		for range 2 {
			n, err := d.Decode(b, out)
			if (err == nil) != (n > 0) || n > len(out) {
				t.Fatalf("%d samples, %v", n, err)
			}
			d.Conceal(out[:audio.PullSamples])
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	d := newDecoder(b)
	all, out := packets(b), make([]int16, maxSamples)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := d.Decode(all[i%len(all)], out); err != nil {
			b.Fatal(err)
		}
	}
}
