//go:build cgo

package main

import (
	"log/slog"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/opus"
	"github.com/peerd/peerd/audio/portaudio"
	"github.com/peerd/peerd/cmd/peerd/internal/cli"
	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// setCodecs: libopus speaks, and decodes the sound of people we know.
func setCodecs(cfg *phone.Config) {
	cfg.Encoder = func() (audio.Encoder, error) { return opus.NewEncoder() }
	cfg.Decoder = func() (audio.Decoder, error) { return opus.NewDecoder() }
}

// setCard opens the sound system; the phone releases it when it closes.
func setCard(want cli.Audio, cfg *phone.Config, log *slog.Logger) error {
	system, err := portaudio.Init(log)
	if err != nil {
		return err
	}
	spec := want.In
	if want.Out != "" {
		spec += "," + want.Out
	}
	device, err := system.Device(spec)
	if err != nil {
		_ = system.Close()
		return err
	}
	cfg.Device, cfg.ReleaseSound = device, system.Close
	return nil
}

// listCards lists the microphones and loudspeakers of the machine.
func listCards(log *slog.Logger) ([]phone.AudioDevice, error) {
	system, err := portaudio.Init(log)
	if err != nil {
		return nil, err
	}
	defer system.Close()
	devices, err := system.Devices()
	var list []phone.AudioDevice
	for _, d := range devices {
		list = append(list, phone.AudioDevice{
			Spec: cardSpec(d), Description: d.API, Input: d.Inputs > 0, Output: d.Outputs > 0,
		})
	}
	return list, err
}

// cardSpec is what --audio takes to use a card for all it can do.
func cardSpec(d portaudio.Info) string {
	switch {
	case d.Outputs == 0:
		return "portaudio:" + d.Name
	case d.Inputs == 0:
		return "portaudio:," + d.Name
	default:
		return "portaudio:" + d.Name + "," + d.Name
	}
}
