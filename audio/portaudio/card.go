//go:build cgo && !race

package portaudio

import (
	"errors"
	"fmt"
	"time"

	pa "github.com/gordonklaus/portaudio"

	"github.com/peerd/peerd/audio"
)

// latency is asked of the card; it may take more.
const latency = 20 * time.Millisecond

// card is a half that PortAudio drives.
type card struct{ *pa.Stream }

// openCard is the opener of real cards. PortAudio calls moved on a thread of its
// own, through this library's reflection.
func openCard(d Info, s side, moved func([]int16)) (half, error) {
	p := pa.StreamParameters{SampleRate: audio.SampleRate, FramesPerBuffer: audio.PullSamples}
	want := pa.StreamDeviceParameters{Device: d.device, Channels: audio.Channels}
	if s.what == microphone().what {
		want.Latency = max(latency, d.device.DefaultLowInputLatency)
		p.Input = want
	} else {
		want.Latency = max(latency, d.device.DefaultLowOutputLatency)
		p.Output = want
	}
	stream, err := pa.OpenStream(p, moved)
	if err != nil {
		return nil, fmt.Errorf("PortAudio: %w", err)
	}
	if err := stream.Start(); err != nil {
		return nil, fmt.Errorf("PortAudio: %w", errors.Join(err, stream.Close()))
	}
	return card{stream}, nil
}

// Close stops the card at once and gives it back.
func (c card) Close() error {
	_ = c.Abort() // an error here is told by the next call
	if err := c.Stream.Close(); err != nil {
		return fmt.Errorf("PortAudio: %w", err)
	}
	return nil
}
