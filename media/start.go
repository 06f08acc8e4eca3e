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
// call and closed by Close; with Echo it is nil. After an error of the device
// Start may be called again with another one.
func (s *Session) Start(dev audio.Device) error {
	s.life.Lock()
	defer s.life.Unlock()
	if err := s.mayStart(); err != nil {
		return fmt.Errorf("starting the sound: %w", err)
	}
	s.setStarted(time.Now())
	s.repair.begin(time.Now(), s.Path().RTT)
	if s.cfg.Echo {
		s.echoing.Store(true)
		return nil
	}
	if err := s.openSound(dev); err != nil {
		s.buffer.Store(nil)
		s.closeCodecs()
		s.setStarted(time.Time{}) // another device may do
		return fmt.Errorf("starting the sound: %w", err)
	}
	return nil
}

func (s *Session) mayStart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return ErrClosed
	case !s.started.IsZero():
		return fmt.Errorf("%w: already started", ErrState)
	}
	return nil
}

// openSound makes the codecs, opens the device and begins to send.
func (s *Session) openSound(dev audio.Device) error {
	if err := s.openCodecs(); err != nil {
		return err
	}
	s.buffer.Store(playout.New(s.decoder))
	stream, err := dev.Open(loudspeaker{s})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.stream = stream
	s.mu.Unlock()
	s.spawn(func() { s.send(stream) })
	return nil
}

func (s *Session) setStarted(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = at
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
