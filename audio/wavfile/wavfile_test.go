package wavfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
)

// wav builds a WAV file of any rate and number of channels.
func wav(rate, channels int, samples []int16) []byte {
	b := header(uint32(2 * len(samples)))
	binary.LittleEndian.PutUint16(b[22:], uint16(channels))
	binary.LittleEndian.PutUint32(b[24:], uint32(rate))
	return encode(b, samples)
}

// sine is n samples of a sine of amplitude 10000.
func sine(hz float64, rate, n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(math.Round(10000 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return pcm
}

func readAll(t *testing.T, file []byte) []int16 {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	pcm, err := r.all(10 * audio.SampleRate)
	if err != nil {
		t.Fatal(err)
	}
	return pcm
}

func TestEveryRateBecomes48kHzInTime(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000, 22050, 24000, 32000, 44100, 44099, 48000, 96000, 192000} {
		pcm := readAll(t, wav(rate, 1, sine(997, rate, rate)))
		if len(pcm) != audio.SampleRate {
			t.Errorf("%d Hz: one second becomes %d samples", rate, len(pcm))
		}
		want := sine(997, audio.SampleRate, audio.SampleRate)
		if db := snr(want[1000:47000], pcm[1000:47000]); db < 70 {
			t.Errorf("%d Hz: signal to noise %.0f dB", rate, db)
		}
	}
}

// snr compares got with want, sample by sample, in dB.
func snr(want, got []int16) float64 {
	var signal, noise float64
	for i := range want {
		d := float64(want[i]) - float64(got[i])
		signal += float64(want[i]) * float64(want[i])
		noise += d * d
	}
	return 10 * math.Log10(signal/max(noise, 1))
}

func TestWhatIsBeyondTheBandIsFilteredOut(t *testing.T) {
	pcm := readAll(t, wav(96000, 1, sine(30000, 96000, 96000)))
	for i, v := range pcm[1000:47000] {
		if v > 10 || v < -10 { // 60 dB down
			t.Fatalf("30 kHz leave %d at sample %d", v, i)
		}
	}
}

func TestStereoIsMixed(t *testing.T) {
	pcm := readAll(t, wav(audio.SampleRate, 2, []int16{100, 300, -32768, -32768, 32767, -32767}))
	if want := []int16{200, -32768, 0}; len(pcm) != 3 || pcm[0] != want[0] || pcm[1] != want[1] || pcm[2] != want[2] {
		t.Errorf("got %v, want %v", pcm, want)
	}
}

func TestChunksAndCutFiles(t *testing.T) {
	whole := wav(audio.SampleRate, 1, []int16{1, 2, 3, 4})
	list := append([]byte("LIST\x03\x00\x00\x00abc\x00"), whole[36:]...)
	for name, c := range map[string]struct {
		file []byte
		want int
	}{
		"another chunk before the sound": {append(bytes.Clone(whole[:36]), list...), 4},
		"cut in a sample":                {whole[:len(whole)-1], 3},
		"no size, as from a pipe":        {bytes.Replace(whole, []byte("data\x08\x00\x00\x00"), []byte("data\xff\xff\xff\xff"), 1), 4},
		"a chunk after the sound":        {append(bytes.Clone(whole), "LIST\x04\x00\x00\x00abcd"...), 4},
		"no sound at all":                {whole[:44], 0},
	} {
		if got := len(readAll(t, c.file)); got != c.want {
			t.Errorf("%s: %d samples, want %d", name, got, c.want)
		}
	}
}

func TestOtherFilesAreRefusedInWords(t *testing.T) {
	good := wav(48000, 1, make([]int16, 10))
	patch := func(at int, b ...byte) []byte {
		f := bytes.Clone(good)
		copy(f[at:], b)
		return f
	}
	for words, file := range map[string][]byte{
		"RIFF":                  []byte("ID3\x04 an MP3 file, really"),
		"cut short":             good[:30],
		"no sound in it":        good[:36],
		"24 bits":               patch(34, 24),
		"format 3":              patch(20, 3),
		"6 channels":            patch(22, 6),
		"0 channels":            patch(22, 0),
		"10 samples per second": patch(24, 10, 0, 0, 0),
		"not told":              append(append([]byte{}, good[:12]...), good[36:]...),
		"first 4 MiB":           patch(36, 'J', 'U', 'N', 'K', 0, 0, 0, 0x7f),
	} {
		_, err := NewReader(bytes.NewReader(file))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), words) {
			t.Errorf("want %q, got %v", words, err)
		}
	}
}

func TestHugeFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.wav")
	if err := os.WriteFile(path, wav(48000, 1, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "1 GiB") {
		t.Errorf("got %v", err)
	}
	if _, err := OpenFile(t.TempDir()); !errors.Is(err, ErrFormat) {
		t.Errorf("a directory: %v", err)
	}
}

func TestWriterIsGoodAtAnyMomentAndCompleteAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.wav")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	want := sine(440, audio.SampleRate, 2*audio.SampleRate+77)
	for at := 0; at < len(want); at += audio.PullSamples {
		w.Play(want[at:min(len(want), at+audio.PullSamples)])
	}
	waitFor(t, "a second on disk", func() bool {
		pcm, loadErr := Load(path, len(want))
		return loadErr == nil && len(pcm) >= audio.SampleRate
	})
	for range 2 {
		if err = w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.Play(want)
	got, err := Load(path, 10*len(want))
	if err != nil || len(got) != len(want) || snr(want, got) < 90 {
		t.Fatalf("%d of %d samples, %v", len(got), len(want), err)
	}
	raw, err := os.ReadFile(path)
	if err != nil || int(binary.LittleEndian.Uint32(raw[4:])) != len(raw)-8 || int(binary.LittleEndian.Uint32(raw[40:])) != len(raw)-44 {
		t.Errorf("sizes in the header: % x, %v", raw[:44], err)
	}
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.wav")
	want := sine(300, audio.SampleRate, 1000)
	if err := Save(path, want); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(path, 600); err != nil || len(got) != 600 || got[599] != want[599] {
		t.Errorf("%d samples, %v", len(got), err)
	}
}

func TestStartFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.wav")
	now := time.Unix(12, 345)
	if err := WriteStart(path, now); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadStart(path); err != nil || s.StartUnixNS != now.UnixNano() {
		t.Errorf("%+v, %v", s, err)
	}
	if err := os.WriteFile(path+".json", []byte(`{"version":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadStart(path); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("newer version: %v", err)
	}
}

// waitFor polls cond for at most ten seconds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func FuzzReadWAV(f *testing.F) {
	f.Add(wav(48000, 1, sine(440, 48000, 100)))
	f.Add(wav(16000, 2, sine(440, 16000, 100)))
	f.Add(wav(44099, 1, sine(440, 44099, 300)))
	f.Add(wav(384000, 2, sine(440, 384000, 300))[:400])
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEJUNK\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		pcm, err := r.all(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if most := len(file)/2/r.Channels*audio.SampleRate/r.Rate + 1; len(pcm) > most {
			t.Fatalf("%d samples out of %d bytes", len(pcm), len(file))
		}
	})
}
