package localapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi/localapitest"
	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// socketPath is in a directory of its own, short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peerd-api-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run", "s")
}

func serve(t *testing.T, p localapi.Phone, socket string) *localapi.Server {
	t.Helper()
	s, err := localapi.Open(localapi.ServerConfig{
		Socket: socket, Phone: p, Version: "v1.2.3", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func client(t *testing.T, socket string) *localapi.Client {
	t.Helper()
	c := localapi.NewClient(localapi.ClientConfig{Socket: socket, Version: "v1.2.3"})
	t.Cleanup(c.Close)
	return c
}

func pair(t *testing.T) (*localapitest.Phone, *localapi.Client, string) {
	t.Helper()
	p, socket := localapitest.New(), socketPath(t)
	serve(t, p, socket)
	return p, client(t, socket), socket
}

// must returns v and ends the test on an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if localapi.CodeOf(err) != code {
		t.Errorf("error %v has code %q, want %q", err, localapi.CodeOf(err), code)
	}
	var e *localapi.Error
	if errors.As(err, &e) && (e.Message == "" || e.Hint == "") {
		t.Errorf("error %+v lacks a message or a hint", e)
	}
}

func TestStatusTellsWhatIsMissing(t *testing.T) {
	p, c, _ := pair(t)
	st := must(c.Status(t.Context()))(t)
	if st.State != "starting" || len(st.Login.Missing) != 1 || st.Version != "v1.2.3" {
		t.Errorf("status %+v", st)
	}
	p.Online()
	st = must(c.Status(t.Context()))(t)
	if st.State != "online" || st.Login.TookMS != 420 || st.Login.Missing == nil || len(st.Login.Missing) != 0 {
		t.Errorf("status after login %+v", st)
	}
	v := must(c.Version(t.Context()))(t)
	if v.API != localapi.APIVersion || v.PID != os.Getpid() || c.DaemonVersion() != "v1.2.3" {
		t.Errorf("version %+v, handshake %q", v, c.DaemonVersion())
	}
}

func TestContactsAreAddedBlockedAndRemoved(t *testing.T) {
	_, c, _ := pair(t)
	ctx := t.Context()
	odd := "carol / of?the #1st"
	added := must(c.AddContact(ctx, odd, "peerd:carol"))(t)
	if added.Name != odd || added.Blocked {
		t.Errorf("added %+v", added)
	}
	if blocked := must(c.BlockContact(ctx, odd))(t); !blocked.Blocked {
		t.Errorf("blocked %+v", blocked)
	}
	if all := must(c.Contacts(ctx))(t); len(all) != 2 {
		t.Errorf("contacts %+v", all)
	}
	if err := c.RemoveContact(ctx, odd); err != nil {
		t.Error(err)
	}
	wantCode(t, c.RemoveContact(ctx, odd), localapi.CodeNotFound)
	_, err := c.BlockContact(ctx, odd)
	wantCode(t, err, localapi.CodeNotFound)
	_, err = c.AddContact(ctx, "bob", "peerd:other")
	wantCode(t, err, localapi.CodeExists)
	_, err = c.AddContact(ctx, "", "peerd:other")
	wantCode(t, err, localapi.CodeBadRequest)
	_, err = c.AddContact(ctx, "me", "peerd:alice")
	wantCode(t, err, localapi.CodeBadLink)
}

func TestACallFromDialToHangup(t *testing.T) {
	p, c, _ := pair(t)
	ctx := t.Context()
	call := must(c.Dial(ctx, "bob"))(t)
	if call.State != localapi.CallDialing || call.Remote.Name != "bob" || call.RingMS != nil || call.SAS == nil {
		t.Errorf("dialled %+v", call)
	}
	p.Change(call.ID, localapitest.RemoteRinging)
	p.Change(call.ID, localapitest.RemoteAnswered)
	call = must(c.Call(ctx, call.ID[:2]))(t)
	if call.State != localapi.CallActive || *call.RingMS != 34 || *call.AnswerToAudioMS != 56 || len(call.SAS) != 4 {
		t.Errorf("answered %+v", call)
	}
	for _, step := range []struct {
		verb  string
		check func(localapi.Call) bool
	}{
		{"hold", func(c localapi.Call) bool { return c.Held && c.State == localapi.CallHeld }},
		{"resume", func(c localapi.Call) bool { return !c.Held }},
		{"mute", func(c localapi.Call) bool { return c.Muted }},
		{"unmute", func(c localapi.Call) bool { return !c.Muted }},
		{"hangup", func(c localapi.Call) bool {
			return c.State == localapi.CallEnded && c.Outcome == localapi.OutcomeAnswered && c.EndReason == "hangup"
		}},
	} {
		if after := must(c.Control(ctx, step.verb, ""))(t); after.ID != call.ID || !step.check(after) {
			t.Errorf("after %s: %+v", step.verb, after)
		}
	}
	_, err := c.Control(ctx, "hangup", "")
	wantCode(t, err, localapi.CodeNotFound)
	_, err = c.Control(ctx, "hold", call.ID)
	wantCode(t, err, localapi.CodeWrongState)
	if all := must(c.Calls(ctx, 0))(t); len(all) != 1 {
		t.Errorf("history %+v", all)
	}
}

func TestVerbsChooseTheOnlyFittingCall(t *testing.T) {
	p, c, _ := pair(t)
	ctx := t.Context()
	first, second := p.Ring("bob"), p.Ring("a stranger")
	_, err := c.Control(ctx, "answer", "")
	wantCode(t, err, localapi.CodeWrongState) // two ring
	if call := must(c.Control(ctx, "answer", second))(t); !call.Remote.Stranger {
		t.Errorf("answered %+v", call)
	}
	if call := must(c.Control(ctx, "reject", ""))(t); call.ID != first || call.EndReason != "declined" {
		t.Errorf("rejected %+v", call)
	}
	if must(c.DTMF(ctx, "", "12#"))(t); p.SentDigits() != "12#" {
		t.Errorf("sent %q", p.SentDigits())
	}
	_, err = c.DTMF(ctx, "", "x")
	wantCode(t, err, localapi.CodeBadRequest)
	_, err = c.Control(ctx, "answer", "ffff")
	wantCode(t, err, localapi.CodeNotFound)
	_, err = c.Dial(ctx, "nobody")
	wantCode(t, err, localapi.CodeNotFound)
	_, err = c.Dial(ctx, "")
	if localapi.CodeOf(err) != localapi.CodeBadRequest {
		t.Error(err)
	}
}

func TestHistoryCanBeLimited(t *testing.T) {
	p, c, _ := pair(t)
	for range 5 {
		p.Ring("bob")
	}
	for limit, want := range map[int]int{0: 5, 2: 2, 9: 5} {
		if calls := must(c.Calls(t.Context(), limit))(t); len(calls) != want {
			t.Errorf("limit %d gave %d calls, want %d", limit, len(calls), want)
		}
	}
}

func TestDevices(t *testing.T) {
	_, c, _ := pair(t)
	ctx := t.Context()
	if grant := must(c.AddDevice(ctx, "peerd-device:laptop"))(t); grant.Certificate != "peerd-grant:laptop" {
		t.Errorf("grant %+v", grant)
	}
	if err := c.RevokeDevice(ctx, "laptop"); err != nil {
		t.Error(err)
	}
	if d := must(c.Devices(ctx))(t); len(d) != 2 || !d[1].Revoked || !d[0].This {
		t.Errorf("devices %+v", d)
	}
	wantCode(t, c.RevokeDevice(ctx, "phone"), localapi.CodeNotFound)
	if d := must(c.AudioDevices(ctx))(t); len(d) != 1 || d[0].Spec != "null" {
		t.Errorf("audio devices %+v", d)
	}
	if l := must(c.Link(ctx))(t); l.Link != "peerd:alice" {
		t.Errorf("link %+v", l)
	}
}

func TestNoDaemon(t *testing.T) {
	socket := socketPath(t)
	_, err := client(t, socket).Status(t.Context())
	if !errors.Is(err, localapi.ErrNoDaemon) {
		t.Errorf("no socket: %v", err)
	}
	leaveStale(t, socket)
	if _, err := client(t, socket).Status(t.Context()); !errors.Is(err, localapi.ErrNoDaemon) {
		t.Errorf("dead daemon: %v", err)
	}
}

// leaveStale leaves the socket of a daemon that was killed.
func leaveStale(t *testing.T, socket string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l := must(net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"}))(t)
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestClientWaitsForADaemonJustStarted(t *testing.T) {
	socket := socketPath(t)
	c := localapi.NewClient(localapi.ClientConfig{Socket: socket, Wait: time.Minute})
	defer c.Close()
	got := make(chan error, 1)
	go func() {
		_, err := c.Status(context.Background())
		got <- err
	}()
	serve(t, localapitest.New(), socket)
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestSocketIsPrivateAndReplacedOnlyWhenDead(t *testing.T) {
	socket := socketPath(t)
	leaveStale(t, socket)
	s := serve(t, localapitest.New(), socket)
	for path, want := range map[string]os.FileMode{socket: 0o600, filepath.Dir(socket): 0o700} {
		if info := must(os.Stat(path))(t); info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
	_, err := localapi.Open(localapi.ServerConfig{Socket: socket, Phone: localapitest.New(), Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, localapi.ErrInUse) {
		t.Errorf("second server: %v", err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket after Close: %v", err)
	}
}

func TestSocketPathsThatCannotServe(t *testing.T) {
	open := func(path string) error {
		s, err := localapi.Open(localapi.ServerConfig{Socket: path, Phone: localapitest.New(), Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			s.Close()
		}
		return err
	}
	if err := open("/tmp/" + strings.Repeat("x", 120)); !errors.Is(err, localapi.ErrSocketPath) {
		t.Errorf("long path: %v", err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if len(dir) < 90 {
		if err := open(filepath.Join(dir, "s")); !errors.Is(err, localapi.ErrOpenDirectory) {
			t.Errorf("open directory: %v", err)
		}
	}
	socket := socketPath(t)
	if err := errors.Join(os.MkdirAll(filepath.Dir(socket), 0o700), os.WriteFile(socket, []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := open(socket); err == nil {
		t.Error("a file was taken for a socket")
	}
	if data, err := os.ReadFile(socket); err != nil || string(data) != "mine" {
		t.Errorf("the file is lost: %q %v", data, err)
	}
}

// raw sends bytes to the socket and returns the status line of the answer.
func raw(t *testing.T, socket, request string) string {
	t.Helper()
	conn := must(net.Dial("unix", socket))(t)
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go io.WriteString(conn, request) //nolint:errcheck // the server may hang up first
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Logf("reading: %v", err)
	}
	return strings.TrimSpace(line)
}

func TestHostileRequests(t *testing.T) {
	p, c, socket := pair(t)
	post := func(path, body string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	for name, test := range map[string]struct{ request, want string }{
		"garbage":         {"\x00\xff\x00\xff\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		"no such route":   {"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 Not Found"},
		"no such version": {"GET /v2/status HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 Not Found"},
		"wrong method":    {"DELETE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"},
		"newer client":    {"GET /v1/status HTTP/1.1\r\nHost: x\r\nPeerd-Api: 2\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		"odd version":     {"GET /v1/status HTTP/1.1\r\nHost: x\r\nPeerd-Api: -1\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		"unknown field":   {post("/v1/calls", `{"to":"bob","colour":"red"}`), "HTTP/1.1 200 OK"},
		"wrong type":      {post("/v1/calls", `{"to":7}`), "HTTP/1.1 400 Bad Request"},
		"two objects":     {post("/v1/calls", `{"to":"bob"}{"to":"bob"}`), "HTTP/1.1 400 Bad Request"},
		"empty body":      {post("/v1/calls", ""), "HTTP/1.1 400 Bad Request"},
		"deep nesting":    {post("/v1/calls", strings.Repeat("[", 60000)), "HTTP/1.1 400 Bad Request"},
		"large body":      {post("/v1/calls", `{"to":"`+strings.Repeat("a", localapi.MaxBody)+`"}`), "HTTP/1.1 413 Request Entity Too Large"},
		"long headers":    {"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large"},
		"bad limit":       {"GET /v1/calls?limit=-3 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := raw(t, socket, test.request); got != test.want {
				t.Errorf("answer %q, want %q", got, test.want)
			}
		})
	}
	if len(p.Calls()) != 1 {
		t.Errorf("hostile requests made calls: %+v", p.Calls())
	}
	must(c.Status(t.Context()))(t) // it still serves
}

func TestErrorsOfAClosedPhone(t *testing.T) {
	p, c, _ := pair(t)
	p.Close()
	_, err := c.Dial(t.Context(), "bob")
	wantCode(t, err, localapi.CodeUnavailable)
	if !errors.Is(err, &localapi.Error{Code: localapi.CodeUnavailable}) {
		t.Errorf("errors.Is does not know %v", err)
	}
	var e *localapi.Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, phone.ErrClosed.Error()) {
		t.Errorf("message of %v", err)
	}
}
