//go:build cgo

package portaudio

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerd/peerd/audio"
)

const (
	keepSamples  = audio.SampleRate / 5  // captured sound kept for a late reader: 200 ms
	playSamples  = audio.SampleRate / 5  // played sound kept for a card that takes none: 200 ms
	earlySamples = 2 * audio.PullSamples // the same until its first callback
	poll         = time.Millisecond      // between two looks for a burst of captured sound
	silenceMax   = 3 * time.Second       // without a callback the card is given up
)

// errStopped is what a Read finds when the card was unplugged.
var errStopped = fmt.Errorf("%w: the microphone has stopped", audio.ErrNoDevice)

// half is one direction of a card at work: it calls back, on a thread of its
// own, until Close returns.
type half interface{ Close() error }

// opener opens and starts the half of d that s means; it calls moved with each
// block of captured sound, or to have each block of played sound filled.
type opener func(d Info, s side, moved func([]int16)) (half, error)

// Device is a microphone and a loudspeaker. It serves one call at a time.
type Device struct {
	system  *System
	name    string
	in, out Info
	busy    atomic.Bool
}

// Name implements audio.Device.
func (d *Device) Name() string { return d.name }

// Open implements audio.Device.
func (d *Device) Open(play audio.Player) (audio.Stream, error) {
	if !d.busy.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("%s: %w", d.name, audio.ErrBusy)
	}
	s, err := d.open(play)
	if err != nil {
		d.busy.Store(false)
		return nil, fmt.Errorf("open %s: %w", d.name, err)
	}
	return s, nil
}

// open starts the two halves, each as a stream of its own: they may belong to
// different cards.
func (d *Device) open(play audio.Player) (*stream, error) {
	library.Lock()
	defer library.Unlock()
	if d.system.closed {
		return nil, errClosed
	}
	s := &stream{
		dev: d, player: play, captured: &ring{}, playing: newPlayback(),
		closing: make(chan struct{}), fed: make(chan struct{}),
	}
	var err error
	if s.mic, err = d.system.open(d.in, microphone(), s.captured.capture); err != nil {
		return nil, fmt.Errorf("microphone %q: %w", d.in.Name, err)
	}
	if s.speaker, err = d.system.open(d.out, loudspeaker(), s.playing.play); err != nil {
		return nil, errors.Join(fmt.Errorf("loudspeaker %q: %w", d.out.Name, err), s.mic.Close())
	}
	go s.feed()
	return s, nil
}

// stream is an open Device.
type stream struct {
	dev      *Device
	player   audio.Player
	mic      half
	speaker  half
	captured *ring
	playing  *playback

	reading sync.Mutex // held by Read, the one reader of captured
	closing chan struct{}
	fed     chan struct{} // closed when the feeder has ended
	once    sync.Once
	err     error
}

// feed pulls from the player into the loudspeaker's ring.
func (s *stream) feed() {
	defer close(s.fed)
	block := make([]int16, audio.PullSamples)
	room := earlySamples
	for p := newPace(time.Now()); s.waitUntil(p.next); {
		s.player.Pull(block)
		if s.playing.fill() < room {
			s.playing.write(block)
		}
		low, lacked := s.playing.takeLow(), s.playing.takeLacked()
		if low != untouched {
			room = playSamples
		}
		p.pulled(time.Now(), low, lacked)
	}
}

// waitUntil waits for t; it returns false when the stream is closed.
func (s *stream) waitUntil(t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-s.closing:
		return false
	case <-timer.C:
		return true
	}
}

// Read implements audio.Stream. It wraps audio.ErrNoDevice when the card gives
// nothing for three seconds, as one that was unplugged does.
func (s *stream) Read(pcm []int16) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	giveUp := time.Now().Add(silenceMax)
	for {
		select {
		case <-s.closing:
			return io.EOF
		default:
		}
		missing := len(pcm) - s.captured.fill()
		if missing <= 0 {
			break
		}
		if time.Now().After(giveUp) {
			return errStopped
		}
		s.waitUntil(time.Now().Add(max(poll, samples(missing))))
	}
	if late := s.captured.fill() - max(keepSamples, len(pcm)); late > 0 {
		s.captured.skip(late)
	}
	s.captured.read(pcm)
	return nil
}

// Underruns implements audio.Stream: times that the card found too little to
// play. The first few are the ring learning how large the card's bursts are.
func (s *stream) Underruns() uint64 { return s.playing.underruns.Load() }

// Close implements audio.Stream.
func (s *stream) Close() error {
	s.once.Do(func() {
		close(s.closing)
		<-s.fed
		s.reading.Lock() // a Read under way ends first
		defer s.reading.Unlock()
		library.Lock()
		defer library.Unlock()
		s.err = errors.Join(s.mic.Close(), s.speaker.Close())
		s.dev.busy.Store(false)
	})
	return s.err
}
