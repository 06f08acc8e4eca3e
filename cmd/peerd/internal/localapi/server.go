package localapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// Phone is what the server needs of *phone.Phone, which has more. All methods
// may be called from many goroutines.
type Phone interface {
	Status() phone.Status
	Link() string

	Contacts() []phone.Contact
	AddContact(name, link string) error
	RemoveContact(name string) error
	BlockContact(name string) error

	Calls() []phone.Call
	Call(id string) (phone.Call, error)
	Dial(who string) (id string, err error)
	Answer(id string) error
	Reject(id string) error
	Hangup(id string) error
	Hold(id string) error
	Resume(id string) error
	Mute(id string) error
	Unmute(id string) error
	DTMF(id, digits string) error

	Devices() []phone.AccountDevice
	AddDevice(request string) (certificate string, err error)
	RevokeDevice(id string) error
	AudioDevices() ([]phone.AudioDevice, error)

	Subscribe() (<-chan phone.Event, func())
}

var _ Phone = (*phone.Phone)(nil)

// Limits of the server. The socket is open to its owner alone; these keep a
// program of the owner's that runs wild from harming the calls.
const (
	headerTimeout = 5 * time.Second  // for a request's headers to arrive
	bodyTimeout   = 10 * time.Second // for its body
	writeTimeout  = 10 * time.Second // for one line of events to be taken
	idleTimeout   = time.Minute
	closeTimeout  = 2 * time.Second // for running requests, in Close
	maxHeader     = 16 << 10        // bytes
	maxWatchers   = 128
)

// ServerConfig is what a Server needs.
type ServerConfig struct {
	Socket  string // path of the unix socket; its directory is made 0700 if missing
	Phone   Phone
	Version string // of the program
	Log     *slog.Logger
}

// Server serves the API of one phone on one socket.
type Server struct {
	phone    Phone
	version  string
	log      *slog.Logger
	http     *http.Server
	watchers chan struct{} // one slot for each event stream
	closing  chan struct{} // closed by Close: streams end
	served   chan struct{} // closed when the accept loop has returned
	once     sync.Once
}

// Open begins to serve. It removes the socket of a daemon that died and
// returns ErrInUse if a living one serves it.
func Open(cfg ServerConfig) (*Server, error) {
	listener, err := listen(cfg.Socket)
	if err != nil {
		return nil, err
	}
	s := newServer(cfg)
	go s.serve(listener)
	return s, nil
}

func newServer(cfg ServerConfig) *Server {
	s := &Server{
		phone:    cfg.Phone,
		version:  cfg.Version,
		log:      cfg.Log.With(slog.String("room", "localapi")),
		watchers: make(chan struct{}, maxWatchers),
		closing:  make(chan struct{}),
		served:   make(chan struct{}),
	}
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s
}

func (s *Server) serve(l net.Listener) {
	defer close(s.served)
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("local API stopped", slog.Any("err", err))
	}
}

// Close ends the event streams with a last line, lets running requests finish,
// removes the socket and waits. A second Close does nothing.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err = s.http.Shutdown(ctx); err != nil {
			err = fmt.Errorf("waiting for requests to the local API: %w", errors.Join(err, s.http.Close()))
		}
	})
	<-s.served
	return err
}
