package demo

import (
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/cmd/peerd/internal/chart"
)

// heardAs is speech as a call of 57 ms would bring it, and a noise it adds.
func heardAs(spoken []int16, noise int16) []int16 {
	const delay = 57 * audio.SampleRate / 1000
	heard := make([]int16, len(spoken)+audio.SampleRate/2)
	state := uint32(1)
	for i, v := range spoken {
		state = state*1664525 + 1013904223
		heard[i+delay] = v + int16(state>>16)%(noise+1)
	}
	return heard
}

// played is a report about a call that brought both voices.
func played(t *testing.T, noise int16) (Report, []drawnLeg) {
	t.Helper()
	voices, err := voices(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	ptr := func(v float64) *float64 { return &v }
	r := Report{
		Version: ReportVersion, OK: true, Path: "direct", TalkS: 11.5,
		LookupMS: ptr(4.2), RingMS: ptr(12.7), AnswerToAudioMS: ptr(61),
		Timeline: []Span{
			{"look-up", 0, 4.2},
			{"ringing", 4.2, 12.7},
			{"answer to sound, bob", 15, 69},
			{"answer to sound, alice", 17, 78},
		},
	}
	for i, name := range []string{"server-1", "server-2", "alice", "bob", "carol"} {
		n := Node{Name: name, Role: "phone", LoginMS: float64(180 + 60*i), Peers: 4}
		if i < 2 {
			n.Role = "server"
		}
		r.Nodes, r.LoginMS = append(r.Nodes, n), append(r.LoginMS, n.LoginMS)
	}
	var legs []drawnLeg
	for i, names := range [][2]string{{"alice", "bob"}, {"bob", "alice"}} {
		said := voices[i].pcm[:4*audio.SampleRate]
		l := drawnLeg{
			Leg:    Leg{From: names[0], To: names[1], SpokenStart: 1e9, HeardStart: 1e9 + 2e6},
			spoken: said, heard: heardAs(said, noise),
		}
		l.compare(l.spoken, l.heard)
		r.Legs, legs = append(r.Legs, l.Leg), append(legs, l)
	}
	return r, legs
}

func TestPictureIsDrawn(t *testing.T) {
	r, legs := played(t, 300)
	path := filepath.Join(t.TempDir(), "demo.png")
	if keep := os.Getenv("DEMO_PICTURE"); keep != "" {
		path = keep
	}
	if err := drawReport(path, r, legs); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() < 1200 || b.Dy() < 800 {
		t.Errorf("the picture is %v", b)
	}
	r0, g0, b0, _ := chart.Blue().RGBA()
	dark := 0
	for x := range img.Bounds().Dx() {
		for y := range img.Bounds().Dy() {
			if r, g, b, _ := img.At(x, y).RGBA(); r == r0 && g == g0 && b == b0 {
				dark++
			}
		}
	}
	if dark < 20000 {
		t.Errorf("only %d points have the colour of the spoken", dark)
	}
}
