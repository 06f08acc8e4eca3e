package demo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

// patience is how long a daemon may take to serve its API, and to end when told.
const patience = 10 * time.Second

// daemon is one running peerd, a process of its own.
type daemon struct {
	name string
	home string
	log  string // file with what it says
	api  *localapi.Client
	pid  int
	done chan struct{} // closed when it has ended and is reaped
	err  error         // how it ended; read after done
}

// startDaemon runs "program daemon" on a new home below dir.
func startDaemon(program, dir, logs, name string, args ...string) (*daemon, error) {
	d := &daemon{
		name: name, home: filepath.Join(dir, name), log: filepath.Join(logs, name+".log"),
		done: make(chan struct{}),
	}
	d.api = localapi.NewClient(localapi.ClientConfig{Socket: filepath.Join(d.home, "peerd.sock"), Wait: patience})
	out, err := os.Create(d.log)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append([]string{"daemon", "--home", d.home, "--name", name}, args...)...)
	cmd.Env = cleanEnvironment(os.Environ())
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = childAttributes()
	started := make(chan error, 1)
	go d.run(cmd, out, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the daemon of %s: %w", name, err)
	}
	return d, nil
}

// run starts the process and waits for its end. Its thread is its own, and ends
// with it: on Linux the child is killed when the thread that started it ends,
// and has that thread's priority.
func (d *daemon) run(cmd *exec.Cmd, out *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer out.Close()
	defer close(d.done)
	goAhead()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	d.pid = cmd.Process.Pid
	started <- nil
	d.err = cmd.Wait()
}

// cleanEnvironment leaves out the user's own settings of peerd.
func cleanEnvironment(env []string) []string {
	clean := make([]string, 0, len(env))
	for _, e := range env {
		if !strings.HasPrefix(e, "PEERD_") {
			clean = append(clean, e)
		}
	}
	return clean
}

// stop ends the daemon, kindly at first, and waits until it is gone.
func (d *daemon) stop() error {
	d.api.Close()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-d.done:
		return nil
	default:
		_ = syscall.Kill(d.pid, syscall.SIGTERM) // it may just have ended
	}
	select {
	case <-d.done:
		return nil
	case <-timer.C:
		_ = syscall.Kill(-d.pid, syscall.SIGKILL)
		<-d.done
		return fmt.Errorf("the daemon of %s did not end when told; it was killed", d.name)
	}
}

// died explains the end of a daemon that nobody asked to end.
func (d *daemon) died() error {
	text, _ := os.ReadFile(d.log) // what it said, if anything
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := strings.Join(lines[max(0, len(lines)-3):], "\n  ")
	return fmt.Errorf("the daemon of %s ended (%w); its last words:\n  %s", d.name, errors.Join(d.err, errEnded), last)
}

// errEnded is wrapped when a daemon ends in the middle of the demonstration.
var errEnded = errors.New("unexpectedly")
