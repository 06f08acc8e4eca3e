package main

import (
	"fmt"
	"log/slog"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/null"
	"github.com/peerd/peerd/audio/pureopus"
	"github.com/peerd/peerd/audio/tone"
	"github.com/peerd/peerd/audio/wavfile"
	"github.com/peerd/peerd/cmd/peerd/internal/cli"
	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// sound gives cfg the codecs of this build and the device that --audio asks for.
func sound(want cli.Audio, cfg *phone.Config, log *slog.Logger) (err error) {
	setCodecs(cfg)
	cfg.StrangerDecoder = pureDecoder
	cfg.ListAudio = func() ([]phone.AudioDevice, error) {
		cards, listErr := listCards(log)
		return append(cards, withoutCard()...), listErr
	}
	switch want.Kind {
	case "null":
		cfg.Device = null.Device{}
	case "tone":
		cfg.Device = tone.Device{}
	case "file":
		cfg.Device, err = wavfile.New(want.In, want.Out)
	case "portaudio":
		err = setCard(want, cfg, log)
	default:
		err = fmt.Errorf("%w: --audio knows portaudio, file, tone and null, not %q", audio.ErrNoDevice, want.Kind)
	}
	return err
}

func pureDecoder() (audio.Decoder, error) { return pureopus.NewDecoder() }

// withoutCard lists the devices that every machine has.
func withoutCard() []phone.AudioDevice {
	return []phone.AudioDevice{
		{Spec: "file:IN.wav,OUT.wav", Description: "speaks one WAV file and records another", Input: true, Output: true},
		{Spec: "tone", Description: "speaks a test tone, plays to nobody", Input: true, Output: true},
		{Spec: "null", Description: "speaks silence, plays to nobody", Input: true, Output: true},
	}
}
