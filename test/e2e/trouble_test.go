package e2e_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/peerd/peerd/test/harness"
)

// trouble is what can be wrong when a daemon is started.
type trouble struct {
	name  string
	begin func(t *testing.T, home string) []string // makes it so, and returns flags of the daemon
	code  int
	says  []string // each is in what the daemon says
	other bool     // the daemon is run by another user, who owns the home
}

var troubles = []trouble{
	{name: "identity cannot be read", begin: directory("identity.json"), code: 1, says: []string{"identity.json", "from a backup"}},
	{name: "identity belongs to another user", begin: only("identity.json", 0), code: 1, says: []string{"identity.json", "check the owner and mode"}, other: true},
	{name: "identity is half written", begin: cut("identity.json", 300), code: 1, says: []string{"identity file is damaged", "backup"}},
	{name: "identity is empty", begin: written("identity.json", ""), code: 1, says: []string{"identity file is damaged"}},
	{name: "identity is from a newer version", begin: written("identity.json", `{"version":99}`), code: 1, says: []string{"newer version of peerd", "update peerd"}},
	{name: "identity is open to others", begin: mode("identity.json", 0o644), code: 1, says: []string{"open to other users", "chmod 600"}},
	{name: "contacts cannot be read", begin: directory("peerd.db"), code: 1, says: []string{"peerd.db", "check the file"}},
	{name: "contacts belong to another user", begin: only("peerd.db", 0), code: 1, says: []string{"peerd.db", "check the owner and mode"}, other: true},
	{name: "contacts are half written", begin: cut("peerd.db", 12<<10), code: 1, says: []string{"database is damaged", "restore it from a backup"}},
	{name: "contacts are empty", begin: written("peerd.db", ""), code: 1, says: []string{"database is damaged", "restore it from a backup"}},
	{name: "contacts are from a newer version", begin: newerStore, code: 1, says: []string{"newer version of peerd", "update peerd"}},
	{name: "settings cannot be read", begin: directory("peerd.conf"), code: 1, says: []string{"peerd.conf", "check the owner"}},
	{name: "settings are from a newer version", begin: written("peerd.conf", "version = 99\n"), code: 1, says: []string{"newer version of peerd", "update peerd"}},
	{name: "settings are mistyped", begin: written("peerd.conf", "medai-port = 5\n"), code: 2, says: []string{"peerd.conf line 1", `"medai-port"`}},
	{name: "home belongs to another user", begin: only(".", 0), code: 1, says: []string{"owner", "--home"}, other: true},
	{name: "QUIC port is in use", begin: takenPort("udp4", "--listen=/ip4/127.0.0.1/udp/%d/quic-v1"), code: 1, says: []string{"taken by another program", "--listen"}},
	{name: "TCP port is in use", begin: takenPort("tcp4", "--listen=/ip4/127.0.0.1/tcp/%d"), code: 1, says: []string{"taken by another program", "--listen"}},
	{name: "media port is in use", begin: takenPort("udp4", "--media-port=%d"), code: 1, says: []string{"in use", "--media-port"}},
	{name: "relay port is in use", begin: takenPort("udp4", "--role=server", "--relay-port=%d"), code: 1, says: []string{"in use", "--relay-port"}},
	{name: "sound file is missing", begin: flags("--audio=file:missing.wav"), code: 1, says: []string{"missing.wav", "--audio"}},
	{name: "sound file is no WAV", begin: flags("--audio=file:/dev/null"), code: 1, says: []string{"/dev/null", "--audio"}},
	{name: "sound card is missing", begin: withoutCard, code: 1, says: []string{"sound", "--audio"}},
	{name: "another daemon has the home", begin: secondDaemon, code: 1, says: []string{"another peerd daemon is running", "process", "--home"}},
}

// TestTroubleAtTheStartIsToldAndNothingIsLost: one sentence that says what is
// wrong and what to do next, the right exit code, and a home as it was before.
func TestTroubleAtTheStartIsToldAndNothingIsLost(t *testing.T) {
	t.Parallel()
	full := fullHome(t)
	for _, c := range troubles {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			home := copied(t, full)
			args := c.begin(t, home)
			if c.other {
				args = append(args, "--log-level=error")
			}
			before := contents(t, home)
			code, said := startInVain(t, home, c.other, args)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			judge(t, said, c.says)
			if after := contents(t, home); !maps.Equal(before, after) {
				t.Errorf("the home is not as it was: %s", difference(before, after))
			}
		})
	}
}

// fullHome is the home of somebody who has a contact and a call in the history.
func fullHome(t *testing.T) string {
	t.Helper()
	bob := harness.User(harness.Home(t))
	var made struct{ Link string }
	bob.Read(t, &made, "init", "--name", "bob")
	alice := harness.Start(t, harness.Options{Name: "alice"})
	alice.AwaitOnline(t)
	alice.Run(t, 0, "contacts", "add", "bob", made.Link)
	alice.Run(t, 6, "call", "bob")
	alice.Stop(t)
	return alice.Home
}

// copied copies what a home has of worth.
func copied(t *testing.T, from string) string {
	t.Helper()
	home := harness.Home(t)
	for _, name := range []string{"identity.json", "peerd.db"} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(home, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// contents is every file of a home that holds something of worth.
func contents(t *testing.T, home string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "node" || d.Name() == "peerd.lock" || d.Type() == fs.ModeSocket {
			return skip(d, err)
		}
		info, err := d.Info()
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		all[path] = info.Mode().String() + string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func skip(d fs.DirEntry, err error) error {
	if err == nil && d.IsDir() {
		return filepath.SkipDir
	}
	return err
}

func difference(before, after map[string]string) string {
	var out []string
	for path := range before {
		if after[path] != before[path] {
			out = append(out, fmt.Sprintf("%s had %d bytes and has %d", path, len(before[path]), len(after[path])))
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			out = append(out, path+" is new")
		}
	}
	return strings.Join(out, ", ")
}

// startInVain runs a daemon that is expected to give up by itself.
func startInVain(t *testing.T, home string, other bool, args []string) (code int, said string) {
	t.Helper()
	args = append([]string{"daemon", "--home", home, "--mdns=false"}, args...)
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--audio") }) {
		args = append(args, "--audio=null")
	}
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--listen") }) {
		args = append(args, "--listen=/ip4/127.0.0.1/udp/0/quic-v1")
	}
	cmd := exec.Command(harness.Program(), args...)
	if other {
		cmd = asNobody(t, cmd)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
	_ = cmd.Wait() // the exit code says it all
	return cmd.ProcessState.ExitCode(), stderr.String()
}

// judge wants the last words of a program to be one sentence, with what to do
// next in it or in a hint after it.
func judge(t *testing.T, said string, wanted []string) {
	t.Helper()
	var words []string
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "time=") { // the log
			words = append(words, strings.TrimSuffix(line, "\n"))
		}
	}
	if len(words) == 0 || !strings.HasPrefix(words[0], "peerd: ") || len(words) > 2 ||
		len(words) == 2 && !strings.HasPrefix(words[1], "hint: ") {
		t.Errorf("it says more or less than a sentence and a hint:\n%s", said)
	}
	t.Log(strings.Join(words, "\n"))
	for _, w := range wanted {
		if !strings.Contains(strings.Join(words, "\n"), w) {
			t.Errorf("it does not say %q:\n%s", w, said)
		}
	}
}

// nobody is the user "nobody" of every Unix.
const nobody = 65534

// asNobody runs a command as another user than root, from whom nothing can be
// hidden; who is not root is somebody else already.
func asNobody(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		return cmd
	}
	open, err := os.MkdirTemp("", "peerd-open-") //nolint:usetesting // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(open) })
	program := filepath.Join(open, "peerd")
	if err := errorsOf(os.Chmod(open, 0o755), os.Link(cmd.Path, program)); err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Dir = program, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// directory puts a directory in the place of a file, which nobody can read.
func directory(name string) func(*testing.T, string) []string {
	return func(t *testing.T, home string) []string {
		path := filepath.Join(home, name)
		_ = os.Remove(path) // it may not be there
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return nil
	}
}

// only gives the home to another user, but for one file; "." keeps all.
func only(name string, keeper int) func(*testing.T, string) []string {
	return func(t *testing.T, home string) []string {
		if os.Geteuid() != 0 {
			return mode(name, 0)(t, home)
		}
		for _, path := range []string{".", "identity.json", "peerd.db"} {
			owner := nobody
			if path == name || name == "." {
				owner = keeper
			}
			if err := os.Chown(filepath.Join(home, path), owner, owner); err != nil {
				t.Fatal(err)
			}
		}
		return nil
	}
}

// cut leaves the first bytes of a file, fewer than it needs.
func cut(name string, bytes int64) func(*testing.T, string) []string {
	return func(t *testing.T, home string) []string {
		if err := os.Truncate(filepath.Join(home, name), bytes); err != nil {
			t.Fatal(err)
		}
		return nil
	}
}

func written(name, text string) func(*testing.T, string) []string {
	return func(t *testing.T, home string) []string {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return nil
	}
}

func mode(name string, m fs.FileMode) func(*testing.T, string) []string {
	return func(t *testing.T, home string) []string {
		path := filepath.Join(home, name)
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(path, 0o700) }) // or the home cannot be removed
		return nil
	}
}

func flags(args ...string) func(*testing.T, string) []string {
	return func(*testing.T, string) []string { return args }
}

// newerStore has the database say that a later peerd has written it.
func newerStore(t *testing.T, home string) []string {
	db, err := bbolt.Open(filepath.Join(home, "peerd.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("version"), []byte("99")) })
	if err = errorsOf(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return nil
}

// takenPort takes a port and names it in the last flag.
func takenPort(network string, args ...string) func(*testing.T, string) []string {
	return func(t *testing.T, _ string) []string {
		var taken net.Addr
		if network == "tcp4" {
			l, err := net.Listen(network, "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			taken = l.Addr()
		} else {
			c, err := net.ListenPacket(network, "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			taken = c.LocalAddr()
		}
		_, port, _ := net.SplitHostPort(taken.String())
		out := slices.Clone(args)
		out[len(out)-1] = strings.Replace(out[len(out)-1], "%d", port, 1)
		return out
	}
}

// withoutCard asks for a sound card where there is none.
func withoutCard(t *testing.T, _ string) []string {
	if cards, _ := filepath.Glob("/dev/snd/pcm*"); len(cards) > 0 || os.Getenv("PULSE_SERVER") != "" {
		return []string{"--audio=portaudio:no such card,no such card"}
	}
	return []string{"--audio=portaudio"}
}

// secondDaemon starts a daemon in the home; it goes on as if nothing was.
func secondDaemon(t *testing.T, home string) []string {
	first := exec.Command(harness.Program(), "daemon", "--home", home, "--mdns=false", "--audio=null", "--listen=/ip4/127.0.0.1/udp/0/quic-v1")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	user := harness.User(home)
	user.Run(t, 0, "status", "--wait", "online", "--timeout", "60s")
	t.Cleanup(func() {
		var contacts []struct{ Name string }
		if user.Read(t, &contacts, "contacts", "list"); len(contacts) != 1 || contacts[0].Name != "bob" {
			t.Errorf("the first daemon has the contacts %v", contacts)
		}
		_ = first.Process.Signal(syscall.SIGTERM) // its exit code tells
		if err := first.Wait(); err != nil {
			t.Errorf("the first daemon: %v", err)
		}
	})
	return nil
}

// TestDaemonWithoutItsBootstrapNodesSaysWhatIsMissing: nobody answers, so
// status names what the login lacks, and why, and waiting for it fails.
func TestDaemonWithoutItsBootstrapNodesSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	gone, err := net.ListenPacket("udp4", "127.0.0.1:0") // takes what comes and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	_, port, _ := net.SplitHostPort(gone.LocalAddr().String())
	nowhere := "/ip4/127.0.0.1/udp/" + port + "/quic-v1/p2p/12D3KooWAv1TX4uHf7YV4G5wV4cBmV76y8MSdMyKpKki7UkDMzw8"
	d := harness.Start(t, harness.Options{Name: "alice", First: true, Args: []string{"--bootstrap", nowhere}})
	res := d.Run(t, 1, "status", "--wait", "online", "--timeout", "2s")
	judge(t, res.Stderr, []string{"not online within 2s", "missing"})
	for _, word := range []string{"starting", "missing", "neighbours"} {
		if !strings.Contains(res.Stdout, word) {
			t.Errorf("status does not say %q:\n%s", word, res.Stdout)
		}
	}
	var s harness.Status
	d.Read(t, &s, "status")
	if s.State == "online" || len(s.Login.Missing) == 0 || s.Login.Missing[0].Why == "" {
		t.Errorf("without anybody to join by: %+v", s)
	}
	res = d.Run(t, 1, "status", "--wait", "online", "--timeout", "1s", "--json")
	if !strings.Contains(res.Stdout, `"missing"`) {
		t.Errorf("status --json does not tell what is missing: %s", res.Stdout)
	}
	d.Run(t, 3, "status", "--home", harness.Home(t))
}
