package localapi

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// route is one line of the method table.
type route struct {
	method string
	path   string // below Prefix, in http.ServeMux's notation
	handle handler
}

// handler answers one request: a body to be sent as JSON (nil: no content) or
// an error. Only the event stream writes by itself and returns errStreamed.
type handler func(s *Server, w http.ResponseWriter, r *http.Request) (any, error)

// errStreamed says that the handler has written its answer already.
var errStreamed = errors.New("answer already written")

// routes is the whole API. docs/api.md has a section for each line.
func routes() []route {
	return []route{
		{"GET", "/version", (*Server).getVersion},
		{"GET", "/status", (*Server).getStatus},
		{"GET", "/link", (*Server).getLink},
		{"GET", "/events", (*Server).getEvents},
		{"GET", "/contacts", (*Server).getContacts},
		{"POST", "/contacts", (*Server).postContact},
		{"DELETE", "/contacts/{name}", (*Server).deleteContact},
		{"POST", "/contacts/{name}/block", (*Server).blockContact},
		{"GET", "/calls", (*Server).getCalls},
		{"POST", "/calls", (*Server).postCall},
		{"GET", "/calls/{id}", (*Server).getCall},
		{"POST", "/calls/{id}/answer", control(answer)},
		{"POST", "/calls/{id}/reject", control(reject)},
		{"POST", "/calls/{id}/hangup", control(hangup)},
		{"POST", "/calls/{id}/hold", control(hold)},
		{"POST", "/calls/{id}/resume", control(resume)},
		{"POST", "/calls/{id}/mute", control(mute)},
		{"POST", "/calls/{id}/unmute", control(unmute)},
		{"POST", "/calls/{id}/dtmf", (*Server).postDTMF},
		{"GET", "/devices", (*Server).getDevices},
		{"POST", "/devices", (*Server).postDevice},
		{"DELETE", "/devices/{id}", (*Server).deleteDevice},
		{"GET", "/audio/devices", (*Server).getAudioDevices},
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	methods := map[string]bool{}
	for _, rt := range routes() {
		mux.Handle(rt.method+" "+Prefix+rt.path, s.answer(rt.handle))
		methods[rt.method] = true
	}
	mux.Handle("/", s.answer(func(_ *Server, _ http.ResponseWriter, r *http.Request) (any, error) {
		return nil, noRoute(mux, methods, r)
	}))
	return mux
}

// noRoute says why a request fits no line of the table.
func noRoute(mux *http.ServeMux, methods map[string]bool, r *http.Request) error {
	other := *r
	for other.Method = range methods {
		if _, pattern := mux.Handler(&other); pattern != "/" {
			return Errorf(CodeMethod, "%s cannot be done to %s", clip(r.Method), clip(r.URL.Path))
		}
	}
	return Errorf(CodeNotFound, "the local API has no %s", clip(r.URL.Path)).
		WithHint("this daemon speaks version " + strconv.Itoa(APIVersion) + ": see docs/api.md")
}

// clip shortens a text of the client's that is to be repeated to it.
func clip(text string) string {
	const most = 100
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// answer wraps a handler into the handshake, the bound on bodies and the
// writing of its answer.
func (s *Server) answer(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(HeaderAPI, strconv.Itoa(APIVersion))
		w.Header().Set(HeaderVersion, s.version)
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		if err := checkVersion(r); err != nil {
			s.writeError(w, r, err)
			return
		}
		body, err := h(s, w, r)
		switch {
		case errors.Is(err, errStreamed):
		case err != nil:
			s.writeError(w, r, err)
		case body == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			s.writeJSON(w, http.StatusOK, body)
		}
	})
}

// checkVersion refuses a client that needs a newer API than this one. A client
// that names none speaks the one in its path.
func checkVersion(r *http.Request) error {
	named := r.Header.Get(HeaderAPI)
	if named == "" {
		return nil
	}
	v, err := strconv.ParseUint(named, 10, 32)
	if err != nil {
		return Errorf(CodeBadRequest, "header %s is %q: it must be a number", HeaderAPI, clip(named))
	}
	if v > APIVersion {
		return Errorf(CodeVersion, "the program asks for version %d of the local API, the daemon speaks %d", v, APIVersion).
			WithHint("the daemon is older than the program: restart it")
	}
	return nil
}

func (s *Server) writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Debug("client went away", slog.Any("err", err))
	}
}

func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	if e.Code == CodeInternal {
		s.log.Error("request went wrong",
			slog.String("method", r.Method), slog.String("route", r.Pattern), slog.Any("err", err))
	}
	s.writeJSON(w, httpStatus(e.Code), e)
}

// decode reads a request's body into a T. Unknown fields are ignored: they
// belong to a newer client.
func decode[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	var in T
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder in a test has none
	raw, err := io.ReadAll(r.Body)
	_ = rc.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return in, Errorf(CodeTooLarge, "the body is larger than %d bytes", MaxBody)
	}
	if err != nil {
		return in, Errorf(CodeBadRequest, "the body did not arrive")
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return in, Errorf(CodeBadRequest, "the body is not the JSON object that is expected here: %v", err).
			WithHint("docs/api.md shows an example of every request")
	}
	return in, nil
}
