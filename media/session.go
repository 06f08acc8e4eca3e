package media

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/peerd/peerd/audio"
)

// ICEServer is a STUN or TURN server: "stun:ip:port",
// "turn:ip:port?transport=udp" or "...=tcp".
type ICEServer struct {
	URLs               []string
	Username, Password string // TURN only
}

// SessionConfig describes one call.
type SessionConfig struct {
	Offerer    bool        // this end calls Offer and SetAnswer; otherwise Answer
	ICEServers []ICEServer // asked at once; nothing waits for them
	RelayOnly  bool        // use and reveal nothing but TURN addresses

	// Encoder and Decoder make the codec at Start. They are not called with
	// Echo. A session decodes with what Decoder returns and nothing else.
	Encoder func() (audio.Encoder, error)
	Decoder func() (audio.Decoder, error)

	Echo bool         // send received Opus packets back as they are; Start takes a nil device
	Log  *slog.Logger // nil: the Engine's
}

// gatherWait is how long Offer and Answer wait for candidates of this machine
// (which take about a millisecond), so that they need no message of their own.
const gatherWait = 5 * time.Millisecond

// Session is the media path of one call. All methods may be called by any
// goroutine.
type Session struct {
	cfg    SessionConfig
	log    *slog.Logger
	engine *Engine
	socket *socket
	pc     *webrtc.PeerConnection
	sender *webrtc.RTPSender
	track  *track
	events chan Event
	kick   chan struct{}   // something for run to look at
	taken  chan struct{}   // closed when pion takes the other end's packets
	ctx    context.Context // ends with Close
	end    context.CancelFunc
	wg     sync.WaitGroup // our goroutines

	sendPath
	receivePath

	life sync.Mutex // held by Start and while Close marks the end

	mu        sync.Mutex // guards all below
	queue     []Event    // not delivered yet
	described bool       // our description was returned; candidates are events from now on
	remote    bool       // the other end's description is set
	waiting   []string   // candidates that came before it
	accepted  int        // candidates of the other end so far
	localFP   string
	remoteFP  string
	started   time.Time // zero: Start was not called
	stream    audio.Stream
	closing   bool
	up        atomic.Bool // pion's selected pair may be asked for
	finished  atomic.Bool // PathClosed was queued
	closeOnce sync.Once
}

// NewSession prepares a session; nothing is sent yet. The caller closes it.
func (e *Engine) NewSession(cfg SessionConfig) (*Session, error) {
	s := &Session{
		cfg: cfg, log: cfg.Log, engine: e, track: newTrack(),
		events: make(chan Event), kick: make(chan struct{}, 1), taken: make(chan struct{}),
	}
	first := newPlan()
	s.plan.Store(&first)
	s.ctx, s.end = context.WithCancel(context.Background())
	if s.log == nil {
		s.log = e.log
	}
	if err := e.take(s); err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("preparing a media session: %w", err)
	}
	s.spawn(s.run)
	s.spawn(s.readReports)
	return s, nil
}

// connect builds the peer connection and hangs our handlers on it.
func (s *Session) connect() error {
	policy := webrtc.ICETransportPolicyAll
	if s.cfg.RelayOnly {
		policy = webrtc.ICETransportPolicyRelay
	}
	pc, err := s.socket.api.NewPeerConnection(webrtc.Configuration{
		Certificates:       []webrtc.Certificate{s.engine.cert},
		ICEServers:         relayServers(s.cfg.ICEServers),
		ICETransportPolicy: policy,
		BundlePolicy:       webrtc.BundlePolicyMaxBundle,
	})
	if err != nil {
		return err
	}
	s.pc = pc
	pc.OnICECandidate(s.localCandidate)
	pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) { s.wake() })
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if s.receiving.CompareAndSwap(false, true) { // a call is one stream; others are not read
			close(s.taken)
			s.spawn(func() { s.receive(t) })
		}
	})
	s.sender, err = pc.AddTrack(s.track)
	return err
}

// Events reports candidates, the state of the path and what is heard. The
// channel is closed after PathClosed and by Close. Events wait for a slow
// reader; nothing else does.
func (s *Session) Events() <-chan Event { return s.events }

// Offer makes the offering end's description (SDP, RFC 8866), at once:
// candidates that take time to find follow as events.
func (s *Session) Offer(ctx context.Context) ([]byte, error) {
	if !s.cfg.Offerer {
		return nil, fmt.Errorf("offering a call: %w: this session answers", ErrState)
	}
	sd, err := s.pc.CreateOffer(nil)
	if err != nil {
		return nil, fmt.Errorf("offering a call: %w", s.closedOr(err))
	}
	return s.describe(ctx, sd)
}

// Answer takes the other end's offer and makes the answer to it, at once.
// Errors wrap ErrBadSDP for an offer that is not one of an audio call.
func (s *Session) Answer(ctx context.Context, offer []byte) ([]byte, error) {
	if s.cfg.Offerer {
		return nil, fmt.Errorf("answering a call: %w: this session offers", ErrState)
	}
	if err := s.setRemote(webrtc.SDPTypeOffer, offer); err != nil {
		return nil, fmt.Errorf("reading the offer: %w", err)
	}
	sd, err := s.pc.CreateAnswer(nil)
	if err != nil {
		return nil, fmt.Errorf("answering a call: %w", s.closedOr(err))
	}
	return s.describe(ctx, sd)
}

// SetAnswer gives the offering end the answer.
func (s *Session) SetAnswer(answer []byte) error {
	if !s.cfg.Offerer {
		return fmt.Errorf("reading the answer: %w: this session answers", ErrState)
	}
	if err := s.setRemote(webrtc.SDPTypeAnswer, answer); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// Fingerprint is the SHA-256 fingerprint of our DTLS certificate as it stands
// in the description (RFC 8122: upper-case hex with colons), "" before.
func (s *Session) Fingerprint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.localFP
}

// RemoteFingerprint is the one in the other end's description, "" before. The
// path never comes up with a certificate that does not match it.
func (s *Session) RemoteFingerprint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remoteFP
}

// Close ends the session and waits for its goroutines. Where the path is up it
// tells the other end (DTLS close_notify). A second Close does nothing.
func (s *Session) Close() error {
	s.closeOnce.Do(s.shut)
	return nil
}

func (s *Session) shut() {
	s.end()
	s.life.Lock()
	s.mu.Lock()
	s.closing = true
	stream := s.stream
	s.mu.Unlock()
	s.life.Unlock()
	if stream != nil {
		_ = stream.Close()
	}
	if s.pc != nil {
		s.settle()
		if err := s.pc.GracefulClose(); err != nil {
			s.log.Debug("closing the media path", "err", err)
		}
	}
	s.wg.Wait()
	s.closeCodecs()
	s.engine.giveBack(s)
}

// settleLimit is how long Close waits for what settle does.
const settleLimit = 2 * time.Second

// settle waits until pion takes what arrives on a path that is just up. Closed earlier it
// may never end: its reader of SRTP hands the first packet to whoever looks for streams,
// who is yet to start and needs for that the lock that Close holds while it waits for the
// reader (webrtc 4.2.26: DTLSTransport.Stop, PeerConnection.startRTP; srtp 3.1.3).
func (s *Session) settle() {
	if s.sender == nil || s.sender.Transport().State() != webrtc.DTLSTransportStateConnected {
		return
	}
	limit := time.NewTimer(settleLimit)
	defer limit.Stop()
	select {
	case <-s.taken:
	case <-limit.C:
	}
}

// spawn runs f in a goroutine that Close waits for, unless it is too late.
func (s *Session) spawn(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.wg.Go(f)
	}
}

// closedOr replaces pion's error by ErrClosed where that is the reason.
func (s *Session) closedOr(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrClosed
	}
	return err
}

// wake makes run look at the state of things.
func (s *Session) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// post queues an event for run to deliver.
func (s *Session) post(ev Event) {
	s.mu.Lock()
	s.queue = append(s.queue, ev)
	s.mu.Unlock()
	s.wake()
}

// run delivers events, follows the state of the path and sends reports.
func (s *Session) run() {
	defer close(s.events)
	tick := time.NewTicker(reportSoon)
	defer tick.Stop()
	var told reports
	last := webrtc.PeerConnectionStateNew
	for {
		out, ev := s.next()
		select {
		case <-s.ctx.Done():
			return
		case out <- ev:
			s.mu.Lock()
			s.queue = s.queue[1:]
			s.mu.Unlock()
			if _, end := ev.(PathClosed); end {
				return
			}
		case <-s.kick:
			last = s.follow(last)
		case now := <-tick.C:
			s.report(&told, now)
		}
	}
}

// next is the oldest event and where to send it, or nil and nil.
func (s *Session) next() (chan<- Event, Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil, nil
	}
	return s.events, s.queue[0]
}

// follow turns a change of the path's state into events.
func (s *Session) follow(last webrtc.PeerConnectionState) webrtc.PeerConnectionState {
	now := pathState(s.pc.ICEConnectionState(), s.sender.Transport().State())
	if now == last || s.finished.Load() {
		return last
	}
	switch now {
	case webrtc.PeerConnectionStateConnected:
		s.up.Store(true)
		s.post(PathUp{})
	case webrtc.PeerConnectionStateDisconnected:
		s.post(PathLost{})
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		s.finished.Store(true)
		s.post(PathClosed{s.whyClosed(now)})
	default: // still on its way
	}
	return now
}

// pathState joins the states of ICE and DTLS as WebRTC does. pion does so in two
// goroutines, one for each of the two, and the one that comes last may have looked
// first: its ConnectionState can stay at "connecting" on a path that is up. So its
// reports are taken as hints only, and the two states are read.
func pathState(ice webrtc.ICEConnectionState, dtls webrtc.DTLSTransportState) webrtc.PeerConnectionState {
	switch {
	case ice == webrtc.ICEConnectionStateFailed || dtls == webrtc.DTLSTransportStateFailed:
		return webrtc.PeerConnectionStateFailed
	case ice == webrtc.ICEConnectionStateClosed || dtls == webrtc.DTLSTransportStateClosed:
		return webrtc.PeerConnectionStateClosed
	case ice == webrtc.ICEConnectionStateDisconnected:
		return webrtc.PeerConnectionStateDisconnected
	case dtls == webrtc.DTLSTransportStateConnected &&
		(ice == webrtc.ICEConnectionStateConnected || ice == webrtc.ICEConnectionStateCompleted):
		return webrtc.PeerConnectionStateConnected
	default:
		return webrtc.PeerConnectionStateConnecting
	}
}

func (s *Session) whyClosed(state webrtc.PeerConnectionState) error {
	if err := s.checkCertificate(); err != nil {
		return err
	}
	if state == webrtc.PeerConnectionStateClosed {
		return ErrRemoteClosed
	}
	return ErrPathFailed
}
