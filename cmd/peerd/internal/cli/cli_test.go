package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/peerd/peerd/audio/null"
	"github.com/peerd/peerd/audio/pureopus"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/cmd/peerd/internal/cli"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi/localapitest"
	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

const version = "v1.2.3"

// user is somebody at a terminal with a home of their own.
type user struct {
	home string
}

// result is what a command line left behind.
type result struct {
	stdout, stderr string
	code           int
}

// newUser has no daemon. The home's path is short enough for a socket.
func newUser(t *testing.T) *user {
	t.Helper()
	home, err := os.MkdirTemp("", "peerd-cli-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	return &user{home: home}
}

// withPhone has a daemon with a phone in memory.
func withPhone(t *testing.T) (*user, *localapitest.Phone) {
	t.Helper()
	u, p := newUser(t), localapitest.New()
	u.serve(t, p, version)
	return u, p
}

func (u *user) serve(t *testing.T, p *localapitest.Phone, v string) {
	t.Helper()
	s, err := localapi.Open(localapi.ServerConfig{
		Socket: filepath.Join(u.home, "peerd.sock"), Phone: p, Version: v, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
}

func (u *user) types(ctx context.Context, stdin string, args ...string) result {
	var out, errs safeBuffer
	code := u.run(ctx, stdin, &out, &errs, args)
	return result{out.String(), errs.String(), code}
}

func (u *user) run(ctx context.Context, stdin string, out, errs *safeBuffer, args []string) int {
	return cli.Run(ctx, cli.Program{
		Version: version, Stdin: strings.NewReader(stdin), Stdout: out, Stderr: errs,
		Environ: []string{"PEERD_HOME=" + u.home, "USER=alice"},
		Sound:   silence,
	}, args)
}

// silence is a build without sound card and encoder.
func silence(_ cli.Audio, cfg *phone.Config, _ *slog.Logger) error {
	decoder := func() (audio.Decoder, error) { return pureopus.NewDecoder() }
	cfg.Device, cfg.Decoder, cfg.StrangerDecoder = null.Device{}, decoder, decoder
	cfg.ListAudio = func() ([]phone.AudioDevice, error) {
		return []phone.AudioDevice{{Spec: "null", Description: "silence", Input: true, Output: true}}, nil
	}
	return nil
}

// safeBuffer is read while a command still writes.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (r result) want(t *testing.T, code int, stdout, stderr string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	if r.stdout != stdout {
		t.Errorf("stdout %q, want %q", r.stdout, stdout)
	}
	if !strings.Contains(r.stderr, stderr) || stderr == "" && r.stderr != "" {
		t.Errorf("stderr %q, want %q", r.stderr, stderr)
	}
}

// decode reads what a command printed under --json.
func decode[T any](t *testing.T, r result) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatalf("no JSON: %v in %q, stderr %q", err, r.stdout, r.stderr)
	}
	return v
}

// A script is what one user types, line by line, and what comes back: stdout
// to the letter, a part of stderr ("" is nothing at all), the exit code.
type line struct {
	typed  string
	code   int
	stdout string
	stderr string
}

func TestScripts(t *testing.T) {
	for name, script := range map[string][]line{
		"contacts": {
			{"contacts add carol peerd:carol", 0, "added carol (account carolacc)\n", ""},
			{"contacts add carol peerd:other", 1, "", "contact exists already"},
			{"contacts add me peerd:alice", 2, "", "that is your own contact link\nhint: ask the other person"},
			{"contacts block carol", 0, "blocked carol\n", ""},
			{"contacts remove bob", 0, "removed bob\n", ""},
			{"contacts remove bob", 6, "", "no such contact\nhint: peerd contacts list"},
			{"contacts list", 0, "NAME   PRESENCE  SEEN   LINK\ncarol  blocked   never  peerd:carol\n", ""},
			{"contacts remove carol --json", 0, "{\n  \"removed\": \"carol\"\n}\n", ""},
			{"contacts list", 0, "", "no contacts yet: add one with peerd contacts add"},
			{"contacts list --json", 0, "[]\n", ""},
		},
		"link": {
			{"link", 0, "peerd:alice\n", ""},
			{"link --json", 0, "{\n  \"link\": \"peerd:alice\"\n}\n", ""},
		},
		"devices": {
			{"account devices add peerd-device:laptop", 0, "peerd-grant:laptop\n", ""},
			{"account devices revoke laptop", 0, "revoked laptop\n", ""},
			{"account devices revoke lap", 6, "", "no such device\nhint: "},
			{"audio devices", 0, "AUDIO  MICROPHONE  LOUDSPEAKER  IN-USE  WHAT\nnull   yes         yes          yes     silence\n", ""},
		},
		"no call": {
			{"answer", 6, "", "there is no call to do this with\nhint: peerd calls"},
			{"hangup 77", 6, "", "no such call\nhint: peerd calls"},
			{"calls", 0, "", "no calls yet"},
			{"calls --json", 0, "[]\n", ""},
			{"call nobody", 6, "", "no such contact\nhint: peerd contacts list"},
		},
		"mistakes": {
			{"call", 2, "", "use: peerd call WHO"},
			{"call a b", 2, "", "use: peerd call WHO"},
			{"frobnicate", 2, "", "unknown command \"frobnicate\" for peerd\nhint: peerd help"},
			{"statsu", 2, "", "unknown command \"statsu\" for peerd\nhint: did you mean peerd status? peerd help"},
			{"hang", 2, "", "did you mean peerd hangup?"},
			{"calls shwo", 2, "", "did you mean peerd calls show?"},
			{"contacts ad", 2, "", "did you mean peerd contacts add?"},
			{"help nonsense", 2, "", "unknown command \"nonsense\" for peerd\nhint: peerd help"},
			{"help cal", 2, "", "did you mean peerd call or calls?"},
			{"help contacts lst", 2, "", "did you mean peerd contacts list?"},
			{"contacts", 2, "", "peerd contacts needs a command after it; use: peerd contacts add|list|remove|block"},
			{"contacts frobnicate", 2, "", "unknown command \"frobnicate\" for peerd contacts"},
			{"account devices", 2, "", "use: peerd account devices list|add|revoke"},
			{"status --frobnicate", 2, "", "unknown flag: --frobnicate\nhint: peerd help"},
			{"status --wait gone", 2, "", "--wait is \"gone\": it must be one of online"},
			{"call bob --for soon", 2, "", "invalid argument \"soon\" for \"--for\" flag: it is no time: write for instance 10s or 2m"},
			{"call bob --for 3", 2, "", "it has no unit: write 3s for seconds"},
			{"status --timeout -3s", 2, "", "it must not be negative"},
			{"calls --last -1", 2, "", "--last is -1"},
			{"init --recover --join", 2, "", "[join recover] were all set"},
			{"completion tcsh", 2, "", "invalid argument \"tcsh\""},
			{"daemon --audio trumpet --answer maybe", 2, "", "\"maybe\" is none of ask, auto, echo"},
			{"dtmf", 2, "", "use: peerd dtmf DIGITS [ID]"},
		},
		"mistakes under --json": {
			{"call nobody --json", 6, "", `{"error":{"message":"call \"nobody\": no such contact","hint":"peerd contacts list shows the names; peerd contacts add NAME LINK adds one","exit_code":6}}` + "\n"},
			{"--json statsu", 2, "", `{"error":{"message":"unknown command \"statsu\" for peerd","hint":"did you mean peerd status?`},
			{"status --frobnicate --json", 2, "", `{"error":{"message":"unknown flag: --frobnicate","hint":"peerd help`},
			{"answer --json", 6, "", `"exit_code":6}}` + "\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			u, _ := withPhone(t)
			for _, l := range script {
				t.Run(l.typed, func(t *testing.T) {
					u.types(t.Context(), "", strings.Fields(l.typed)...).want(t, l.code, l.stdout, l.stderr)
				})
			}
		})
	}
}

func TestVerbsOnCalls(t *testing.T) {
	u, p := withPhone(t)
	first := p.Ring("bob")
	do := func(want string, args ...string) {
		t.Helper()
		u.types(t.Context(), "", args...).want(t, 0, want, "")
	}
	do("answered: call "+first[:8]+" with bob\nwords: abandon ability able about\n", "answer")
	second := p.Ring("peerd:who")
	do("declined: call "+second[:8]+" with peerd:who (a stranger)\n", "reject")
	do("holding: call "+first[:8]+" with bob\n", "hold")
	do("resumed: call "+first[:8]+" with bob\n", "resume")
	do("muted: call "+first[:8]+" with bob\n", "mute")
	do("unmuted: call "+first[:8]+" with bob\n", "unmute", first[:2])
	do("sent 12#: call "+first[:8]+" with bob\n", "dtmf", "12#")
	u.types(t.Context(), "", "dtmf", "x").want(t, 2, "", "bad DTMF digits\nhint: use 0-9")
	do("hung up: call "+first[:8]+" with bob\n", "hangup")
	u.types(t.Context(), "", "hold", first).want(t, 1, "", "wrong state")
	if calls := decode[[]localapi.Call](t, u.types(t.Context(), "", "calls", "--json")); len(calls) != 2 ||
		calls[1].EndReason != "hangup" || calls[0].Outcome != "declined" {
		t.Errorf("history %+v", calls)
	}
	shown := u.types(t.Context(), "", "calls", "show", first[:2], "--watch")
	if shown.code != 0 || !strings.Contains(shown.stdout, "ended: hangup by local (answered)") ||
		!strings.Contains(shown.stdout, "500 sent, 499 received, 1 lost") {
		t.Errorf("calls show: %+v", shown)
	}
	if last := decode[[]localapi.Call](t, u.types(t.Context(), "", "calls", "--last", "1", "--json")); len(last) != 1 {
		t.Errorf("calls --last 1: %+v", last)
	}
}
