//go:build cgo

package soundlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/opus"
	"github.com/peerd/peerd/audio/pureopus"
	"github.com/peerd/peerd/audio/wavfile"
	"github.com/peerd/peerd/media"
)

func encoder() (audio.Encoder, error) { return opus.NewEncoder() }
func decoder() (audio.Decoder, error) { return opus.NewDecoder() }

// ownSpeech is the demonstration's, spoken by a machine.
const ownSpeech = "../../../cmd/peerd/internal/demo/speech/alice.wav"

// TestSoundlab is the laboratory: every network (or those named by
// PEERD_SOUNDLAB_NETWORKS, with commas), PEERD_SOUNDLAB_SEEDS times (1), with the
// files PEERD_SOUNDLAB_SPEECH, into the directory PEERD_SOUNDLAB.
func TestSoundlab(t *testing.T) {
	dir := os.Getenv("PEERD_SOUNDLAB")
	if dir == "" {
		t.Skip("make soundlab runs this")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	seeds := 1
	if v := os.Getenv("PEERD_SOUNDLAB_SEEDS"); v != "" {
		if _, err := fmt.Sscan(v, &seeds); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range list("PEERD_SOUNDLAB_SPEECH", ownSpeech) {
		speech := load(t, file)
		voice := strings.TrimSuffix(filepath.Base(file), ".wav")
		fmt.Printf("\n%s, RTP payload and delays in ms:\n\n%s", voice, Head())
		if err := wavfile.Save(filepath.Join(dir, voice+".wav"), speech); err != nil {
			t.Fatal(err)
		}
		for _, p := range chosen(t) {
			for seed := range seeds {
				c := Call{Profile: p, Speech: speech, Warm: 6 * time.Second, Seed: uint64(seed + 1), Encoder: encoder, Decoder: decoder}
				if os.Getenv("PEERD_SOUNDLAB_PURE") != "" {
					c.Listener = func(s *media.SessionConfig) {
						s.Decoder = func() (audio.Decoder, error) { return pureopus.NewDecoder() }
					}
				}
				r := c.Run(t)
				fmt.Print(r.Row())
				if err := save(&r, dir, fmt.Sprintf("%s-%s-%d", voice, p.Name, seed+1)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func save(r *Result, dir, name string) error {
	return errors.Join(wavfile.Save(filepath.Join(dir, name+".wav"), r.Heard),
		r.saveCSV(dir, name+".csv"), r.savePNG(filepath.Join(dir, name+".png")))
}

func load(t testing.TB, file string) []int16 {
	t.Helper()
	pcm, err := wavfile.Load(file, 60*audio.SampleRate)
	if err != nil {
		t.Fatal(err)
	}
	return pcm
}

func list(variable, otherwise string) []string {
	v := os.Getenv(variable)
	if v == "" {
		v = otherwise
	}
	return strings.Split(v, ",")
}

func chosen(t testing.TB) (out []Profile) {
	t.Helper()
	names := os.Getenv("PEERD_SOUNDLAB_NETWORKS")
	for _, p := range Profiles() {
		if names == "" || strings.Contains(","+names+",", ","+p.Name+",") {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no network of %q is known", names)
	}
	return out
}
