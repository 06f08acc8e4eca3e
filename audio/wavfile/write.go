package wavfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	"github.com/peerd/peerd/audio"
)

const (
	headerSize = 44                          // bytes before the first sample
	maxData    = math.MaxUint32 - headerSize // bytes of sound the header can tell
	flushAfter = audio.SampleRate / 2        // samples between two writes
	maxPending = audio.SampleRate * 10       // samples kept for a disk that stalls
)

// ErrFull is returned when a WAV file has reached 4 GiB, some twelve hours.
var ErrFull = errors.New("WAV file is full")

// Writer writes 48 kHz mono 16 bit into a WAV file. Play never waits for the
// disk: a goroutine writes twice a second and corrects the sizes in the header
// each time, so that the file of a killed process is a good WAV file that
// lacks its last half second.
type Writer struct {
	file *os.File
	wake chan struct{} // capacity 1: there is enough to write
	done chan struct{}

	mu      sync.Mutex
	pending []int16
	closed  bool
	lost    int // samples the disk was too slow for

	err  error // of the writing goroutine; read after done
	once sync.Once
}

// Create makes, or empties, the file path.
func Create(path string) (*Writer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	w := &Writer{
		file: f, wake: make(chan struct{}, 1), done: make(chan struct{}),
		pending: make([]int16, 0, 2*flushAfter),
	}
	go w.run()
	return w, nil
}

// Play appends pcm, which is only used during the call. It never waits.
func (w *Writer) Play(pcm []int16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	if len(w.pending) > maxPending {
		w.lost += len(pcm)
		return
	}
	w.pending = append(w.pending, pcm...)
	if len(w.pending) >= flushAfter {
		w.signal()
	}
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already
	}
}

// run writes what has come in until the writer is closed.
func (w *Writer) run() {
	defer close(w.done)
	size := int64(0)
	batch := make([]int16, 0, 2*flushAfter)
	raw := make([]byte, 0, 4*flushAfter)
	w.err = w.writeHeader(0)
	for last := false; !last && w.err == nil; {
		<-w.wake
		batch, last = w.take(batch)
		raw = encode(raw[:0], batch)
		if size+int64(len(raw)) > maxData {
			w.err = ErrFull
			return
		}
		if _, w.err = w.file.WriteAt(raw, headerSize+size); w.err != nil {
			return
		}
		size += int64(len(raw))
		w.err = w.writeHeader(size)
	}
}

// take hands out what is pending, in exchange for an empty buffer.
func (w *Writer) take(empty []int16) (batch []int16, last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch, w.pending = w.pending, empty[:0]
	return batch, w.closed
}

// writeHeader writes the 44 bytes before the sound, which has size bytes.
func (w *Writer) writeHeader(size int64) error {
	_, err := w.file.WriteAt(header(uint32(size)), 0)
	return err
}

func header(size uint32) []byte {
	const frame = audio.Channels * 2
	h := make([]byte, 0, headerSize)
	h = append(h, "RIFF"...)
	h = binary.LittleEndian.AppendUint32(h, headerSize-8+size)
	h = append(h, "WAVEfmt "...)
	h = binary.LittleEndian.AppendUint32(h, 16)
	h = binary.LittleEndian.AppendUint16(h, formatPCM)
	h = binary.LittleEndian.AppendUint16(h, audio.Channels)
	h = binary.LittleEndian.AppendUint32(h, audio.SampleRate)
	h = binary.LittleEndian.AppendUint32(h, audio.SampleRate*frame)
	h = binary.LittleEndian.AppendUint16(h, frame)
	h = binary.LittleEndian.AppendUint16(h, 16)
	h = append(h, "data"...)
	return binary.LittleEndian.AppendUint32(h, size)
}

func encode(raw []byte, pcm []int16) []byte {
	for _, v := range pcm {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(v))
	}
	return raw
}

// Close writes what is pending and closes the file, which is then complete. It
// tells the first thing that went wrong since Create.
func (w *Writer) Close() error {
	w.once.Do(func() {
		w.mu.Lock()
		w.closed = true
		w.signal()
		w.mu.Unlock()
		<-w.done
		w.err = errors.Join(w.err, w.file.Close())
		if w.lost > 0 {
			w.err = errors.Join(w.err, fmt.Errorf("disk too slow: %d samples are missing", w.lost))
		}
	})
	return w.err
}

// Save writes pcm, 48 kHz mono, as the WAV file path.
func Save(path string, pcm []int16) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f, pcm), f.Close())
}

func write(w io.Writer, pcm []int16) error {
	if 2*int64(len(pcm)) > maxData {
		return ErrFull
	}
	raw := make([]byte, 0, headerSize+2*len(pcm))
	raw = append(raw, header(uint32(2*len(pcm)))...)
	_, err := w.Write(encode(raw, pcm))
	return err
}
