package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/cli"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
	"github.com/peerd/peerd/node/identity"
)

// initiated is what init prints under --json.
type initiated struct {
	Account, Device, Name, Link, Phrase, Request, File string
}

func TestInitAndRecover(t *testing.T) {
	u := newUser(t)
	first := decode[initiated](t, u.types(t.Context(), "", "init", "--name", "alice", "--json"))
	if first.Name != "alice" || len(strings.Fields(first.Phrase)) != 24 || !strings.HasPrefix(first.Link, "peerd:") {
		t.Errorf("init printed %+v", first)
	}
	if info, err := os.Stat(first.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("identity file: %v %v", info, err)
	}
	u.types(t.Context(), "", "init").want(t, cli.ExitError, "", "there is an identity already")
	other := newUser(t)
	second := decode[initiated](t, other.types(t.Context(), "  "+first.Phrase+"\n", "init", "--recover", "--json"))
	if second.Account != first.Account || second.Link != first.Link || second.Device == first.Device || second.Phrase != "" {
		t.Errorf("recovered %+v from %+v", second, first)
	}
	third := newUser(t)
	third.types(t.Context(), "abandon ability", "init", "--recover").want(t, cli.ExitError, "", "hint: 24 words")
	third.types(t.Context(), "", "init", "--recover").want(t, cli.ExitUsage, "", "standard input holds nothing")
}

func TestPhraseStandsWithWhatToDo(t *testing.T) {
	lines := strings.Split(newUser(t).types(t.Context(), "", "init").stdout, "\n")
	for i, l := range lines {
		if words, found := strings.CutPrefix(l, "phrase:"); found {
			if len(strings.Fields(words)) != 24 || !strings.HasPrefix(lines[i-1], "write down:") || !strings.Contains(lines[i-1], "this once") {
				t.Errorf("printed:\n%s", strings.Join(lines, "\n"))
			}
			return
		}
	}
	t.Errorf("no phrase in:\n%s", strings.Join(lines, "\n"))
}

func TestInitJoinsAnAccount(t *testing.T) {
	u, laptop := newUser(t), newUser(t)
	account := decode[initiated](t, u.types(t.Context(), "", "init", "--json"))
	laptop.types(t.Context(), "", "init", "--grant").want(t, cli.ExitError, "", "begin with: peerd init --join")
	asked := decode[initiated](t, laptop.types(t.Context(), "", "init", "--join", "--name", "laptop", "--json"))
	if asked.Request == "" || asked.Account != "" {
		t.Errorf("init --join printed %+v", asked)
	}
	laptop.types(t.Context(), "", "daemon").want(t, cli.ExitError, "", "this device belongs to no account yet\nhint: ")
	id, err := identity.Load(account.File, "")
	if err != nil {
		t.Fatal(err)
	}
	grant, _, err := id.Approve(asked.Request, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	joined := decode[initiated](t, laptop.types(t.Context(), grant, "init", "--grant", "--json"))
	if joined.Account != account.Account || joined.Link != account.Link || joined.Device != asked.Device {
		t.Errorf("joined %+v to %+v", joined, account)
	}
}

// daemon starts a real daemon on loopback and returns its log, a stop by
// SIGTERM, and its exit code.
func (u *user) daemon(t *testing.T) (log *safeBuffer, stop func() int) {
	t.Helper()
	ctx, term := context.WithCancel(context.Background())
	log = &safeBuffer{}
	code := make(chan int, 1)
	go func() {
		code <- u.run(ctx, "", log, log, []string{
			"daemon", "--mdns=false", "--role", "server", "--answer", "echo", "--audio", "null",
			"--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1",
		})
	}()
	return log, func() int { term(); return <-code }
}

func TestDaemonFromAnEmptyHomeToItsEnd(t *testing.T) {
	u := newUser(t)
	log, stop := u.daemon(t)
	got := u.types(t.Context(), "", "status", "--wait", "online", "--timeout", "60s", "--json")
	st := decode[localapi.Status](t, got)
	if st.State != "online" || !st.Alone || st.Name != "alice" || len(st.Addresses) == 0 || st.Answer != "echo" {
		t.Errorf("status %+v, log %s", st, log)
	}
	u.types(t.Context(), "", "daemon").want(t, cli.ExitError, "", "another peerd daemon is running on this home (process ")
	if code := stop(); code != cli.ExitOK {
		t.Errorf("exit code %d, log %s", code, log)
	}
	if !strings.Contains(log.String(), "this home had no identity: made account "+st.Account) {
		t.Errorf("log %s", log)
	}
	if _, err := os.Stat(filepath.Join(u.home, "peerd.sock")); !os.IsNotExist(err) {
		t.Errorf("socket after the end: %v", err)
	}
	if _, stop = u.daemon(t); decode[localapi.Status](t, u.types(t.Context(), "", "status", "--json", "--wait", "online")).Account != st.Account {
		t.Error("another account after a restart")
	}
	stop()
}

func TestDaemonOnAHomeItCannotUse(t *testing.T) {
	write := func(name, text string) func(*testing.T, *user) {
		return func(t *testing.T, u *user) {
			if err := os.WriteFile(filepath.Join(u.home, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		spoil  func(*testing.T, *user)
		code   int
		stderr string
	}{
		"newer identity": {write("identity.json", `{"version": 99}`), cli.ExitError, "newer version of peerd"},
		"half identity":  {write("identity.json", `{"version": 1, "dev`), cli.ExitError, "identity file is damaged"},
		"newer settings": {write("peerd.conf", "version = 9\n"), cli.ExitError, "newer version of peerd"},
		"bad settings":   {write("peerd.conf", "colour = red\n"), cli.ExitUsage, "unknown setting \"colour\""},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			test.spoil(t, u)
			got := u.types(t.Context(), "", "daemon", "--audio", "null", "--mdns=false")
			if got.code != test.code || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestDaemonWithATakenPort(t *testing.T) {
	u, other := newUser(t), newUser(t)
	_, stop := u.daemon(t)
	defer stop()
	st := decode[localapi.Status](t, u.types(t.Context(), "", "status", "--wait", "online", "--timeout", "60s", "--json"))
	for _, addr := range st.Addresses {
		listen, _, _ := strings.Cut(addr, "/p2p/")
		got := other.types(t.Context(), "", "daemon", "--audio", "null", "--mdns=false", "--listen", listen)
		if got.code != cli.ExitError || !strings.Contains(got.stderr, "listen address in use") || !strings.Contains(got.stderr, "hint: stop the program") {
			t.Errorf("%s: %+v", listen, got)
		}
	}
}
