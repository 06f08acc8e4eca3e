package harness

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long anything may take that is not about to be measured: the
// machine may be busy with other tests.
const patience = 60 * time.Second

// Result is what a command left behind.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// ahead lets the daemons run ahead of the compilers and tests beside them, where
// this user may: what is measured here is not how a phone sounds on a machine
// that has no time for it.
var ahead = sync.OnceValue(func() []string {
	line := []string{"nice", "-n", "-5"}
	said, err := exec.Command(line[0], append(line[1:], "true")...).CombinedOutput()
	if err != nil || len(said) > 0 { // it says so where it may not, and goes on
		return nil
	}
	return line
})

// command makes a command of this daemon's home, in its namespace.
func (d *Daemon) command(args ...string) *exec.Cmd {
	line := slices.Clone(d.opt.Under)
	if line == nil {
		line = slices.Clone(ahead())
	}
	if d.opt.Host != nil {
		line = append(line, "ip", "netns", "exec", d.opt.Host.Namespace)
	}
	line = append(append(line, d.bin), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "PEERD_HOME="+d.Home)
	return cmd
}

// Running is a command that has not ended yet.
type Running struct {
	t           testing.TB
	args        string
	cmd         *exec.Cmd
	out, errout bytes.Buffer
	ended       chan struct{}
}

// Go starts a command of this daemon's user; Wait gives its result.
func (d *Daemon) Go(t testing.TB, args ...string) *Running {
	t.Helper()
	r := &Running{t: t, args: strings.Join(args, " "), cmd: d.command(args...), ended: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errout
	if err := launch(r.cmd); err != nil {
		t.Fatalf("peerd %s: %v", r.args, err)
	}
	go func() {
		defer close(r.ended)
		_ = r.cmd.Wait() // the exit code says it all
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it has usually ended
		<-r.ended
	})
	return r
}

// Wait waits for the command to end by itself.
func (r *Running) Wait() Result {
	r.t.Helper()
	select {
	case <-r.ended:
		return Result{r.out.String(), r.errout.String(), r.cmd.ProcessState.ExitCode()}
	case <-time.After(patience):
		_ = r.cmd.Process.Kill()
		<-r.ended
		r.t.Fatalf("peerd %s: no end after %v\n%s%s", r.args, patience, r.out.String(), r.errout.String())
		return Result{}
	}
}

// Interrupt presses Ctrl-C.
func (r *Running) Interrupt() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		r.t.Fatalf("interrupt peerd %s: %v", r.args, err)
	}
}

// Expect waits for the end and checks the exit code.
func (r *Running) Expect(code int) Result {
	r.t.Helper()
	res := r.Wait()
	if res.Code != code {
		r.t.Fatalf("peerd %s: exit code %d, want %d\nstdout: %s\nstderr: %s", r.args, res.Code, code, res.Stdout, res.Stderr)
	}
	return res
}

// Call waits for the end of a "peerd call ... --json" and returns what it
// printed.
func (r *Running) Call(code int) Call {
	r.t.Helper()
	res := r.Expect(code)
	var c Call
	if err := json.Unmarshal([]byte(res.Stdout), &c); err != nil {
		r.t.Fatalf("peerd %s: %v in %q", r.args, err, res.Stdout)
	}
	return c
}

// Run runs a command to its end and checks its exit code.
func (d *Daemon) Run(t testing.TB, code int, args ...string) Result {
	t.Helper()
	return d.Go(t, args...).Expect(code)
}

// Read runs a command with --json and decodes what it prints.
func (d *Daemon) Read(t testing.TB, into any, args ...string) {
	t.Helper()
	res := d.Run(t, 0, append(args, "--json")...)
	if err := json.Unmarshal([]byte(res.Stdout), into); err != nil {
		t.Fatalf("peerd %s: %v in %q", strings.Join(args, " "), err, res.Stdout)
	}
}
