package demo

import (
	_ "embed" // the two voices
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/wavfile"
)

// The voices of the demonstration; speech/ORIGIN.md tells where they come from.
var (
	//go:embed speech/alice.wav
	aliceSpeech []byte
	//go:embed speech/bob.wav
	bobSpeech []byte
)

// maxSpeech bounds what a leg may speak.
const maxSpeech = 10 * time.Minute

// speech is what somebody says.
type speech struct {
	file string
	pcm  []int16 // 48 kHz mono
}

func (s speech) duration() time.Duration {
	return time.Duration(len(s.pcm)) * time.Second / audio.SampleRate
}

// ownSpeech puts an embedded voice beside the recordings.
func ownSpeech(out, name string, wav []byte) (speech, error) {
	path := filepath.Join(out, name)
	if err := os.WriteFile(path, wav, 0o644); err != nil {
		return speech{}, err
	}
	return loadSpeech(path)
}

// loadSpeech reads a WAV file of any rate.
func loadSpeech(path string) (speech, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return speech{}, err
	}
	limit := int(maxSpeech.Seconds()) * audio.SampleRate
	pcm, err := wavfile.Load(path, limit)
	if err != nil {
		return speech{}, fmt.Errorf("read speech: %w", err)
	}
	switch len(pcm) {
	case 0:
		return speech{}, fmt.Errorf("read speech: %s has no sound", path)
	case limit:
		return speech{}, fmt.Errorf("read speech: %s is longer than %v", path, maxSpeech)
	}
	return speech{file: path, pcm: pcm}, nil
}
