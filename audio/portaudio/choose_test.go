//go:build cgo

package portaudio

import (
	"errors"
	"strings"
	"testing"

	"github.com/peerd/peerd/audio"
)

func TestSplitSpec(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string][2]string{
		"":                          {"", ""},
		"usb":                       {"usb", ""},
		"1, 2":                      {"1", "2"},
		",speaker":                  {"", "speaker"},
		"HDA (hw:0,0),USB (hw:1,0)": {"HDA (hw:0,0)", "USB (hw:1,0)"},
	} {
		if in, out := splitSpec(spec); in != want[0] || out != want[1] {
			t.Errorf("%q is %q and %q", spec, in, out)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := []Info{
		{Index: 0, Name: "HDMI (hw:0,3)", Outputs: 8},
		{Index: 1, Name: "USB headset (hw:1,0)", Inputs: 1, Outputs: 2},
		{Index: 2, Name: "USB camera", Inputs: 2},
		{Index: 3, Name: "default", Inputs: 32, Outputs: 32, DefaultInput: true},
	}
	for want, c := range map[string]struct {
		side side
		name string // "" is none
		says string
	}{
		"":             {side: microphone(), name: "default"},
		"usb h":        {side: microphone(), name: "USB headset (hw:1,0)"},
		"2":            {side: microphone(), name: "USB camera"},
		"usb":          {side: microphone(), says: `2 are called "usb" as microphone`},
		"hdmi":         {side: microphone(), says: "no microphone is called"},
		"USB camera":   {side: loudspeaker(), says: "no loudspeaker is called"},
		"usb headset ": {side: loudspeaker(), name: "USB headset (hw:1,0)"},
	} {
		got, err := choose(all, want, c.side)
		switch {
		case c.name != "" && (err != nil || got.Name != c.name):
			t.Errorf("%q is %q, %v", want, got.Name, err)
		case c.name == "" && (!errors.Is(err, audio.ErrNoDevice) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%q: %v", want, err)
		}
	}
	if _, err := choose(all, "", loudspeaker()); !errors.Is(err, audio.ErrNoDevice) || !strings.Contains(err.Error(), "has no loudspeaker") {
		t.Errorf("no default: %v", err)
	}
}
