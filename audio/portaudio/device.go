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
	latency     = 20 * time.Millisecond  // asked of the card; it may take more
	keepSamples = audio.SampleRate / 5   // captured sound kept for a late reader: 200 ms
	review      = 500 * time.Millisecond // between two looks at whether the ring is too full
	stalled     = audio.SampleRate / 5   // played sound kept for a card that takes none: 200 ms
	poll        = time.Millisecond       // between two looks for a burst of captured sound
	silenceMax  = 3 * time.Second        // without a callback the card is given up
)

// errStopped is what a Read finds when the card was unplugged.
var errStopped = fmt.Errorf("%w: the microphone has stopped", audio.ErrNoDevice)

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
	d.system.mu.Lock()
	defer d.system.mu.Unlock()
	if d.system.closed {
		return nil, errClosed
	}
	s := &stream{dev: d, player: play, closing: make(chan struct{}), fed: make(chan struct{})}
	var err error
	if s.mic, err = start(d.in.Index, true, d.in.inputLatency); err != nil {
		return nil, fmt.Errorf("microphone %q: %w", d.in.Name, err)
	}
	if s.speaker, err = start(d.out.Index, false, d.out.outputLatency); err != nil {
		return nil, errors.Join(fmt.Errorf("loudspeaker %q: %w", d.out.Name, err), s.mic.close())
	}
	go s.feed()
	return s, nil
}

// start opens and starts one half; low is the least latency it promises.
func start(device int, input bool, low time.Duration) (half, error) {
	h, err := newHalf()
	if err != nil {
		return h, err
	}
	if err := h.open(device, input, max(low, latency)); err != nil {
		return h, errors.Join(err, h.close())
	}
	return h, nil
}

// stream is an open Device.
type stream struct {
	dev       *Device
	player    audio.Player
	mic       half
	speaker   half
	underruns atomic.Uint64

	reading sync.Mutex // held by Read, the mic's one reader
	closing chan struct{}
	fed     chan struct{} // closed when the feeder has ended
	once    sync.Once
	err     error
}

// feed pulls every 10 ms, or a little more or less often as the card's clock
// demands. One pull too many or too few is all it ever corrects at once; the
// player stretches time over it.
func (s *stream) feed() {
	defer close(s.fed)
	block := make([]int16, audio.PullSamples)
	next := time.Now()
	reviewed, roomy := next, true
	for s.waitUntil(next) {
		s.player.Pull(block)
		if s.speaker.fill() < stalled {
			s.speaker.write(block)
		}
		s.underruns.Store(s.speaker.shortages())
		low, ok := s.speaker.takeLow()
		if ok && low < 0 {
			reviewed, roomy = time.Now(), true
			continue // it ran dry: pull again at once
		}
		roomy = roomy && (!ok || low > 2*audio.PullSamples)
		next = next.Add(audio.PullDuration)
		if time.Since(reviewed) > review {
			if roomy { // never nearly empty: less will do
				next = next.Add(audio.PullDuration)
			}
			reviewed, roomy = time.Now(), true
		}
		if now := time.Now(); now.Sub(next) > review {
			next = now // the machine was asleep
		}
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
		missing := len(pcm) - s.mic.fill()
		if missing <= 0 {
			break
		}
		if time.Now().After(giveUp) {
			return errStopped
		}
		s.waitUntil(time.Now().Add(max(poll, samples(missing))))
	}
	if late := s.mic.fill() - max(keepSamples, len(pcm)); late > 0 {
		s.mic.skip(late)
	}
	s.mic.read(pcm)
	return nil
}

// samples returns how long n samples last.
func samples(n int) time.Duration { return time.Duration(n) * time.Second / audio.SampleRate }

// Underruns implements audio.Stream: times that the card found too little to
// play. The first few are the ring learning how large the card's bursts are.
func (s *stream) Underruns() uint64 { return s.underruns.Load() }

// Close implements audio.Stream.
func (s *stream) Close() error {
	s.once.Do(func() {
		close(s.closing)
		<-s.fed
		s.reading.Lock() // a Read under way ends first
		defer s.reading.Unlock()
		s.dev.system.mu.Lock()
		defer s.dev.system.mu.Unlock()
		s.err = errors.Join(s.mic.close(), s.speaker.close())
		s.dev.busy.Store(false)
	})
	return s.err
}
