//go:build cgo

package opus

/*
#cgo pkg-config: opus
#include <opus.h>

// opus_encoder_ctl is variadic in C, which cgo cannot call.
static int peerd_set(OpusEncoder *e, int request, opus_int32 value) {
	return opus_encoder_ctl(e, request, value);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/peerd/peerd/audio"
)

// Settings of every encoder. Application AUDIO leaves out the high-pass filter
// of VOIP, so that what is heard has the wave form of what was said; the signal
// type VOICE keeps the modes in which forward error correction works.
const (
	defaultBitrate = 24000 // bit/s
	complexity     = 7     // of 10: docs/decisions/0001-libopus-binding.md
	thrifty        = 5     // with 0.7 of that processor time
	// someLoss is the loss, in percent, that an encoder is made ready for where it is told
	// of none: what a decoder makes up for lost packets then dies out. With 0, a voice or an
	// instrument that goes on evenly can stay ten times too loud for seconds
	// (docs/decisions/0001-libopus-binding.md).
	someLoss = 20
)

// ErrClosed is returned by methods called after Close.
var ErrClosed = errors.New("codec is closed")

var (
	_ audio.Encoder = (*Encoder)(nil)
	_ audio.Decoder = (*Decoder)(nil)
)

// Version is the library's name and version.
func Version() string { return C.GoString(C.opus_get_version_string()) }

// Encoder is one libopus encoder. It belongs to one goroutine.
type Encoder struct{ c *C.OpusEncoder }

// NewEncoder makes an encoder at 24 kbit/s, variable rate, without in-band forward
// error correction until SetExpectedLoss asks for it. The caller closes it.
func NewEncoder() (*Encoder, error) {
	var code C.int
	c := C.opus_encoder_create(audio.SampleRate, audio.Channels, C.OPUS_APPLICATION_AUDIO, &code)
	if code != C.OPUS_OK {
		return nil, failure("opening an Opus encoder", code)
	}
	e := &Encoder{c}
	for _, s := range []struct{ request, value C.int }{
		{C.OPUS_SET_SIGNAL_REQUEST, C.OPUS_SIGNAL_VOICE},
		{C.OPUS_SET_BITRATE_REQUEST, defaultBitrate},
		{C.OPUS_SET_COMPLEXITY_REQUEST, complexity},
		{C.OPUS_SET_PACKET_LOSS_PERC_REQUEST, someLoss},
	} {
		if err := e.set(s.request, s.value); err != nil {
			_ = e.Close()
			return nil, err
		}
	}
	return e, nil
}

// Encode implements audio.Encoder.
func (e *Encoder) Encode(pcm []int16, out []byte) (int, error) {
	if e.c == nil {
		return 0, ErrClosed
	}
	if n := len(pcm) / audio.FrameSamples; len(pcm)%audio.FrameSamples != 0 || n < 1 || n > 3 || len(out) == 0 {
		return 0, fmt.Errorf("encoding %d samples into %d bytes: a packet has one to three frames of %d samples", len(pcm), len(out), audio.FrameSamples)
	}
	n := C.opus_encode(e.c, (*C.opus_int16)(unsafe.Pointer(&pcm[0])), C.int(len(pcm)),
		(*C.uchar)(unsafe.Pointer(&out[0])), C.opus_int32(len(out)))
	if n < 0 {
		return 0, failure("encoding", C.int(n))
	}
	return int(n), nil
}

// SetBitrate implements audio.Encoder; 6000 to 510000 bit/s.
func (e *Encoder) SetBitrate(bps int) error {
	return e.set(C.OPUS_SET_BITRATE_REQUEST, C.int(bps))
}

// SetExpectedLoss implements audio.Encoder. Without forward error correction the
// expected loss costs nothing that PESQ could tell.
func (e *Encoder) SetExpectedLoss(percent int) error {
	fec, loss := C.int(0), someLoss
	if percent > 0 {
		fec, loss = 1, min(percent, 100)
	}
	return errors.Join(e.set(C.OPUS_SET_INBAND_FEC_REQUEST, fec), e.set(C.OPUS_SET_PACKET_LOSS_PERC_REQUEST, C.int(loss)))
}

// SetEffort implements audio.Encoder.
func (e *Encoder) SetEffort(full bool) error {
	if full {
		return e.set(C.OPUS_SET_COMPLEXITY_REQUEST, complexity)
	}
	return e.set(C.OPUS_SET_COMPLEXITY_REQUEST, thrifty)
}

func (e *Encoder) set(request, value C.int) error {
	if e.c == nil {
		return ErrClosed
	}
	if code := C.peerd_set(e.c, request, C.opus_int32(value)); code != C.OPUS_OK {
		return failure(fmt.Sprintf("setting %d of the Opus encoder to %d", request, value), code)
	}
	return nil
}

// Close frees the encoder. A second Close does nothing.
func (e *Encoder) Close() error {
	if e.c != nil {
		C.opus_encoder_destroy(e.c)
		e.c = nil
	}
	return nil
}

func failure(doing string, code C.int) error {
	return fmt.Errorf("%s: %s", doing, C.GoString(C.opus_strerror(code)))
}
