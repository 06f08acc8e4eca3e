//go:build cgo && !unix

package portaudio

import "log/slog"

// quietly runs f: here the sound libraries print nothing.
func quietly(_ *slog.Logger, f func()) { f() }
