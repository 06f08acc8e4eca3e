// Package media is the encrypted sound path of a call: ICE, DTLS and SRTP by
// pion, Opus packets out of a microphone and into a loudspeaker.
//
//	microphone -> send.go: read frame, encode, write RTP ------------> network
//	loudspeaker <- playout: decode, conceal, stretch <- receive.go <-- network
//
// An Engine owns the UDP socket that all calls of a daemon share, a Session is
// one call. Nothing is sent as RTP and nothing is played before Session.Start.
package media

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
)

// Times of the path. The reasons for the values that differ from pion's are in
// docs/architecture.md, Media.
const (
	lostAfter     = 2500 * time.Millisecond // nothing received: PathLost
	failedAfter   = 20 * time.Second        // after that: PathClosed
	keepAlive     = 500 * time.Millisecond  // consent checks (RFC 7675) when idle
	relayWait     = 600 * time.Millisecond  // head start of direct pairs before a relay is taken for good
	dtlsRetryWait = 100 * time.Millisecond
	checkEvery    = 200 * time.Millisecond // pion's, which cannot be set
	// checks of a pair of addresses go on until the path is given up: pion would
	// take a pair for dead, and for good, after seven checks, some 1.4 s.
	checks = uint16((lostAfter + failedAfter) / checkEvery)
)

// EngineConfig is what an Engine needs. The zero value works.
type EngineConfig struct {
	Port int           // UDP port of all sessions; 0 takes any free one
	Log  *slog.Logger  // nil: silent
	Net  transport.Net // nil: the machine's network; tests pass a simulated one
}

// Engine owns what all sessions of a daemon share: one UDP socket, one DTLS
// certificate, the settings of pion.
type Engine struct {
	log  *slog.Logger
	net  transport.Net
	cert webrtc.Certificate
	main *socket

	encoding atomic.Int32 // sessions that have an encoder
	strained atomic.Int64 // Unix ns of the last frame that had to wait for the processor

	mu       sync.Mutex
	sessions map[*Session]struct{}
	mainUse  int // live sessions on main
	closed   bool
}

// socket is a UDP socket with the pion API whose sessions share it.
type socket struct {
	mux *udpMux
	api *webrtc.API
}

// udpMux is pion's, but names only addresses that are of use to others.
type udpMux struct{ *ice.UniversalUDPMuxDefault }

// GetListenAddresses implements ice.UDPMux. It names one address of each
// family: to the agent they are candidates, and since one socket is behind all
// of them, it could not tell which of two a packet came to. It would take its
// checks for those of one and their answers for the other's, and a nominated
// pair could stay unconfirmed for seconds. The others' agents hear of all
// addresses, see otherHosts.
func (m *udpMux) GetListenAddresses() []net.Addr {
	var one []net.Addr
	have := make(map[bool]bool)
	for _, a := range m.addresses() {
		if is6 := a.IP.To4() == nil; !have[is6] {
			have[is6], one = true, append(one, a)
		}
	}
	return one
}

// addresses are those of this machine that are of use to others: no link-local
// ones, which mean nothing without their zone, and the loopback only where there
// is nothing else. They are asked for anew for every session, so they may come
// and go.
func (m *udpMux) addresses() []*net.UDPAddr {
	var useful, loopback []*net.UDPAddr
	for _, a := range m.UniversalUDPMuxDefault.GetListenAddresses() {
		udp, ok := a.(*net.UDPAddr)
		switch {
		case !ok || udp.IP.IsLinkLocalUnicast():
		case udp.IP.IsLoopback():
			loopback = append(loopback, udp)
		default:
			useful = append(useful, udp)
		}
	}
	if len(useful) == 0 {
		return loopback
	}
	return useful
}

// NewEngine opens the socket. The caller closes the Engine.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	e := &Engine{log: cfg.Log, net: cfg.Net, sessions: make(map[*Session]struct{})}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.net == nil {
		n, err := stdnet.NewNet()
		if err != nil {
			return nil, fmt.Errorf("reading the network interfaces: %w", err)
		}
		e.net = n
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the DTLS key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("making the DTLS certificate: %w", err)
	}
	e.cert = *cert
	if e.main, err = e.listen(cfg.Port); err != nil {
		return nil, err
	}
	return e, nil
}

// Strained reports whether, within that time, a frame of any call had to wait
// for the processor so long that the next ones may be late. Whoever has other
// work to do should let it wait.
func (e *Engine) Strained(within time.Duration) bool {
	return time.Since(time.Unix(0, e.strained.Load())) < within
}

// Port is the UDP port in use.
func (e *Engine) Port() int { return e.main.mux.LocalAddr().(*net.UDPAddr).Port }

// Close closes all sessions, then the socket. A second Close does nothing.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	var open []*Session
	for s := range e.sessions {
		open = append(open, s)
	}
	e.mu.Unlock()
	for _, s := range open {
		_ = s.Close()
	}
	return e.main.mux.Close()
}

// listen opens a socket on all addresses of the machine and builds the pion
// API around it.
func (e *Engine) listen(port int) (*socket, error) {
	conn, err := e.net.ListenUDP("udp", &net.UDPAddr{Port: port})
	if err != nil {
		return nil, fmt.Errorf("opening media port %d: %w", port, err)
	}
	logs := pionLogs{e.log}
	mux := &udpMux{ice.NewUniversalUDPMuxDefault(ice.UniversalUDPMuxParams{
		Logger: logs.NewLogger("mux"), UDPConn: conn, Net: e.net,
	})}
	engine := &webrtc.MediaEngine{}
	if err := registerCodecs(engine); err != nil {
		_ = mux.Close()
		return nil, err
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithSettingEngine(e.settings(mux, logs)),
		webrtc.WithInterceptorRegistry(noInterceptors()))
	return &socket{mux, api}, nil
}

func (e *Engine) settings(mux ice.UDPMux, logs pionLogs) webrtc.SettingEngine {
	var s webrtc.SettingEngine
	s.LoggerFactory = logs
	s.SetNet(e.net)
	s.SetICEUDPMux(mux)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetIncludeLoopbackCandidate(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	s.SetICETimeouts(lostAfter, failedAfter, keepAlive)
	s.SetICEMaxBindingRequests(checks + uint16(len(nudges)))
	s.SetHostAcceptanceMinWait(0)
	s.SetSrflxAcceptanceMinWait(0)
	s.SetPrflxAcceptanceMinWait(0)
	s.SetRelayAcceptanceMinWait(relayWait)
	s.SetDTLSRetransmissionInterval(dtlsRetryWait)
	s.SetDTLSInsecureSkipHelloVerify(true)
	s.SetFireOnTrackBeforeFirstRTP(true)
	return s
}

// take chooses the socket for a new session and registers it. An ICE mux tells
// sessions apart by the other end's address alone, so two sessions between the
// same two sockets would take each other's packets. Therefore an offering
// session uses the common socket only while nobody else does, and one of its
// own otherwise; answering sessions always use the common one.
func (e *Engine) take(s *Session) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	s.socket = e.main
	if s.cfg.Offerer && e.mainUse > 0 {
		own, err := e.listen(0)
		if err != nil {
			return err
		}
		s.socket = own
	} else {
		e.mainUse++
	}
	e.sessions[s] = struct{}{}
	return nil
}

// giveBack is the reverse of take.
func (e *Engine) giveBack(s *Session) {
	e.mu.Lock()
	_, mine := e.sessions[s]
	delete(e.sessions, s)
	if mine && s.socket == e.main {
		e.mainUse--
	}
	e.mu.Unlock()
	if mine && s.socket != e.main {
		_ = s.socket.mux.Close()
	}
}
