//go:build cgo

package opus

/*
#include <opus.h>
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/peerd/peerd/audio"
)

// concealStep is the multiple of samples that libopus can conceal, 2.5 ms.
const concealStep = audio.SampleRate / 400

// Decoder is one libopus decoder with its concealment and forward error
// correction. It belongs to one goroutine.
type Decoder struct{ c *C.OpusDecoder }

// NewDecoder makes a decoder; the caller closes it.
func NewDecoder() (*Decoder, error) {
	var code C.int
	c := C.opus_decoder_create(audio.SampleRate, audio.Channels, &code)
	if code != C.OPUS_OK {
		return nil, failure("opening an Opus decoder", code)
	}
	return &Decoder{c}, nil
}

// Decode implements audio.Decoder. Packets of two bytes or fewer continue the
// background noise (DTX).
func (d *Decoder) Decode(packet []byte, pcm []int16) (int, error) {
	if d.c == nil {
		return 0, ErrClosed
	}
	if len(packet) == 0 || len(pcm) == 0 {
		return 0, fmt.Errorf("decoding %d bytes into %d samples: %w", len(packet), len(pcm), audio.ErrBadPacket)
	}
	n := d.decode(packet, pcm, 0)
	if n < 0 {
		return 0, fmt.Errorf("decoding: %w: %s", audio.ErrBadPacket, C.GoString(C.opus_strerror(n)))
	}
	return int(n), nil
}

func (d *Decoder) decode(packet []byte, pcm []int16, fec C.int) C.int {
	return C.opus_decode(d.c, (*C.uchar)(unsafe.Pointer(unsafe.SliceData(packet))), C.opus_int32(len(packet)),
		(*C.opus_int16)(unsafe.Pointer(&pcm[0])), C.int(len(pcm)), fec)
}

// Recover implements audio.Decoder.
func (d *Decoder) Recover(next []byte, pcm []int16) bool {
	if d.c == nil || len(pcm) == 0 || len(pcm)%concealStep != 0 || !carriesFEC(next) {
		return false
	}
	return d.decode(next, pcm, 1) == C.int(len(pcm))
}

// Conceal implements audio.Decoder.
func (d *Decoder) Conceal(pcm []int16) {
	n := 0
	if whole := len(pcm) / concealStep * concealStep; d.c != nil && whole > 0 {
		n = int(max(0, d.decode(nil, pcm[:whole], 0)))
	}
	clear(pcm[n:])
}

// Close frees the decoder. A second Close does nothing.
func (d *Decoder) Close() error {
	if d.c != nil {
		C.opus_decoder_destroy(d.c)
		d.c = nil
	}
	return nil
}

// carriesFEC tells whether a packet holds a copy of the frame before it: bit
// LBRR of the first SILK frame (RFC 6716 sections 3.1, 4.2.4). Only packets of
// one frame of 20 ms or less are looked at, which is what peers send.
func carriesFEC(packet []byte) bool {
	if len(packet) < 3 {
		return false
	}
	config, code := packet[0]>>3, packet[0]&3
	if config >= 16 || code != 0 { // CELT has none
		return false
	}
	if config < 12 && config&3 > 1 { // 40 and 60 ms: several frames before the bit
		return false
	}
	if packet[0]&4 != 0 { // stereo
		return false
	}
	return packet[1]&0x40 != 0 // VAD bit, then LBRR bit
}
