package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain builds the program for the tests that start it, when the first asks.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "peerd-build-")
	if err != nil {
		panic(err)
	}
	build = sync.OnceValues(func() (string, error) { return buildIn(dir) })
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// peerd returns the path of the program.
func peerd(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts five daemons")
	}
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// build builds the program once.
var build func() (string, error)

func buildIn(dir string) (string, error) {
	program := filepath.Join(dir, "peerd")
	cmd := exec.Command("go", "build", "-o", program, "github.com/peerd/peerd/cmd/peerd")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, text)
	}
	return program, nil
}

// watcher is a place for progress that calls f with each line.
type watcher func(line string)

func (w watcher) Write(p []byte) (int, error) { w(string(p)); return len(p), nil }

// TestRun plays the whole piece, and checks the report against the files.
func TestRun(t *testing.T) {
	out := t.TempDir()
	r, err := Run(t.Context(), Options{Program: peerd(t), Out: out, Progress: watcher(func(l string) { t.Log(l) })})
	if err != nil && !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	var text bytes.Buffer
	r.Text(&text)
	t.Logf("%s", text.String())
	if len(r.Legs) != 2 || len(r.LoginMS) != 5 || r.RingMS == nil || r.LookupMS == nil || r.AnswerToAudioMS == nil {
		t.Fatalf("incomplete report: %+v", r)
	}
	for _, l := range r.Legs {
		if l.Recognised < l.Windows/2 || l.Windows < 15 { // on a busy machine the cards run dry now and then
			t.Errorf("%s to %s: %d of %d windows recognised", l.From, l.To, l.Recognised, l.Windows)
		}
		if l.MouthToEarMS <= 0 {
			t.Errorf("%s to %s: heard %.1f ms after it was spoken", l.From, l.To, l.MouthToEarMS)
		}
	}
	for _, path := range []string{r.Picture, r.Legs[0].Spoken, r.Legs[1].Heard, filepath.Join(out, "logs", "carol.log")} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// TestInterrupted cancels a demonstration in the middle of the call: nothing may
// be left of it.
func TestInterrupted(t *testing.T) {
	program := peerd(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Run(ctx, Options{Program: program, Out: t.TempDir(), Progress: watcher(func(l string) {
		if strings.Contains(l, "they talk") {
			cancel()
		}
	})})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if left := daemons(t, program, ""); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
	homes, _ := filepath.Glob(filepath.Join(os.TempDir(), "peerd-demo-*"))
	for _, h := range homes {
		if st, err := os.Stat(h); err == nil && time.Since(st.ModTime()) < time.Minute {
			t.Errorf("left behind: %s", h)
		}
	}
}

// daemons lists the processes that run a daemon of this program on a home that
// ends with the given words; the key is the process id, as /proc tells.
func daemons(t *testing.T, program, home string) map[int]string {
	t.Helper()
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skip("this system does not tell by /proc what runs")
	}
	found := map[int]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is a good one
	for _, file := range files {
		text, _ := os.ReadFile(file) // the process may have ended
		line := strings.ReplaceAll(string(text), "\x00", " ")
		if strings.HasPrefix(line, program+" daemon ") && strings.Contains(line, home+" ") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))) // by the pattern
			found[pid] = line
		}
	}
	return found
}

// TestDeathOfADaemonIsExplained kills a phone in the middle of the call.
func TestDeathOfADaemonIsExplained(t *testing.T) {
	program := peerd(t)
	_, err := Run(t.Context(), Options{Program: program, Out: t.TempDir(), Progress: watcher(func(l string) {
		if strings.Contains(l, "they talk") {
			killOne(t, program, "/carol")
		}
	})})
	if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "carol") {
		t.Errorf("ended with %v", err)
	}
	if left := daemons(t, program, ""); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

func killOne(t *testing.T, program, home string) {
	t.Helper()
	found := daemons(t, program, home)
	if len(found) != 1 {
		t.Errorf("%d daemons on %s", len(found), home)
	}
	for pid := range found {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}

func TestBadSpeechIsRefusedBeforeAnythingStarts(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"none.wav": "", "text.wav": "hello"} {
		path := filepath.Join(dir, name)
		if content != "" {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Run(t.Context(), Options{Program: "/none", Out: filepath.Join(dir, "out"), Speech: path})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProgramThatCannotStart(t *testing.T) {
	_, err := Run(t.Context(), Options{Program: filepath.Join(t.TempDir(), "none"), Out: t.TempDir()})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	_, err = Run(t.Context(), Options{Program: "/bin/false", Out: t.TempDir()})
	if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "server-1") {
		t.Errorf("a program that is not peerd: %v", err)
	}
}

func TestProblemsAreToldInWords(t *testing.T) {
	good := Leg{From: "alice", To: "bob", Correlation: 0.95, Windows: 20, Recognised: 20, MouthToEarMS: 60}
	if p := good.problems(); len(p) != 0 {
		t.Errorf("a good leg: %v", p)
	}
	for words, spoil := range map[string]func(*Leg){
		"not what was spoken": func(l *Leg) { l.Correlation = 0.5 },
		"no speech":           func(l *Leg) { l.Windows, l.Correlation = 0, 0 },
		"made up":             func(l *Leg) { l.ConcealedRatio = 0.1 },
		"200 ms from mouth":   func(l *Leg) { l.MouthToEarMS = 200 },
	} {
		bad := good
		spoil(&bad)
		if p := bad.problems(); len(p) != 1 || !strings.Contains(p[0], words) {
			t.Errorf("want %q, got %v", words, p)
		}
	}
}

func TestCompareAddsTheStartsOfBothCards(t *testing.T) {
	_, legs := played(t, 0)
	for _, l := range legs {
		if l.MouthToEarMS < 58.9 || l.MouthToEarMS > 59.1 || l.Correlation < 0.99 {
			t.Errorf("%s to %s: %.2f ms, correlation %.3f", l.From, l.To, l.MouthToEarMS, l.Correlation)
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	r, _ := played(t, 0)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"legs", "login_ms", "lookup_ms", "ring_ms", "answer_to_audio_ms"} {
		if m[key] == nil {
			t.Errorf("%s is missing", key)
		}
	}
	leg := m["legs"].([]any)[0].(map[string]any)
	for _, key := range []string{
		"from", "to", "spoken", "spoken_start_unix_ns", "heard", "heard_start_unix_ns",
		"mouth_to_ear_ms", "concealed_ratio", "correlation",
	} {
		if _, ok := leg[key]; !ok {
			t.Errorf("legs[].%s is missing", key)
		}
	}
}
