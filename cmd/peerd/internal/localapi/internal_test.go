package localapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

func TestEveryRouteIsDocumentedWithAnExample(t *testing.T) {
	doc, err := os.ReadFile("../../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range routes() {
		heading := fmt.Sprintf("### %s %s%s\n", rt.method, Prefix, rt.path)
		_, section, found := strings.Cut(string(doc), heading)
		if !found {
			t.Errorf("docs/api.md has no section %q", strings.TrimSpace(heading))
			continue
		}
		section, _, _ = strings.Cut(section, "\n### ")
		section, _, _ = strings.Cut(section, "\n## ")
		if !strings.Contains(section, "```") {
			t.Errorf("section %q has no example", strings.TrimSpace(heading))
		}
	}
	if n := strings.Count(string(doc), "\n### GET") + strings.Count(string(doc), "\n### POST") +
		strings.Count(string(doc), "\n### DELETE"); n != len(routes()) {
		t.Errorf("docs/api.md has %d routes, the table %d", n, len(routes()))
	}
}

func TestEveryErrorCodeIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range codes() {
		if !strings.Contains(string(doc), "| `"+code+"` |") {
			t.Errorf("docs/api.md does not list the code %s", code)
		}
	}
}

// TestEveryFieldIsInAnExample holds the examples against the wire types.
func TestEveryFieldIsInAnExample(t *testing.T) {
	doc, err := os.ReadFile("../../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{
		Error{},
		Status{},
		Overlay{},
		Login{},
		Missing{},
		Contact{},
		Presence{},
		Call{},
		Remote{},
		Stats{},
		Event{},
		State{},
		AccountDevice{},
		AudioDevice{},
		Version{},
		Link{},
		AddContact{},
		Dial{},
		DTMF{},
		AddDevice{},
		AddedDevice{},
	} {
		for f := range reflect.TypeOf(v).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || !strings.Contains(string(doc), `"`+name+`": `) && !strings.Contains(string(doc), "`"+name+"`") {
				t.Errorf("docs/api.md has no example of %T.%s (%s)", v, f.Name, name)
			}
		}
	}
}

func codes() []string {
	return []string{
		CodeBadRequest, CodeBadLink, CodeNotFound, CodeUnreachable, CodeExists, CodeWrongState, CodeBusy,
		CodeForbidden, CodeMethod, CodeTooLarge, CodeVersion, CodeNoSound, CodeUnavailable, CodeInternal,
	}
}

func TestOutcomes(t *testing.T) {
	for reason, want := range map[string]string{
		"hangup": OutcomeCancelled, "cancelled": OutcomeCancelled, "declined": OutcomeDeclined, "busy": OutcomeBusy,
		"no_answer": OutcomeNoAnswer, "lost": OutcomeFailed, "unreachable": OutcomeUnreachable,
		"not_found": OutcomeNotFound, "glare": OutcomeFailed, "bad_identity": OutcomeFailed,
		"shutdown": OutcomeCancelled, "media_failed": OutcomeFailed,
	} {
		c := phone.Call{State: phone.StateEnded, EndReason: reason}
		if got := outcome(c); got != want {
			t.Errorf("%s before the answer is %s, want %s", reason, got, want)
		}
		c.Answered = c.Answered.AddDate(2000, 0, 0)
		if got := outcome(c); got != OutcomeAnswered {
			t.Errorf("%s after the answer is %s", reason, got)
		}
	}
	if got := outcome(phone.Call{State: phone.StateRinging}); got != "" {
		t.Errorf("a live call has the outcome %s", got)
	}
}

func TestUnknownErrorsAreInternal(t *testing.T) {
	e := asError(errors.New("disk on fire"))
	if e.Code != CodeInternal || httpStatus(e.Code) != http.StatusInternalServerError || e.Hint == "" {
		t.Errorf("%+v", e)
	}
}

// deadPhone knows nobody: whatever gets to it is refused or kept nowhere.
type deadPhone struct{ Phone }

func (deadPhone) AddContact(string, string) error    { return phone.ErrBadName }
func (deadPhone) Dial(string) (string, error)        { return "", phone.ErrNoSuchContact }
func (deadPhone) AddDevice(string) (string, error)   { return "", phone.ErrNoSuchDevice }
func (deadPhone) DTMF(string, string) error          { return phone.ErrBadDigits }
func (deadPhone) Call(id string) (phone.Call, error) { return phone.Call{ID: id}, nil }

// FuzzRequestBody holds that any body at any route that reads one is answered
// by a success or by an error that names its code.
func FuzzRequestBody(f *testing.F) {
	paths := []string{"/contacts", "/calls", "/calls/1f/dtmf", "/devices"}
	for i, seed := range []string{
		`{"name":"bob","link":"peerd:x"}`, `{"to":"bob"}`, `{"digits":"12#"}`, `{"request":"peerd-device:x"}`,
		``, `null`, `[]`, `{"to":null}`, `{"to":1e999}`, `{"to":"\ud800"}`, "\xff\xfe", `{"to":"a"}{}`, strings.Repeat(`{"to":`, 999),
	} {
		f.Add(uint8(i), []byte(seed))
	}
	s := newServer(ServerConfig{Phone: deadPhone{}, Log: slog.New(slog.DiscardHandler)})
	known := map[string]bool{}
	for _, c := range codes() {
		known[c] = true
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		path := paths[int(which)%len(paths)]
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Prefix+path, strings.NewReader(string(body))))
		if w.Code/100 == 2 {
			return
		}
		var e Error
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || !known[e.Code] || e.Message == "" {
			t.Errorf("%s answered %d %q (%v)", path, w.Code, w.Body, err)
		}
		if e.Code == CodeInternal {
			t.Errorf("%s: internal error %q for body %q", path, e.Message, body)
		}
	})
}
