//go:build cgo

package portaudio

// #cgo pkg-config: portaudio-2.0
// #include "card.h"
import "C"

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/peerd/peerd/audio"
)

// paError turns PortAudio's result into an error; nil if it went well.
func paError(code C.int) error {
	if code == C.paNoError {
		return nil
	}
	if code == C.paUnanticipatedHostError {
		if info := C.Pa_GetLastHostErrorInfo(); info != nil {
			return fmt.Errorf("PortAudio: %s", C.GoString(info.errorText))
		}
	}
	return fmt.Errorf("PortAudio: %s", C.GoString(C.Pa_GetErrorText(code)))
}

func initialize() error { return paError(C.Pa_Initialize()) }
func terminate() error  { return paError(C.Pa_Terminate()) }

// devices lists what PortAudio found when it was initialised.
func devices() ([]Info, error) {
	n := C.Pa_GetDeviceCount()
	if n < 0 {
		return nil, paError(n)
	}
	in, out := C.Pa_GetDefaultInputDevice(), C.Pa_GetDefaultOutputDevice()
	list := make([]Info, 0, int(n))
	for i := C.int(0); i < n; i++ {
		d := C.Pa_GetDeviceInfo(i)
		list = append(list, Info{
			Index: int(i), Name: C.GoString(d.name), API: C.GoString(C.Pa_GetHostApiInfo(d.hostApi).name),
			Inputs: int(d.maxInputChannels), Outputs: int(d.maxOutputChannels),
			DefaultInput: i == in, DefaultOutput: i == out,
			inputLatency: seconds(d.defaultLowInputLatency), outputLatency: seconds(d.defaultLowOutputLatency),
		})
	}
	return list, nil
}

func seconds(s C.PaTime) time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// half is one direction of a card; see card.h.
type half struct{ c *C.half }

func newHalf() (half, error) {
	h := half{C.half_new()}
	if h.c == nil {
		return h, errors.New("out of memory")
	}
	return h, nil
}

// open starts the card; want is the latency asked for.
func (h half) open(device int, input bool, want time.Duration) error {
	direction := C.int(0)
	if input {
		direction = 1
	}
	return paError(C.half_open(h.c, C.int(device), direction, audio.SampleRate, audio.PullSamples, C.double(want.Seconds())))
}

// close stops the card and frees h.
func (h half) close() error { return paError(C.half_close(h.c)) }

// fill returns how many samples the ring holds.
func (h half) fill() int { return int(C.ring_fill(&h.c.ring)) }

// write appends pcm and returns how much of it found room.
func (h half) write(pcm []int16) int {
	return int(C.ring_write(&h.c.ring, pointer(pcm), C.uint32_t(len(pcm))))
}

// read takes at most len(pcm) samples out and returns how many.
func (h half) read(pcm []int16) int {
	return int(C.ring_read(&h.c.ring, pointer(pcm), C.uint32_t(len(pcm))))
}

// skip drops the oldest n samples, which must be there.
func (h half) skip(n int) { C.ring_skip(&h.c.ring, C.uint32_t(n)) }

// play does what the loudspeaker's callback does.
func (h half) play(out []int16) { C.half_play(h.c, pointer(out), C.uint32_t(len(out))) }

// takeLow returns the least that a loudspeaker left in the ring since it was
// last asked, negative by what it lacked; ok is false if it took nothing.
func (h half) takeLow() (low int, ok bool) {
	v := C.half_take_low(h.c)
	return int(v), v != C.NO_CALLBACK
}

// shortages counts the callbacks that found too little to play.
func (h half) shortages() uint64 { return uint64(C.half_shortages(h.c)) }

func pointer(pcm []int16) *C.int16_t {
	return (*C.int16_t)(unsafe.Pointer(unsafe.SliceData(pcm)))
}
