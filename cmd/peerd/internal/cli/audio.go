package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/config"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

func (a *app) audioCommand() *cobra.Command {
	return group("audio", "Look at the sound devices", "  peerd audio devices", a.audioDevices())
}

func (a *app) audioDevices() *cobra.Command {
	return &cobra.Command{
		Use:     "devices",
		Short:   "List what --audio can name; needs no daemon",
		Example: "  peerd audio devices\n  peerd daemon --audio \"portaudio:USB,USB\"",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			devices, err := a.listAudio(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(devices, func() { a.printAudio(devices) })
		},
	}
}

// listAudio asks the daemon, which knows what it uses, or looks itself.
func (a *app) listAudio(ctx context.Context) ([]localapi.AudioDevice, error) {
	c, err := a.clientWaiting(0)
	if err != nil {
		return nil, err
	}
	devices, err := c.AudioDevices(ctx)
	if !errors.Is(err, localapi.ErrNoDaemon) {
		return devices, err
	}
	var cfg phone.Config
	if err = a.Sound(Audio{Kind: config.AudioNull}, &cfg, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	here, err := cfg.ListAudio()
	devices = []localapi.AudioDevice{}
	for _, d := range here {
		d.Current = false // nothing is in use
		devices = append(devices, localapi.AudioDevice(d))
	}
	return devices, err
}

func (a *app) printAudio(devices []localapi.AudioDevice) {
	var rows [][]string
	for _, d := range devices {
		rows = append(rows, []string{d.Spec, yesNo(d.Input), yesNo(d.Output), yesNo(d.Current), d.Description})
	}
	a.table("no sound devices found; --audio tone, null and file: work without one", "AUDIO MICROPHONE LOUDSPEAKER IN-USE WHAT", rows)
}
