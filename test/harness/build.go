// Package harness drives the built program for tests: it starts daemons as
// processes of their own, runs the command line against them, follows their
// event streams, and compares what one end's loudspeaker played with what the
// other end's microphone heard. It imports nothing of the program itself: what
// it knows of it is what any user can know.
package harness

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// programs is where Main puts what it builds.
var programs string

// bin is the program under test, built once by Main.
var bin string

// plain is the program without the race detector, which a test of very many
// daemons needs for want of memory; built at its first use.
var plain = sync.OnceValues(func() (string, error) {
	to := filepath.Join(programs, "peerd-plain")
	return to, build(to, false)
})

// headless is the program without cgo, as for servers and echo nodes; built at
// its first use.
var headless = sync.OnceValues(func() (string, error) {
	to := filepath.Join(programs, "peerd-headless")
	return to, build(to, false, "CGO_ENABLED=0")
})

// Main builds the program, with the race detector if the tests have it, runs
// the tests and ends what they share. It is called from TestMain.
func Main(m *testing.M) int { return run(m, race) }

// MainPlain is Main for tests of the program's speed: without the race detector.
func MainPlain(m *testing.M) int { return run(m, false) }

func run(m *testing.M, detect bool) int {
	dir, err := os.MkdirTemp("", "peerd-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs, bin = dir, filepath.Join(dir, "peerd")
	if err := build(bin, detect); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer endShared()
	if err := runAbreast(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// runAbreast lets more tests run at a time than there are processors, unless
// somebody has said how many: they mostly wait, for people to talk or for
// somebody not to answer.
func runAbreast() error {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if said {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(3*runtime.NumCPU()))
}

// Program is the path of the program under test.
func Program() string { return bin }

func build(to string, race bool, env ...string) error {
	how := "-trimpath" // as make build does, which has compiled all of it so
	if race {
		how = "-race"
	}
	cmd := exec.Command("go", "build", how, "-o", to, "github.com/peerd/peerd/cmd/peerd")
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the program under test: %w\n%s", err, out)
	}
	return nil
}
