package wavfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/peerd/peerd/audio"
)

// Bounds of what is read. They keep a file from elsewhere from costing more
// than it may.
const (
	maxFile  = 1 << 30 // bytes
	maxOther = 4 << 20 // bytes of chunks that are not sound, before the sound
	minRate  = 4000    // Hz
	maxRate  = 384000  // Hz
)

// Format tags of the fmt chunk (RIFF "WAVE" registry, RFC 2361).
const (
	formatPCM        = 0x0001
	formatExtensible = 0xFFFE // the real tag opens the sub-format GUID
)

// ErrFormat is wrapped by every error about a file that is not 16-bit PCM WAV.
var ErrFormat = errors.New("not a 16-bit PCM WAV file, mono or stereo")

// Info is what the header of a WAV file says.
type Info struct {
	Rate     int // samples per second and channel
	Channels int // 1 or 2
}

// Reader turns a WAV file into peerd's format: 48 kHz mono.
type Reader struct {
	Info
	pcm  io.Reader // the data chunk
	raw  []byte    // scratch: frames as stored
	rate *resampler
	err  error // what ended the file
}

// NewReader reads the header of a WAV file up to its first sample. Errors wrap
// ErrFormat.
func NewReader(r io.Reader) (*Reader, error) { return newReader(r, nil) }

// newReader is NewReader with a filter that may already be there.
func newReader(r io.Reader, k *kernel) (*Reader, error) {
	br := bufio.NewReaderSize(io.LimitReader(r, maxFile), 16<<10)
	info, size, err := readHeader(br)
	if err != nil {
		return nil, err
	}
	w := &Reader{Info: info, pcm: io.LimitReader(br, size), raw: make([]byte, 2048*info.Channels)}
	if k == nil || k.rate != int64(info.Rate) {
		k = newKernel(info.Rate)
	}
	w.rate = newResampler(k, w.frames)
	return w, nil
}

// Read fills pcm with the next samples at 48 kHz and returns how many there
// were; fewer than len(pcm) come with the reason, io.EOF at the end.
func (w *Reader) Read(pcm []int16) (int, error) {
	n := w.rate.read(pcm)
	if n == len(pcm) {
		return n, nil
	}
	if w.err == nil || errors.Is(w.err, io.ErrUnexpectedEOF) {
		return n, io.EOF // a file cut short ends where it ends
	}
	return n, w.err
}

// frames fills mono with the next samples at the file's own rate, mixing two
// channels into one; fewer than asked for only at the end.
func (w *Reader) frames(mono []float32) int {
	size := 2 * w.Channels
	done := 0
	for done < len(mono) && w.err == nil {
		var n int
		n, w.err = io.ReadFull(w.pcm, w.raw[:min(len(w.raw), size*(len(mono)-done))])
		for raw := w.raw[:n]; len(raw) >= size; raw = raw[size:] {
			mono[done] = mix(raw[:size])
			done++
		}
	}
	return done
}

// mix returns the mean of the channels of one frame.
func mix(frame []byte) float32 {
	left := int16(binary.LittleEndian.Uint16(frame))
	if len(frame) == 2 {
		return float32(left)
	}
	right := int16(binary.LittleEndian.Uint16(frame[2:]))
	return (float32(left) + float32(right)) / 2
}

// readHeader reads chunk after chunk until the sound begins.
func readHeader(r io.Reader) (info Info, size int64, err error) {
	var riff [12]byte
	if _, err := io.ReadFull(r, riff[:]); err != nil || string(riff[:4]) != "RIFF" || string(riff[8:]) != "WAVE" {
		return info, 0, fmt.Errorf("%w: it does not begin with RIFF and WAVE", ErrFormat)
	}
	for budget := int64(maxOther); ; {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return info, 0, fmt.Errorf("%w: it has no sound in it", ErrFormat)
		}
		size := int64(binary.LittleEndian.Uint32(head[4:]))
		if string(head[:4]) == "data" {
			return info, dataSize(size), checkInfo(info)
		}
		size += size & 1 // chunks are padded to even lengths
		if budget -= size + 8; budget < 0 {
			return info, 0, fmt.Errorf("%w: no sound in its first %d MiB", ErrFormat, maxOther>>20)
		}
		if err := readChunk(r, string(head[:4]), size, &info); err != nil {
			return info, 0, err
		}
	}
}

// dataSize returns the bytes of the data chunk. Recorders that are cut off, or
// that write into a pipe, leave 0 or all ones there: then the file's end holds.
func dataSize(size int64) int64 {
	if size == 0 || size == math.MaxUint32 {
		return maxFile
	}
	return size
}

// readChunk reads the chunk "fmt " and skips every other one.
func readChunk(r io.Reader, name string, size int64, info *Info) error {
	body := io.LimitReader(r, size)
	if name == "fmt " {
		var f [40]byte
		n, err := io.ReadFull(body, f[:min(size, int64(len(f)))])
		if err != nil || n < 16 {
			return fmt.Errorf("%w: its format chunk is cut short", ErrFormat)
		}
		if err := readFormat(f[:n], info); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return fmt.Errorf("read WAV header: %w", err)
	}
	return nil
}

func readFormat(f []byte, info *Info) error {
	tag, bits := binary.LittleEndian.Uint16(f), binary.LittleEndian.Uint16(f[14:])
	if tag == formatExtensible && len(f) >= 26 {
		tag = binary.LittleEndian.Uint16(f[24:])
	}
	if tag != formatPCM || bits != 16 {
		return fmt.Errorf("%w: format %d with %d bits", ErrFormat, tag, bits)
	}
	info.Channels = int(binary.LittleEndian.Uint16(f[2:]))
	info.Rate = int(min(binary.LittleEndian.Uint32(f[4:]), math.MaxInt32))
	return nil
}

func checkInfo(info Info) error {
	switch {
	case info.Rate == 0:
		return fmt.Errorf("%w: its format is not told before its sound", ErrFormat)
	case info.Channels < 1 || info.Channels > 2:
		return fmt.Errorf("%w: it has %d channels", ErrFormat, info.Channels)
	case info.Rate < minRate || info.Rate > maxRate:
		return fmt.Errorf("%w: %d samples per second (%d to %d are read)", ErrFormat, info.Rate, minRate, maxRate)
	}
	return nil
}

// File is a Reader on an open file.
type File struct {
	*Reader
	file *os.File
}

// OpenFile opens the WAV file path for reading. Files above 1 GiB and files
// that are not 16-bit PCM are refused.
func OpenFile(path string) (*File, error) { return openFile(path, nil) }

func openFile(path string, k *kernel) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := newFileReader(f, k)
	if err != nil {
		_ = f.Close() // it was only read
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &File{Reader: r, file: f}, nil
}

func newFileReader(f *os.File, k *kernel) (*Reader, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is not a regular file", ErrFormat)
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("%w: it has %d bytes, more than 1 GiB", ErrFormat, st.Size())
	}
	return newReader(f, k)
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

// Load reads a whole WAV file as 48 kHz mono, at most limit samples of it.
func Load(path string, limit int) ([]int16, error) {
	f, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pcm, err := f.all(limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return pcm, nil
}

// all reads on until the end, or until it has limit samples.
func (w *Reader) all(limit int) ([]int16, error) {
	var pcm []int16
	buf := make([]int16, audio.SampleRate/10)
	for len(pcm) < limit {
		n, err := w.Read(buf[:min(len(buf), limit-len(pcm))])
		pcm = append(pcm, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return pcm, nil
}
