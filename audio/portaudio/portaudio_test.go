//go:build cgo && linux

package portaudio

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/analysis"
)

// soundServer starts a PulseAudio of its own whose only card is a sink into
// nowhere, and points this process at it: what we play is what we capture.
func soundServer(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("pulseaudio"); err != nil {
		t.Skip("no sound: pulseaudio is not installed")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".asoundrc"), "pcm.!default { type pulse }\nctl.!default { type pulse }\n")
	socket := filepath.Join(dir, "native")
	t.Setenv("HOME", dir)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("PULSE_SERVER", "unix:"+socket)
	t.Setenv("PULSE_SINK", "spk")
	t.Setenv("PULSE_SOURCE", "spk.monitor")
	cmd := exec.Command("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1",
		"-L", "module-native-protocol-unix auth-anonymous=1 socket="+socket,
		"-L", "module-null-sink sink_name=spk rate=48000 channels=1")
	if err := cmd.Start(); err != nil {
		t.Skipf("no sound: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if _, err := os.Stat(socket); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Skip("no sound: pulseaudio does not start here")
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hiss plays the same half second of noise again and again, swelling slowly so
// that a wrong alignment is told from a right one.
type hiss struct {
	at     int
	pulls  atomic.Int64
	played []int16
}

func (h *hiss) Pull(out []int16) {
	h.pulls.Add(1)
	state := uint32(h.at)*2654435761 + 12345
	for i := range out {
		state = state*1664525 + 1013904223
		out[i] = int16(state>>16) / 4
	}
	h.at++
	h.played = append(h.played, out...)
}

func TestWhatIsPlayedIsCaptured(t *testing.T) {
	soundServer(t)
	sys, err := Init(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	dev, err := sys.Device("")
	if err != nil {
		t.Skipf("no sound: %v (is the ALSA plugin for PulseAudio installed?)", err)
	}
	play, began := &hiss{}, time.Now()
	s, err := dev.Open(play)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dev.Open(play); !errors.Is(err, audio.ErrBusy) {
		t.Errorf("a second call: %v", err)
	}
	heard := make([]int16, 4*audio.SampleRate)
	for at := 0; at < len(heard); at += audio.FrameSamples {
		if err := s.Read(heard[at : at+audio.FrameSamples]); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	pulls := play.pulls.Load()
	if err := s.Read(heard[:1]); !errors.Is(err, io.EOF) {
		t.Errorf("Read after Close: %v", err)
	}
	late := play.played[len(play.played)-5*audio.SampleRate/2:] // the sound server needs up to two seconds to start
	r := analysis.Correlate(late[:3*audio.SampleRate/2], heard, analysis.Search{Min: 0, Max: len(heard)})
	t.Logf("%d pulls, %d underruns, correlation %.3f", pulls, s.Underruns(), r.Correlation)
	if r.Recognised == 0 {
		t.Errorf("nothing of what was played was captured: %+v", r)
	}
	if want := int64(time.Since(began) / audio.PullDuration); pulls < want*8/10 || pulls > want*12/10 {
		t.Errorf("%d pulls, want some %d", pulls, want)
	}
	if play.pulls.Load() != pulls {
		t.Error("pulled after Close")
	}
}

func TestDevicesAndUnknownOnes(t *testing.T) {
	soundServer(t)
	sys, err := Init(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	list, err := sys.Devices()
	if err != nil {
		t.Fatal(err)
	}
	standard := 0
	for _, d := range list {
		t.Logf("%+v", d)
		if d.DefaultInput || d.DefaultOutput {
			standard++
		}
	}
	if len(list) > 0 && standard == 0 {
		t.Error("no device is the default")
	}
	if _, err := sys.Device("no such thing"); !errors.Is(err, audio.ErrNoDevice) {
		t.Errorf("unknown device: %v", err)
	}
}

func TestClosedSystem(t *testing.T) {
	sys, err := Init(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := sys.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sys.Devices(); err == nil {
		t.Error("a closed system lists devices")
	}
}

func TestChatterOfCLibrariesIsCaught(t *testing.T) {
	var lines []string
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) { lines = append(lines, string(p)) }),
		&slog.HandlerOptions{Level: slog.LevelDebug}))
	quietly(log, func() { _, _ = os.Stderr.WriteString("ALSA lib: chatter\n") })
	if len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }
