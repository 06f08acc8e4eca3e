//go:build cgo

package portaudio

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	pa "github.com/gordonklaus/portaudio"

	"github.com/peerd/peerd/audio"
)

const (
	latency     = 20 * time.Millisecond  // asked of the card; it may take more
	ringSamples = audio.SampleRate / 2   // room in each ring: 500 ms
	keepSamples = audio.SampleRate / 5   // captured sound kept for a late reader: 200 ms
	settle      = time.Second            // in which the ring learns the card's bursts
	review      = 500 * time.Millisecond // between two looks at whether the ring is too full
	silenceMax  = 3 * time.Second        // without a callback the card is given up
)

// errStopped is what a Read finds when the card was unplugged.
var errStopped = fmt.Errorf("%w: the microphone has stopped", audio.ErrNoDevice)

// Device is a microphone and a loudspeaker. It serves one call at a time.
type Device struct {
	system  *System
	name    string
	in, out *pa.DeviceInfo
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
		return nil, errors.New("PortAudio is closed")
	}
	s := &stream{
		dev: d, player: play, started: time.Now(),
		captured: newRing(keepSamples), playing: newRing(ringSamples),
		closing: make(chan struct{}), fed: make(chan struct{}),
	}
	in := pa.StreamParameters{Input: half(d.in, d.in.DefaultLowInputLatency)}
	out := pa.StreamParameters{Output: half(d.out, d.out.DefaultLowOutputLatency)}
	if err := s.start(in, s.capture); err != nil {
		return nil, fmt.Errorf("microphone %q: %w", d.in.Name, err)
	}
	if err := s.start(out, s.playback); err != nil {
		return nil, errors.Join(fmt.Errorf("loudspeaker %q: %w", d.out.Name, err), s.stop())
	}
	go s.feed()
	return s, nil
}

func half(d *pa.DeviceInfo, low time.Duration) pa.StreamDeviceParameters {
	return pa.StreamDeviceParameters{Device: d, Channels: audio.Channels, Latency: max(low, latency)}
}

// stream is an open Device.
type stream struct {
	dev       *Device
	player    audio.Player
	started   time.Time
	halves    []*pa.Stream
	captured  *ring
	playing   *ring
	underruns atomic.Uint64

	closing chan struct{}
	fed     chan struct{} // closed when the feeder has ended
	once    sync.Once
	err     error
}

// start opens and starts one half; callback runs on the card's thread.
func (s *stream) start(p pa.StreamParameters, callback func([]int16)) error {
	p.SampleRate, p.FramesPerBuffer = audio.SampleRate, audio.PullSamples
	half, err := pa.OpenStream(p, callback)
	if err != nil {
		return err
	}
	if err := half.Start(); err != nil {
		return errors.Join(err, half.Close())
	}
	s.halves = append(s.halves, half)
	return nil
}

// capture is called by the microphone's thread.
func (s *stream) capture(in []int16) { s.captured.write(in) }

// playback is called by the loudspeaker's thread.
func (s *stream) playback(out []int16) {
	if s.playing.read(out) > 0 && time.Since(s.started) > settle {
		s.underruns.Add(1)
	}
}

// feed pulls every 10 ms, or a little more or less often as the card's clock
// demands. One pull too many or too few is all it ever corrects at once; the
// player stretches time over it.
func (s *stream) feed() {
	defer close(s.fed)
	block := make([]int16, audio.PullSamples)
	low := noReads
	next := time.Now()
	reviewed := next
	for s.waitUntil(next) {
		s.player.Pull(block)
		s.playing.write(block)
		low = min(low, s.playing.takeLow())
		switch {
		case low < 0: // it ran dry: pull again at once
			low = noReads
		case low != noReads && time.Since(reviewed) > review:
			if next = next.Add(audio.PullDuration); low > 2*audio.PullSamples {
				next = next.Add(audio.PullDuration) // never nearly empty: less will do
			}
			low, reviewed = noReads, time.Now()
		default:
			next = next.Add(audio.PullDuration)
		}
		if now := time.Now(); now.Sub(next) > review {
			next = now // the machine was asleep
		}
	}
}

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
// nothing for three seconds.
func (s *stream) Read(pcm []int16) error {
	patience := time.NewTimer(silenceMax)
	defer patience.Stop()
	for {
		select {
		case <-s.closing:
			return io.EOF
		default:
		}
		if s.captured.readAll(pcm) {
			return nil
		}
		select {
		case <-s.closing:
			return io.EOF
		case <-s.captured.wake:
		case <-patience.C:
			return errStopped
		}
	}
}

// Underruns implements audio.Stream: callbacks that found too little to play,
// from the second second on; the first is when the ring learns what it takes.
func (s *stream) Underruns() uint64 { return s.underruns.Load() }

// Close implements audio.Stream.
func (s *stream) Close() error {
	s.once.Do(func() {
		close(s.closing)
		<-s.fed
		s.dev.system.mu.Lock()
		defer s.dev.system.mu.Unlock()
		s.err = s.stop()
		s.dev.busy.Store(false)
	})
	return s.err
}

// stop ends the callbacks, at once, and gives the card back.
func (s *stream) stop() error {
	var err error
	for _, h := range s.halves {
		err = errors.Join(err, h.Abort(), h.Close())
	}
	return err
}
