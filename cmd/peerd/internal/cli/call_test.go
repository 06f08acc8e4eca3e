package cli_test

import (
	"context"
	"strings"
	"testing"

	"github.com/peerd/peerd/cmd/peerd/internal/cli"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi/localapitest"
	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// onDial moves every call that is dialled from now on, until the test ends.
func onDial(t *testing.T, p *localapitest.Phone, moves ...func(*phone.Call)) {
	t.Helper()
	events, cancel := p.Subscribe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range events {
			if e.Call != nil && e.Call.State == phone.StateDialing {
				for _, move := range moves {
					p.Change(e.Call.ID, move)
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func TestCallIsFollowedToItsEnd(t *testing.T) {
	u, p := withPhone(t)
	onDial(t, p, localapitest.RemoteRinging, localapitest.RemoteAnswered, localapitest.RemoteEnded("hangup"))
	got := u.types(t.Context(), "", "call", "bob")
	got.want(t, cli.ExitOK, `calling bob (10000000)
ringing after 34 ms
answered
words: abandon ability able about
path: direct
first sound after 56 ms
ended: hangup (remote) after 0.0 s
`, "")
}

func TestCallPrintsOneObject(t *testing.T) {
	u, p := withPhone(t)
	onDial(t, p, localapitest.RemoteRinging, localapitest.RemoteAnswered, localapitest.RemoteEnded("hangup"))
	got := u.types(t.Context(), "", "call", "bob", "--json")
	if !strings.Contains(got.stderr, "ringing after 34 ms") {
		t.Errorf("progress %q", got.stderr)
	}
	c := decode[map[string]any](t, got)
	for name, want := range map[string]any{
		"outcome": "answered", "ring_ms": 34.0, "answer_to_audio_ms": 56.0, "lookup_ms": 12.0, "path": "direct",
		"end_reason": "hangup", "direction": "outgoing",
	} {
		if c[name] != want {
			t.Errorf("%s is %v, want %v", name, c[name], want)
		}
	}
	for _, name := range []string{"id", "duration_s", "remote", "sas", "stats"} {
		if c[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if stats, ok := c["stats"].(map[string]any); !ok || stats["packets_sent"] != 500.0 {
		t.Errorf("stats %v", c["stats"])
	}
}

func TestExitCodesOfCalls(t *testing.T) {
	answered := localapitest.RemoteAnswered
	for reason, test := range map[string]struct {
		moves   []func(*phone.Call)
		code    int
		outcome string
		stderr  string
	}{
		"hangup":       {[]func(*phone.Call){answered}, cli.ExitOK, "answered", ""},
		"shutdown":     {[]func(*phone.Call){answered}, cli.ExitOK, "answered", ""},
		"lost":         {[]func(*phone.Call){answered}, cli.ExitError, "answered", "the call with bob was cut off: lost"},
		"busy":         {nil, cli.ExitBusy, "busy", "bob is busy"},
		"declined":     {nil, cli.ExitBusy, "declined", "bob declined the call"},
		"no_answer":    {nil, cli.ExitNoAnswer, "no_answer", "bob did not answer"},
		"not_found":    {nil, cli.ExitUnreachable, "not_found", "no device of bob was found"},
		"unreachable":  {nil, cli.ExitUnreachable, "unreachable", "no device of bob can be reached"},
		"bad_identity": {nil, cli.ExitError, "failed", "did not come about: bad_identity"},
	} {
		t.Run(reason, func(t *testing.T) {
			u, p := withPhone(t)
			onDial(t, p, append(test.moves, localapitest.RemoteEnded(reason))...)
			got := u.types(t.Context(), "", "call", "bob", "--json")
			if got.code != test.code || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
			}
			if c := decode[localapi.Call](t, got); c.Outcome != test.outcome || c.EndReason != reason {
				t.Errorf("outcome %s, reason %s", c.Outcome, c.EndReason)
			}
		})
	}
}

func TestCallOfALengthHangsUp(t *testing.T) {
	u, p := withPhone(t)
	onDial(t, p, localapitest.RemoteAnswered)
	got := u.types(t.Context(), "", "call", "bob", "--for", "30ms", "--json")
	c := decode[localapi.Call](t, got)
	if got.code != cli.ExitOK || c.EndedBy != "local" || c.DurationS < 0.03 {
		t.Errorf("exit code %d, call %+v", got.code, c)
	}
}

func TestCtrlCHangsUp(t *testing.T) {
	for name, test := range map[string]struct {
		move   func(*phone.Call)
		code   int
		reason string
	}{
		"while it rings": {localapitest.RemoteRinging, cli.ExitError, "cancelled"},
		"in the talk":    {localapitest.RemoteAnswered, cli.ExitOK, "hangup"},
	} {
		t.Run(name, func(t *testing.T) {
			u, p := withPhone(t)
			ctx, interrupt := context.WithCancel(t.Context())
			onDial(t, p, test.move, func(*phone.Call) { interrupt() })
			got := u.types(ctx, "", "call", "bob")
			if got.code != test.code || !strings.Contains(got.stdout, "ended: "+test.reason+" (local)") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestCallEndsWithItsDaemon(t *testing.T) {
	u, p := withPhone(t)
	onDial(t, p, localapitest.RemoteAnswered, func(*phone.Call) { go p.Close() })
	got := u.types(t.Context(), "", "call", "bob", "--json")
	if c := decode[localapi.Call](t, got); got.code != cli.ExitOK || c.EndReason != "shutdown" {
		t.Errorf("exit code %d, %+v", got.code, c)
	}
}

func TestNamesOfStrangersCannotPlayTricks(t *testing.T) {
	u, p := withPhone(t)
	p.Ring("peerd:\x1b[2Jevil\r\nbob")
	got := u.types(t.Context(), "", "answer")
	got.want(t, cli.ExitOK, "answered: call 10000000 with peerd:?[2Jevil??bob (a stranger)\n", "")
}
