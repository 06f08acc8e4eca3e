package config

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func lockDirs(t *testing.T, home string) Dirs {
	t.Helper()
	dirs, err := resolveDirs(home, nil, os.Getuid(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if err := dirs.Make(); err != nil {
		t.Fatal(err)
	}
	return dirs
}

func TestSecondDaemonIsToldOfTheFirst(t *testing.T) {
	dirs := lockDirs(t, t.TempDir())
	first, err := dirs.Acquire(4711)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = dirs.Acquire(4712); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "process 4711") {
		t.Errorf("second: %v", err)
	}
	for range 2 {
		if err = first.Close(); err != nil {
			t.Error(err)
		}
	}
	third, err := dirs.Acquire(4713)
	if err != nil {
		t.Fatal(err)
	}
	if err := third.Close(); err != nil {
		t.Error(err)
	}
}

func TestRunningSocket(t *testing.T) {
	home := t.TempDir()
	dirs := lockDirs(t, home)
	if got := dirs.RunningSocket(); got != dirs.Socket {
		t.Errorf("no lock file: %s", got)
	}
	elsewhere := dirs // the daemon's view, with another runtime directory
	elsewhere.Socket = "/run/user/1000/peerd/peerd.sock"
	lock, err := elsewhere.Acquire(1)
	if err != nil {
		t.Fatal(err)
	}
	if got := dirs.RunningSocket(); got != elsewhere.Socket {
		t.Errorf("daemon elsewhere: %s", got)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if got := dirs.RunningSocket(); got != dirs.Socket {
		t.Errorf("after its end: %s", got)
	}
	if err := os.WriteFile(dirs.LockFile(), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := dirs.RunningSocket(); got != dirs.Socket {
		t.Errorf("garbage: %s", got)
	}
}

const lockEnv = "PEERD_TEST_LOCK"

// TestHelperHoldsTheLock is the process that TestLockEndsWithItsProcess kills.
func TestHelperHoldsTheLock(t *testing.T) {
	home := os.Getenv(lockEnv)
	if home == "" {
		t.Skip("only a helper of TestLockEndsWithItsProcess")
	}
	if _, err := lockDirs(t, home).Acquire(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	fmt.Println("locked")
	select {}
}

func TestLockEndsWithItsProcess(t *testing.T) {
	home := t.TempDir()
	dirs := lockDirs(t, home)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperHoldsTheLock$")
	cmd.Env = append(os.Environ(), lockEnv+"="+home)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "locked") {
	}
	if _, err = dirs.Acquire(1); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint("process ", cmd.Process.Pid)) {
		t.Errorf("while it lives: %v", err)
	}
	if err = cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err = cmd.Wait(); err == nil {
		t.Error("the helper ended by itself")
	}
	lock, err := dirs.Acquire(1)
	if err != nil {
		t.Fatalf("after its death: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
}
