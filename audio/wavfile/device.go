// Package wavfile reads and writes WAV files and is the sound device
// "file:IN.wav[,OUT.wav]": a sound card whose microphone hears IN once and then
// silence, and whose loudspeaker is recorded in OUT.
//
// Sample 0 of IN and of OUT is the moment Open is called; from then on both
// run on the monotonic clock (package clockcard), whatever the process does.
// Beside OUT the device writes OUT.json, which tells when that moment was, so
// that delay can be measured from one machine's IN to another's OUT.
package wavfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/clockcard"
)

// StartVersion is the version of the file beside a recording.
const StartVersion = 1

// Start is the content of OUT.wav.json.
type Start struct {
	Version     int   `json:"version"`
	StartUnixNS int64 `json:"start_unix_ns"` // moment of sample 0 of IN and OUT
}

// Device plays one file and records another.
type Device struct {
	in, out string
	kernel  *kernel // for the rate of in, made before the first call

	mu   sync.Mutex
	open bool // only with out: it can record one call at a time
}

// New makes a device. in is heard by the microphone (silence if empty), out
// gets what the loudspeaker plays (nothing if empty); each call begins it anew.
// An in that is missing or no WAV file is an error now rather than in the call.
func New(in, out string) (*Device, error) {
	d := &Device{in: in, out: out}
	if in == "" {
		return d, nil
	}
	f, err := OpenFile(in)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", in, os.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	d.kernel = f.rate.kernel
	return d, f.Close()
}

// Name implements audio.Device.
func (d *Device) Name() string {
	if d.out == "" {
		return "file:" + d.in
	}
	return "file:" + d.in + "," + d.out
}

// Open implements audio.Device. A device that records serves one call at a
// time and answers audio.ErrBusy to others; one that does not serves any number.
func (d *Device) Open(play audio.Player) (audio.Stream, error) {
	start := time.Now()
	if err := d.take(); err != nil {
		return nil, err
	}
	s, err := d.plug(start)
	if err != nil {
		d.free()
		return nil, fmt.Errorf("open %s: %w", d.Name(), err)
	}
	return clockcard.Open(start, play, s.microphone(), s.loudspeaker(), s.unplug), nil
}

func (d *Device) take() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open {
		return fmt.Errorf("%s: %w", d.Name(), audio.ErrBusy)
	}
	d.open = d.out != ""
	return nil
}

func (d *Device) free() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = false
}

// files are the two ends of one call.
type files struct {
	dev *Device
	in  *File   // nil: silence
	out *Writer // nil: not recorded
}

// plug opens the files of a call.
func (d *Device) plug(start time.Time) (f *files, err error) {
	f = &files{dev: d}
	if d.in != "" {
		if f.in, err = openFile(d.in, d.kernel); err != nil {
			return nil, err
		}
	}
	if d.out != "" {
		if f.out, err = d.record(start); err != nil {
			return nil, errors.Join(err, f.closeIn())
		}
	}
	return f, nil
}

// record begins OUT and the file beside it.
func (d *Device) record(start time.Time) (*Writer, error) {
	w, err := Create(d.out)
	if err != nil {
		return nil, err
	}
	if err := WriteStart(d.out, start); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (f *files) microphone() clockcard.Microphone {
	if f.in == nil {
		return nil
	}
	return onceThenSilence{f.in.Reader}
}

func (f *files) loudspeaker() clockcard.Loudspeaker {
	if f.out == nil {
		return nil
	}
	return f.out
}

func (f *files) closeIn() error {
	if f.in == nil {
		return nil
	}
	return f.in.Close()
}

// unplug completes the files; the device is then free for the next call.
func (f *files) unplug() error {
	err := f.closeIn()
	if f.out != nil {
		err = errors.Join(err, f.out.Close())
	}
	f.dev.free()
	return err
}

// onceThenSilence is the microphone that hears a file.
type onceThenSilence struct{ r *Reader }

func (m onceThenSilence) Capture(pcm []int16) {
	n, _ := m.r.Read(pcm) // whatever ends the file, silence follows it
	clear(pcm[n:])
}

// WriteStart writes the file beside the recording wav that tells its start.
func WriteStart(wav string, start time.Time) error {
	data, err := json.Marshal(Start{Version: StartVersion, StartUnixNS: start.UnixNano()})
	if err != nil {
		return err
	}
	return os.WriteFile(wav+".json", append(data, '\n'), 0o644)
}

// ReadStart reads the file beside the recording wav.
func ReadStart(wav string) (Start, error) {
	data, err := os.ReadFile(wav + ".json")
	if err != nil {
		return Start{}, err
	}
	var s Start
	if err := json.Unmarshal(data, &s); err != nil {
		return Start{}, fmt.Errorf("%s.json: %w", wav, err)
	}
	if s.Version != StartVersion {
		return Start{}, fmt.Errorf("%s.json: version %d is not known, only %d", wav, s.Version, StartVersion)
	}
	return s, nil
}
