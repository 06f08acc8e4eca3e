package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/peerd/peerd/audio/wavfile"
	"github.com/peerd/peerd/test/netlab"
)

// Options say how a daemon is started.
type Options struct {
	Name      string       // of the identity, and in logs
	Host      *netlab.Host // where it runs; nil: this machine's loopback
	Bootstrap []*Daemon    // whom it is told of; nil: the shared server, where there is no Host
	First     bool         // it is told of nobody
	Role      string       // "" is client
	Speak     []int16      // what its microphone hears; nil and not Record: no sound
	Record    bool         // whether what its loudspeaker plays is kept
	Answer    string       // "" is ask
	Plain     bool         // without the race detector, for tests of very many daemons
	Headless  bool         // the build without cgo
	Port      int          // of the overlay, UDP and TCP; 0 is any, another one with each start
	Under     []string     // the command that runs it, as chrt; nil: nice, where this user may
	Args      []string     // further ones
}

// Daemon is a running "peerd daemon".
type Daemon struct {
	Home   string
	Spoken []int16
	Link   string // contact link

	Begun  time.Time     // when the process was started
	Served time.Duration // from Begun until its socket took a connection, at most 10 ms late

	bin    string
	opt    Options
	boot   []string // addresses of whom it is told of
	cmd    *exec.Cmd
	log    *os.File
	ended  chan struct{} // closed when the process has been waited for
	follow *follower
}

// Start starts a daemon and waits until it serves. It ends with the test, and
// its log is shown if the test failed.
func Start(t testing.TB, opt Options) *Daemon {
	t.Helper()
	if !opt.First && opt.Bootstrap == nil && opt.Host == nil {
		opt.Bootstrap = []*Daemon{sharedServer(t)}
	}
	d, err := start(opt)
	if d != nil {
		t.Cleanup(func() { d.end(t) })
	}
	if err != nil {
		t.Fatalf("start %s: %v", opt.Name, err)
	}
	return d
}

func start(opt Options) (*Daemon, error) {
	home, err := os.MkdirTemp("", "peerd-") // short: a unix socket's path is
	if err != nil {
		return nil, err
	}
	d := &Daemon{Home: home, Spoken: opt.Speak, bin: bin, opt: opt}
	d.Join(opt.Bootstrap...)
	if opt.Plain {
		if d.bin, err = plain(); err != nil {
			return d, err
		}
	}
	if opt.Headless {
		if d.bin, err = headless(); err != nil {
			return d, err
		}
	}
	if opt.Speak != nil {
		if err := wavfile.Save(d.in(), opt.Speak); err != nil {
			return d, err
		}
	}
	return d, d.launch()
}

// launch starts the process, waits for its socket and follows its events.
func (d *Daemon) launch() error {
	var err error
	if d.log, err = os.OpenFile(filepath.Join(d.Home, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	d.cmd, d.ended = d.command(d.arguments()...), make(chan struct{})
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.Begun = time.Now()
	if err = launch(d.cmd); err != nil {
		d.log.Close()
		return err
	}
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait() // the exit code says it all
		d.log.Close()
	}()
	if err = d.awaitSocket(); err != nil {
		return err
	}
	d.Served = time.Since(d.Begun)
	d.follow, err = d.followEvents()
	return err
}

func (d *Daemon) in() string  { return filepath.Join(d.Home, "in.wav") }
func (d *Daemon) out() string { return filepath.Join(d.Home, "out.wav") }

func (d *Daemon) arguments() []string {
	at := "127.0.0.1"
	if d.opt.Host != nil {
		at = d.opt.Host.Addr
	}
	args := []string{
		"daemon", "--name", d.opt.Name, "--mdns=false", "--role", orElse(d.opt.Role, "client"),
		"--listen", fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", at, d.opt.Port), "--listen", fmt.Sprintf("/ip4/%s/tcp/%d", at, d.opt.Port),
		"--answer", orElse(d.opt.Answer, "ask"), "--audio", d.audio(), "--log-level", "debug",
	}
	for _, addr := range d.boot {
		args = append(args, "--bootstrap", addr)
	}
	return append(args, d.opt.Args...)
}

func (d *Daemon) audio() string {
	switch {
	case d.opt.Speak != nil && d.opt.Record:
		return "file:" + d.in() + "," + d.out()
	case d.opt.Speak != nil:
		return "file:" + d.in()
	case d.opt.Record:
		return "file:," + d.out()
	}
	return "null"
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// awaitSocket waits until the daemon serves, or has given up.
func (d *Daemon) awaitSocket() error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for {
		c, err := net.Dial("unix", filepath.Join(d.Home, "peerd.sock"))
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-d.ended:
			return fmt.Errorf("the daemon ended with exit code %d", d.cmd.ProcessState.ExitCode())
		case <-limit:
			return fmt.Errorf("the daemon does not serve after %v: %w", patience, err)
		}
	}
}

// AwaitOnline waits until the daemon is logged in, as its users would, and
// returns its status.
func (d *Daemon) AwaitOnline(t testing.TB) Status {
	t.Helper()
	var s Status
	d.Read(t, &s, "status", "--wait", "online", "--timeout", patience.String())
	var l struct {
		Link string `json:"link"`
	}
	d.Read(t, &l, "link")
	d.Link = l.Link
	return s
}

// Status is the newest the event stream told.
func (d *Daemon) Status() Status { return d.follow.status() }

// Pid is the daemon's process.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Kill ends the daemon without a chance to say goodbye.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill() // it may have ended
	<-d.ended
	d.follow.end()
}

// Stop asks the daemon to end and waits until it has; recordings are complete
// then.
func (d *Daemon) Stop(t testing.TB) {
	t.Helper()
	if err := d.stop(); err != nil {
		t.Errorf("stop %s: %v", d.opt.Name, err)
	}
}

func (d *Daemon) stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	var err error
	select {
	case <-d.ended:
	case <-time.After(patience):
		err = fmt.Errorf("no end %v after SIGTERM", patience)
	}
	d.Kill()
	if code := d.cmd.ProcessState.ExitCode(); err == nil && code != 0 {
		err = fmt.Errorf("exit code %d after SIGTERM", code)
	}
	return err
}

// Restart starts a daemon that has ended on the same home.
func (d *Daemon) Restart(t testing.TB) {
	t.Helper()
	if err := d.launch(); err != nil {
		t.Fatalf("restart %s: %v", d.opt.Name, err)
	}
}

// Join has a daemon be told of others, as they are reached now, when it starts the
// next time.
func (d *Daemon) Join(others ...*Daemon) {
	d.boot = nil
	for _, o := range others {
		d.boot = append(d.boot, o.Status().Addresses...)
	}
}

// Move has a daemon that has ended start on another host, or at another port, the
// next time. A nil host leaves it where it was.
func (d *Daemon) Move(host *netlab.Host, port int) {
	if d.opt.Port = port; host != nil {
		d.opt.Host = host
	}
}

// Revive is Restart for other goroutines than the test's.
func (d *Daemon) Revive() error { return d.launch() }

// end stops the daemon at the end of a test, if it still runs, and shows its
// log if the test failed.
func (d *Daemon) end(t testing.TB) {
	if d.cmd != nil && d.cmd.Process != nil {
		select {
		case <-d.ended:
			d.follow.end()
		default:
			d.Stop(t)
		}
	}
	log, err := os.ReadFile(filepath.Join(d.Home, "log"))
	if strings.Contains(string(log), "DATA RACE") {
		t.Errorf("%s has a data race", d.opt.Name)
	}
	if t.Failed() {
		t.Logf("log of %s (%v):\n%s", d.opt.Name, errors.Join(err), tail(string(log), 120))
	}
	if err := os.RemoveAll(d.Home); err != nil {
		t.Errorf("remove the home of %s: %v", d.opt.Name, err)
	}
}

// Said are the lines of the daemon's log that tell of a call.
func (d *Daemon) Said(call string) string {
	log, err := os.ReadFile(filepath.Join(d.Home, "log"))
	if err != nil || len(call) < shortID {
		return ""
	}
	var said []string
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "call="+call[:shortID]) {
			said = append(said, d.opt.Name+": "+line)
		}
	}
	return strings.Join(said, "")
}

// shortID is how much of a call's id is in the log.
const shortID = 8

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// shared is the server that all tests of a run join by, so that each starts
// only its own phones.
var shared struct {
	sync.Mutex
	server *Daemon
}

func sharedServer(t testing.TB) *Daemon {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		return shared.server
	}
	d, err := start(Options{Name: "server", First: true, Role: "server"})
	if err != nil {
		t.Fatalf("start the shared server: %v", err)
	}
	shared.server = d
	d.AwaitOnline(t)
	return d
}

func endShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		_ = shared.server.stop() // what it did badly, the tests that used it have told
		os.RemoveAll(shared.server.Home)
	}
}

// Name is the name it was started with.
func (d *Daemon) Name() string { return d.opt.Name }
