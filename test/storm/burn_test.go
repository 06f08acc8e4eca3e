//go:build !race

package storm_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// burnFor is the variable that makes this binary a load: the processor time to use up.
const burnFor = "PEERD_STORM_BURN"

// burn computes until the process has used so much processor time.
func burn(share string) int {
	limit, err := time.ParseDuration(share)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for x := uint64(1); used() < limit; {
		for range 100_000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		if x == 0 { // never, but the compiler cannot know
			fmt.Println()
		}
	}
	return 0
}

// used is this process's processor time.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// unrelated uses up processor time in so many processes started at one instant, and
// returns when the last has ended.
func unrelated(t *testing.T, processes int, total time.Duration) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	share := burnFor + "=" + (total / time.Duration(processes)).String()
	var wg sync.WaitGroup
	failed := make(chan error, processes)
	for range processes {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), share, "GOMAXPROCS="+strconv.Itoa(1))
			failed <- cmd.Run()
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			t.Fatalf("the unrelated load: %v", err)
		}
	}
}
