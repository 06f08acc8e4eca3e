package media_test

import (
	"go/build"
	"strings"
	"testing"

	"github.com/pion/transport/v5"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/pureopus"
	"github.com/peerd/peerd/media/mediatest"
)

// TestStrangersNeverReachC: a session decodes with the decoder it is given and
// nothing else. This package and its playout know no codec at all, and a
// session with the pure decoder survives what a stranger may send.
func TestStrangersNeverReachC(t *testing.T) {
	for _, dir := range []string{".", "playout"} {
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range pkg.Imports {
			if strings.HasPrefix(path, "github.com/peerd/peerd/audio/") || path == "C" {
				t.Errorf("%s imports %s", dir, path)
			}
		}
	}
	var codec mediatest.Codec
	cfg := configs(&codec)
	made := 0
	cfg[1].Decoder = func() (audio.Decoder, error) { made++; return pureopus.NewDecoder() }
	p := mediatest.NewPair(t, [2]transport.Net{}, cfg)
	p.Connect(t)
	p.AwaitUp(t)
	for i, e := range p { // the test codec's packets are noise to an Opus decoder
		if err := e.Session.Start(&mediatest.Card{Mic: mediatest.Tone(float64(440 * (i + 1)))}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "noise to be refused or decoded", func() bool { return p[1].Session.Stats().PacketsReceived > 25 })
	if made != 1 {
		t.Errorf("the pure decoder was made %d times", made)
	}
}
