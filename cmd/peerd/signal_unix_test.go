//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

const childVariable = "PEERD_TEST_STUBBORN_CHILD"

// TestStubbornChild is no test but a process whose shutdown never ends.
func TestStubbornChild(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		t.Skip("only run as a process of another test")
	}
	ctx, stop := untilSignal()
	defer stop()
	fmt.Println("up")
	<-ctx.Done()
	fmt.Println("shutting down")
	select {}
}

// TestSecondInterruptEndsAtOnce: the first one asks, the second one does not.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStubbornChild$")
			cmd.Env = append(os.Environ(), childVariable+"=1")
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			awaitLine(t, lines, "up")
			interrupt(t, cmd, sig)
			awaitLine(t, lines, "shutting down")
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			again := time.NewTicker(20 * time.Millisecond) // the child lets go of its signals a moment after it says so
			defer again.Stop()
			limit := time.After(30 * time.Second)
			for {
				select {
				case err := <-ended:
					var exit *exec.ExitError
					if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != sig {
						t.Errorf("ended with %v, not by the signal", err)
					}
					return
				case <-again.C:
					_ = cmd.Process.Signal(sig) // an error: it has ended
				case <-limit:
					t.Fatal("still there after 30 s of interrupts")
				}
			}
		})
	}
}

func interrupt(t *testing.T, cmd *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func awaitLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	for lines.Scan() {
		if lines.Text() == want {
			return
		}
	}
	t.Fatalf("the child ended without saying %q", want)
}
