//go:build cgo && linux

package portaudio

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
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
