//go:build cgo

package opus

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/analysis"
)

// voice fills pcm with something like a vowel: harmonics of 140 Hz with a
// slowly changing loudness.
func voice(pcm []int16, from int) {
	for i := range pcm {
		s := float64(from+i) / audio.SampleRate
		v := 0.0
		for h := 1.0; h <= 12; h++ {
			v += math.Sin(2*math.Pi*140*h*s+h) / h
		}
		pcm[i] = int16(5000 * v * (0.6 + 0.4*math.Sin(2*math.Pi*3*s)))
	}
}

func pair(t testing.TB) (*Encoder, *Decoder) {
	t.Helper()
	e, err := NewEncoder()
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = e.Close(), d.Close() })
	return e, d
}

// correlate is the highest normalised correlation of heard with spoken at a
// delay of up to 20 ms.
func correlate(spoken, heard []int16) float64 {
	best := 0.0
	for lag := range audio.FrameSamples {
		var ab, aa, bb float64
		for i := range len(spoken) - audio.FrameSamples {
			a, b := float64(spoken[i]), float64(heard[i+lag])
			ab, aa, bb = ab+a*b, aa+a*a, bb+b*b
		}
		best = math.Max(best, ab/math.Sqrt(aa*bb+1))
	}
	return best
}

func TestHeardIsSpoken(t *testing.T) {
	e, d := pair(t)
	var spoken, heard []int16
	pcm, out, packet := make([]int16, audio.FrameSamples), make([]int16, 5760), make([]byte, audio.MaxPacket)
	bytes := 0
	for i := range 100 {
		voice(pcm, i*audio.FrameSamples)
		n, err := e.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		bytes += n
		got, err := d.Decode(packet[:n], out)
		if err != nil || got != audio.FrameSamples {
			t.Fatal(got, err)
		}
		spoken, heard = append(spoken, pcm...), append(heard, out[:got]...)
	}
	c := correlate(spoken[48000:72000], heard[48000:])
	t.Logf("%s: correlation %.3f at %d bit/s", Version(), c, bytes*8/2)
	if c < 0.97 {
		t.Errorf("correlation %.3f", c)
	}
	if rate := bytes * 8 / 2; rate < defaultBitrate/2 || rate > defaultBitrate*5/4 {
		t.Errorf("%d bit/s, set are %d", rate, defaultBitrate)
	}
}

func TestForwardErrorCorrectionRestoresALostFrame(t *testing.T) {
	e, d := pair(t)
	if err := errors.Join(e.SetExpectedLoss(20), e.SetBitrate(32000)); err != nil {
		t.Fatal(err)
	}
	pcm, out, packet := make([]int16, audio.FrameSamples), make([]int16, 5760), make([]byte, audio.MaxPacket)
	var spoken, heard []int16
	carried := 0
	for i := range 100 {
		voice(pcm, i*audio.FrameSamples)
		n, err := e.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		spoken = append(spoken, pcm...)
		switch {
		case i%10 == 8: // lost
			continue
		case i%10 == 9 && d.Recover(packet[:n], out[:audio.FrameSamples]):
			carried++
			heard = append(heard, out[:audio.FrameSamples]...)
		case i%10 == 9:
			d.Conceal(out[:audio.FrameSamples])
			heard = append(heard, out[:audio.FrameSamples]...)
		}
		got, err := d.Decode(packet[:n], out)
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, out[:got]...)
	}
	if carried < 5 {
		t.Errorf("%d of 10 lost frames were carried by the next packet", carried)
	}
	if c := correlate(spoken[48000:72000], heard[48000:]); c < 0.9 {
		t.Errorf("correlation %.3f at 10 %% loss", c)
	}
}

// TestWhatIsMadeUpDiesOut: a voice that goes on evenly through losses is heard about as
// loud as it is. Ready for no loss, libopus 1.3.1 and 1.5.2 let hundreds of these frames
// be heard at three times the level and more.
func TestWhatIsMadeUpDiesOut(t *testing.T) {
	loud, frames := 0, 0
	pcm, out, packet := make([]int16, audio.FrameSamples), make([]int16, 5760), make([]byte, audio.MaxPacket)
	for seed := range uint64(8) {
		e, d := pair(t)
		r := rand.New(rand.NewPCG(seed, 1))
		hum := hum{pitch: 95 + 110*r.Float64()}
		for range 300 {
			hum.fill(pcm, r)
			n, err := e.Encode(pcm, packet)
			if err != nil {
				t.Fatal(err)
			}
			if r.IntN(20) == 0 {
				for range 1 + r.IntN(6) {
					d.Conceal(out[:audio.PullSamples])
				}
				continue
			}
			got, err := d.Decode(packet[:n], out)
			if err != nil {
				t.Fatal(err)
			}
			frames++
			loud += int(min(1, analysis.RMS(out[:got])/9000))
		}
	}
	if loud > frames/400 {
		t.Errorf("%s: %d of %d frames are heard at three times the level of what was said", Version(), loud, frames)
	}
}

// hum is a voice that never pauses; its pitch glides by up to half an octave a syllable.
type hum struct {
	pitch, phase, glide float64
	formants            [3]float64
	left, long          int
}

// fill makes the next samples, of a level of some 2,800.
func (h *hum) fill(pcm []int16, r *rand.Rand) {
	for i := range pcm {
		if h.left == 0 {
			h.long = audio.SampleRate * (120 + r.IntN(160)) / 1000
			h.left, h.glide = h.long, r.Float64()-0.5
			h.formants = [3]float64{300 + 500*r.Float64(), 900 + 900*r.Float64(), 1900 + 400*r.Float64()}
		}
		h.left--
		part := float64(h.left) / float64(h.long)
		h.phase += 2 * math.Pi * h.pitch * (1 + h.glide*(1-part)) / audio.SampleRate
		v := 0.0
		for k := 1.0; k*h.pitch < 2300; k++ {
			w := 0.05 / k
			for j, f := range h.formants {
				d := (k*h.pitch - f) / 130
				w += math.Exp(-d*d) / float64(j+1)
			}
			v += w * math.Sin(k*h.phase)
		}
		pcm[i] = int16(4500 * v * math.Sin(math.Pi*part))
	}
}

func TestConcealmentFadesOut(t *testing.T) {
	e, d := pair(t)
	pcm, out, packet := make([]int16, audio.FrameSamples), make([]int16, 5760), make([]byte, audio.MaxPacket)
	for i := range 20 {
		voice(pcm, i*audio.FrameSamples)
		n, err := e.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decode(packet[:n], out); err != nil {
			t.Fatal(err)
		}
	}
	loudness := func() (sum float64) {
		d.Conceal(out[:audio.PullSamples])
		for _, v := range out[:audio.PullSamples] {
			sum += float64(v) * float64(v)
		}
		return sum
	}
	first, last := loudness(), 0.0
	for range 30 {
		last = loudness()
	}
	if first == 0 || last > first/10 {
		t.Errorf("energy %g of the first 10 ms made up, %g of the last", first, last)
	}
}

func TestBadInput(t *testing.T) {
	e, d := pair(t)
	out := make([]int16, 5760)
	for _, b := range [][]byte{nil, {}, {0xff}, {3}, {0xfb, 0xff, 1, 2, 3}} {
		if _, err := d.Decode(b, out); err != nil && !errors.Is(err, audio.ErrBadPacket) {
			t.Errorf("% x: %v", b, err)
		}
		d.Recover(b, out[:audio.FrameSamples])
	}
	if _, err := d.Decode(nil, out); !errors.Is(err, audio.ErrBadPacket) {
		t.Errorf("no packet: %v", err)
	}
	if _, err := e.Encode(out[:100], make([]byte, 10)); err == nil {
		t.Error("half a frame was encoded")
	}
	_, _ = e.Close(), d.Close()
	_, _ = e.Close(), d.Close()
	if _, err := e.Encode(out[:audio.FrameSamples], make([]byte, 100)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := d.Decode([]byte{0xff}, out); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	d.Conceal(out)
}

func FuzzDecode(f *testing.F) {
	e, err := NewEncoder()
	if err != nil {
		f.Fatal(err)
	}
	defer e.Close()
	pcm, packet := make([]int16, audio.FrameSamples), make([]byte, audio.MaxPacket)
	for i := range 3 {
		voice(pcm, i*audio.FrameSamples)
		n, err := e.Encode(pcm, packet)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append([]byte(nil), packet[:n]...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := NewDecoder()
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		out := make([]int16, 5760)
		n, err := d.Decode(b, out)
		if (err == nil) != (n > 0) || n > len(out) {
			t.Fatalf("%d samples, %v", n, err)
		}
		d.Recover(b, out[:audio.FrameSamples])
		d.Conceal(out[:audio.PullSamples])
	})
}

func BenchmarkEncode(b *testing.B) {
	e, _ := pair(b)
	second, packet := make([]int16, audio.SampleRate), make([]byte, audio.MaxPacket)
	voice(second, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := i % 50 * audio.FrameSamples
		if _, err := e.Encode(second[at:at+audio.FrameSamples], packet); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	e, d := pair(b)
	pcm, packet, out := make([]int16, audio.FrameSamples), make([]byte, audio.MaxPacket), make([]int16, 5760)
	voice(pcm, 0)
	n, err := e.Encode(pcm, packet)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(packet[:n], out); err != nil {
			b.Fatal(err)
		}
	}
}
