package e2e_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
)

func TestCtrlCOfACallHangsUp(t *testing.T) {
	t.Parallel()
	a, b := pair(t, alice(), bob())
	call, out, in := connect(t, a, b)
	call.Interrupt()
	told := call.Call(0)
	if told.EndReason != "hangup" || told.EndedBy != "local" {
		t.Errorf("the call is told to have ended with %s by %s", told.EndReason, told.EndedBy)
	}
	ended(t, a, out.ID, "answered", "hangup", "local")
	ended(t, b, in.ID, "answered", "hangup", "remote")
}

// TestCtrlCInTheDemoLeavesNothingRunning interrupts it while it logs in, and
// while the call goes on: none of its processes is left, nor its directory.
func TestCtrlCInTheDemoLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"is online", "they talk"} {
		t.Run("at "+moment, func(t *testing.T) {
			tmp := harness.Home(t)
			cmd := exec.Command(harness.Program(), "demo", "--out", filepath.Join(tmp, "out"))
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
			progress, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
			lines := bufio.NewScanner(progress)
			said := ""
			for lines.Scan() {
				said += lines.Text() + "\n"
				if moment != "-" && strings.Contains(lines.Text(), moment) {
					_ = cmd.Process.Signal(os.Interrupt) // it may have ended: the exit code tells
					moment = "-"
				}
			}
			_ = cmd.Wait() // the exit code says it all
			if code := cmd.ProcessState.ExitCode(); code != 1 || moment != "-" {
				t.Errorf("exit code %d; it said\n%s", code, said)
			}
			if left := mentioning(t, tmp); len(left) > 0 {
				t.Errorf("still running: %v", left)
			}
			if homes, _ := filepath.Glob(filepath.Join(tmp, "peerd-demo-*")); len(homes) > 0 {
				t.Errorf("still there: %v", homes)
			}
		})
	}
}

// mentioning lists the processes that have a text in their command line.
func mentioning(t *testing.T, text string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		line, _ := os.ReadFile(file) // it may have ended just now
		if strings.Contains(string(line), text) {
			found = append(found, file+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
