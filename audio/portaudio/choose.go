//go:build cgo

package portaudio

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/peerd/peerd/audio"
)

// splitSpec cuts at the first comma outside of parentheses: ALSA's names have
// commas inside, as in "HDA Intel PCH: ALC257 Analog (hw:0,0)".
func splitSpec(spec string) (in, out string) {
	depth := 0
	for i, c := range spec {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth <= 0:
			return strings.TrimSpace(spec[:i]), strings.TrimSpace(spec[i+1:])
		}
	}
	return strings.TrimSpace(spec), ""
}

// side is one of the two halves of a sound device.
type side struct {
	what     string
	channels func(Info) int
	standard func(Info) bool
}

func microphone() side {
	return side{"microphone", func(d Info) int { return d.Inputs }, func(d Info) bool { return d.DefaultInput }}
}

func loudspeaker() side {
	return side{"loudspeaker", func(d Info) int { return d.Outputs }, func(d Info) bool { return d.DefaultOutput }}
}

const insteadHint = `connect one and start again, or choose another with --audio portaudio:IN,OUT ("peerd audio devices" lists them), ` +
	"or do without: --audio null"

// choose finds the device that want means for one side.
func choose(all []Info, want string, s side) (Info, error) {
	var found []Info
	for _, d := range all {
		switch {
		case s.channels(d) == 0:
		case want == "" && s.standard(d), want != "" && (d.Name == want || strconv.Itoa(d.Index) == want):
			return d, nil
		case want != "" && strings.Contains(strings.ToLower(d.Name), strings.ToLower(want)):
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Info{}, fmt.Errorf("%w: %d are called %q as %s, the first %q; give more of the name",
			audio.ErrNoDevice, len(found), want, s.what, found[0].Name)
	case want == "":
		return Info{}, fmt.Errorf("%w: this machine has no %s; %s", audio.ErrNoDevice, s.what, insteadHint)
	}
	return Info{}, fmt.Errorf("%w: no %s is called %q; %s", audio.ErrNoDevice, s.what, want, insteadHint)
}
