package cli_test

import (
	"context"
	"strings"
	"testing"
	"time"

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
		"no_answer":    {nil, cli.ExitNoAnswer, "no_answer", "ended: no answer (remote)\n{\"error\":{\"message\":\"bob did not answer\""},
		"not_found":    {nil, cli.ExitUnreachable, "not_found", "no device of bob was found"},
		"unreachable":  {nil, cli.ExitUnreachable, "unreachable", "no device of bob can be reached"},
		"bad_identity": {nil, cli.ExitError, "failed", "did not come about: bad_identity"},
	} {
		t.Run(reason, func(t *testing.T) {
			u, p := withPhone(t)
			p.Online()
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

// TestCallWhileNotLoggedIn: that nobody is found is then this end's fault.
func TestCallWhileNotLoggedIn(t *testing.T) {
	for _, reason := range []string{"not_found", "unreachable"} {
		u, p := withPhone(t)
		onDial(t, p, localapitest.RemoteEnded(reason))
		got := u.types(t.Context(), "", "call", "bob")
		got.want(t, cli.ExitUnreachable, got.stdout, "peerd: bob was not found, as this phone itself is not logged in; "+
			"missing: neighbours (no node answered yet)\nhint: mend that, or start the daemon with --bootstrap")
	}
}

func TestCallToAContactThatIsAway(t *testing.T) {
	u, p := withPhone(t)
	p.Online()
	onDial(t, p, localapitest.RemoteEnded("unreachable"))
	got := u.types(t.Context(), "", "call", "bob")
	got.want(t, cli.ExitUnreachable, got.stdout, "no device of bob can be reached at its last addresses, those in the overlay included; last heard from ")
	p.SignOff("bob", time.Now().Add(-3*time.Minute))
	got = u.types(t.Context(), "", "call", "bob")
	got.want(t, cli.ExitUnreachable, got.stdout, "peerd: bob signed off 3m")
	if list := u.types(t.Context(), "", "contacts", "list"); !strings.Contains(list.stdout, "signed off") {
		t.Errorf("contacts list: %s", list.stdout)
	}
	if list := u.types(t.Context(), "", "contacts", "list", "--json"); !strings.Contains(list.stdout, `"signed_off": true`) {
		t.Errorf("contacts list: %s", list.stdout)
	}
}

func TestAnswerTellsTheWords(t *testing.T) {
	u, p := withPhone(t)
	p.DelayWords()
	id := p.Ring("bob")
	answered := make(chan result, 1)
	go func() { answered <- u.types(context.Background(), "", "answer") }()
	eventually(t, func() bool { c, err := p.Call(id); return err == nil && !c.Answered.IsZero() })
	p.Change(id, localapitest.Words)
	(<-answered).want(t, cli.ExitOK, "answered: call 10000000 with bob\nwords: abandon ability able about\n", "")
	id = p.Ring("bob")
	go func() { answered <- u.types(context.Background(), "", "answer", "--json") }()
	eventually(t, func() bool { c, err := p.Call(id); return err == nil && !c.Answered.IsZero() })
	p.Change(id, localapitest.Words)
	if c := decode[localapi.Call](t, <-answered); c.Words != "abandon ability able about" || len(c.SAS) != 4 {
		t.Errorf("%+v", c)
	}
}

func TestHistoryOfCallsThatWereCutOff(t *testing.T) {
	u, p := withPhone(t)
	killed, lost := p.Ring("bob"), p.Ring("bob")
	p.Change(killed, localapitest.RemoteAnswered)
	p.Change(lost, localapitest.RemoteAnswered)
	p.Change(lost, localapitest.RemoteEnded("lost"))
	p.Change(killed, func(c *phone.Call) { // as the store closes what a killed daemon left
		c.State, c.EndReason, c.Ended = phone.StateEnded, "lost", c.Answered
	})
	p.Change(p.Ring("bob"), localapitest.RemoteEnded("no_answer"))
	list := u.types(t.Context(), "", "calls").stdout
	for _, want := range []string{"incoming   cut off    -         bob", "incoming   cut off    0.0 s     bob", "incoming   no answer  -         bob"} {
		if !strings.Contains(list, want) {
			t.Errorf("no %q in:\n%s", want, list)
		}
	}
	shown := u.types(t.Context(), "", "calls", "show", killed)
	if !strings.Contains(shown.stdout, "ended: cut off when the daemon here was killed") {
		t.Errorf("calls show: %s", shown.stdout)
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
	got.want(t, cli.ExitOK, "answered: call 10000000 with peerd:?[2Jevil??bob (a stranger)\nwords: abandon ability able about\n", "")
}
