//go:build !cgo

package main

import (
	"log/slog"

	"github.com/peerd/peerd/audio/null"
	"github.com/peerd/peerd/cmd/peerd/internal/cli"
	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// setCodecs: no Opus encoder can be had without C. Such a node is a server, and
// answers calls by sending every packet back (--answer echo).
func setCodecs(cfg *phone.Config) { cfg.Decoder = pureDecoder }

// setCard does without: PortAudio is C.
func setCard(_ cli.Audio, cfg *phone.Config, log *slog.Logger) error {
	log.Warn("this build has no sound card and no encoder: it serves others, and takes calls with --answer echo only")
	cfg.Device = null.Device{}
	return nil
}

func listCards(*slog.Logger) ([]phone.AudioDevice, error) { return nil, nil }
