//go:build cgo && race

package portaudio

import "errors"

var errRace = errors.New("this is a build with the race detector, in which the PortAudio library ends the process: " +
	"build without -race, or use --audio file:IN.wav, tone or null")

// openCard opens no card: see docs/decisions/0002-portaudio-binding.md.
func openCard(Info, side, func([]int16)) (half, error) { return nil, errRace }
