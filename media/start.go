package media

import (
	"fmt"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/media/playout"
)

// Start lets sound flow: RTP begins to leave and what arrives begins to be
// played. It is the only place where that happens; both ends call it when the
// call is accepted, whether or not the path is up yet. dev is opened for this
// call and closed by Close; with Echo it is nil.
func (s *Session) Start(dev audio.Device) error {
	if err := s.claimStart(); err != nil {
		return fmt.Errorf("starting the sound: %w", err)
	}
	if s.cfg.Echo {
		s.echoing.Store(true)
		return nil
	}
	if err := s.openCodecs(); err != nil {
		return fmt.Errorf("starting the sound: %w", err)
	}
	s.buffer.Store(playout.New(s.decoder))
	stream, err := dev.Open(loudspeaker{s})
	if err != nil {
		s.buffer.Store(nil)
		return fmt.Errorf("starting the sound: %w", err)
	}
	return s.adopt(stream)
}

func (s *Session) claimStart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return ErrClosed
	case !s.started.IsZero():
		return fmt.Errorf("%w: already started", ErrState)
	}
	s.started = time.Now()
	return nil
}

// adopt hands the open device to the session, unless that was closed
// meanwhile.
func (s *Session) adopt(stream audio.Stream) error {
	s.mu.Lock()
	closing := s.closing
	if !closing {
		s.stream = stream
		s.wg.Go(func() { s.send(stream) })
	}
	s.mu.Unlock()
	if closing {
		_ = stream.Close()
		return ErrClosed
	}
	return nil
}

func (s *Session) startTime() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

func (s *Session) isStarted() bool { return !s.startTime().IsZero() }

// Mute sends silence instead of the microphone: certain silence, encoded from
// zeros.
func (s *Session) Mute(on bool) { s.muted.Store(on) }

// Hold stops sending and playing; with Hold(false) both go on.
func (s *Session) Hold(on bool) {
	if s.held.Swap(on) == on || on {
		return
	}
	if b := s.buffer.Load(); b != nil {
		b.Reset()
	}
}
