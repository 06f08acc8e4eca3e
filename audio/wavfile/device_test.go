package wavfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
)

// hum plays a constant and counts its pulls.
type hum struct{ pulls atomic.Int64 }

func (h *hum) Pull(out []int16) {
	for i := range out {
		out[i] = 1234
	}
	h.pulls.Add(1)
}

func TestDevicePlaysInOnceAndRecordsOut(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.wav"), filepath.Join(dir, "out.wav")
	spoken := sine(440, audio.SampleRate, audio.SampleRate/10)
	if err := Save(in, spoken); err != nil {
		t.Fatal(err)
	}
	d, err := New(in, out)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second call begins both anew
		oneCall(t, d, spoken, out)
	}
}

func oneCall(t *testing.T, d *Device, spoken []int16, out string) {
	t.Helper()
	play := &hum{}
	before := time.Now()
	s, err := d.Open(play)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open(play); !errors.Is(err, audio.ErrBusy) {
		t.Errorf("a second call at once: %v", err)
	}
	heard := make([]int16, len(spoken)+audio.FrameSamples)
	if err := s.Read(heard); err != nil {
		t.Fatal(err)
	}
	if snr(spoken, heard) < 90 || heard[len(spoken)] != 0 {
		t.Error("the microphone does not hear the file, then silence")
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	checkRecording(t, out, play, before, int64(s.Underruns()))
	if err := s.Read(heard); !errors.Is(err, io.EOF) {
		t.Errorf("Read after Close: %v", err)
	}
}

func checkRecording(t *testing.T, out string, play *hum, before time.Time, underruns int64) {
	t.Helper()
	start, err := ReadStart(out)
	if late := time.Unix(0, start.StartUnixNS).Sub(before); err != nil || late < 0 || late > time.Second {
		t.Errorf("start is %v after Open, %v", late, err)
	}
	pcm, err := Load(out, 60*audio.SampleRate)
	if err != nil {
		t.Fatal(err)
	}
	full := 0
	for _, v := range pcm {
		if v == 1234 {
			full++
		}
	}
	// Of a block pulled too late, on a busy machine, only a part is heard.
	pulls := play.pulls.Load()
	if n := int64(full); n > pulls*audio.PullSamples || n < (pulls-underruns)*audio.PullSamples {
		t.Errorf("%d samples recorded of %d pulls, %d of them late", n, pulls, underruns)
	}
	if pcm[0] != 0 || pcm[audio.PullSamples-1] != 0 {
		t.Error("the first block was played before it could be pulled")
	}
}

func TestDeviceWithoutOutServesSeveralCalls(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.wav")
	if err := Save(in, sine(440, audio.SampleRate, 480)); err != nil {
		t.Fatal(err)
	}
	d, err := New(in, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s, err := d.Open(&hum{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		pcm := make([]int16, 480)
		if err := s.Read(pcm); err != nil || pcm[100] == 0 {
			t.Errorf("heard %d, %v", pcm[100], err)
		}
	}
}

func TestMissingAndBadFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := New(filepath.Join(dir, "none.wav"), ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	d, err := New("", filepath.Join(dir, "no such directory", "out.wav"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a failed Open leaves the device free
		if _, err := d.Open(&hum{}); err == nil || errors.Is(err, audio.ErrBusy) {
			t.Errorf("recording into nowhere: %v", err)
		}
	}
}
