package phone

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerd/peerd/audio"
)

// soundcard shares the one sound device among calls. Each call has a handset.
// Where the device cannot serve two calls, the handset that takes it parks the
// one that had it: the other call goes on with silence, and its owner is told
// by the channel parked, to put it on hold.
type soundcard struct {
	dev audio.Device

	mu   sync.Mutex
	open []*handset // guarded by mu: those with an open stream
}

// handset is one call's sound device. It is picked up when the call is about to
// be accepted, so that a device that does not open is known of before, and is
// then given to media, for which it is an audio.Device and its Stream.
type handset struct {
	card   *soundcard
	parked chan struct{} // one token each time another handset took the device
	player atomic.Pointer[audio.Player]

	mu        sync.Mutex
	stream    audio.Stream  // guarded by mu, as all below; nil while parked
	changed   chan struct{} // closed and replaced when stream or closed changes
	closed    bool
	underruns uint64 // of streams closed before
}

func (s *soundcard) handset() *handset {
	return &handset{card: s, parked: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Name implements audio.Device.
func (h *handset) Name() string { return h.card.dev.Name() }

// Open implements audio.Device for a handset that was picked up.
func (h *handset) Open(play audio.Player) (audio.Stream, error) {
	h.player.Store(&play)
	return h, nil
}

// Pull implements audio.Player: silence until media has opened the handset.
func (h *handset) Pull(out []int16) {
	if play := h.player.Load(); play != nil {
		(*play).Pull(out)
		return
	}
	clear(out)
}

// pickUp opens the sound device for h; with take it parks those that have it,
// if it must. Errors wrap ErrSoundDevice.
func (s *soundcard) pickUp(h *handset, take bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.open, h) {
		return nil
	}
	stream, err := s.dev.Open(h)
	if errors.Is(err, audio.ErrBusy) && take {
		s.parkAllLocked()
		stream, err = s.dev.Open(h)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSoundDevice, s.dev.Name(), err)
	}
	s.open = append(s.open, h)
	h.attach(stream)
	return nil
}

func (s *soundcard) parkAllLocked() {
	for _, other := range s.open {
		_ = other.detach() // its stream is gone either way
		select {
		case other.parked <- struct{}{}:
		default: // its owner has a token already
		}
	}
	s.open = nil
}

func (s *soundcard) release(h *handset) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = slices.DeleteFunc(s.open, func(o *handset) bool { return o == h })
	return h.detach()
}

func (h *handset) attach(stream audio.Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stream = stream
	h.changeLocked()
}

func (h *handset) detach() error {
	h.mu.Lock()
	stream := h.stream
	h.stream = nil
	h.changeLocked()
	h.mu.Unlock()
	if stream == nil {
		return nil
	}
	err := stream.Close()
	h.mu.Lock()
	h.underruns += stream.Underruns()
	h.mu.Unlock()
	return err
}

func (h *handset) changeLocked() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// Read implements audio.Stream; a parked handset captures silence.
func (h *handset) Read(pcm []int16) error {
	for {
		h.mu.Lock()
		stream, changed, closed := h.stream, h.changed, h.closed
		h.mu.Unlock()
		if closed {
			return io.EOF
		}
		if stream == nil {
			if silence(pcm, changed) {
				return nil
			}
			continue
		}
		err := stream.Read(pcm)
		if !errors.Is(err, io.EOF) || !h.changedSince(stream) {
			return err
		}
	}
}

func (h *handset) changedSince(stream audio.Stream) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stream != stream
}

// silence fills pcm in as long as a microphone would take; false means that
// there is something else to do first.
func silence(pcm []int16, changed <-chan struct{}) bool {
	timer := time.NewTimer(time.Duration(len(pcm)) * time.Second / audio.SampleRate)
	defer timer.Stop()
	select {
	case <-timer.C:
		clear(pcm)
		return true
	case <-changed:
		return false
	}
}

// Underruns implements audio.Stream.
func (h *handset) Underruns() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stream == nil {
		return h.underruns
	}
	return h.underruns + h.stream.Underruns()
}

// Close implements audio.Stream.
func (h *handset) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.changeLocked()
	h.mu.Unlock()
	return h.card.release(h)
}
