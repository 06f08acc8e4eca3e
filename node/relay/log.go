package relay

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// loggers hands pion a logger that writes all it says at level debug: most of
// it is caused by strangers' packets.
type loggers struct{ log *slog.Logger }

func (l loggers) NewLogger(scope string) logging.LeveledLogger {
	return logger{l.log.With(slog.String("scope", scope))}
}

type logger struct{ log *slog.Logger }

func (l logger) say(text string) { l.log.Debug("turn server", slog.String("says", text)) }

func (l logger) sayf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.say(fmt.Sprintf(format, args...))
	}
}

// Trace and Debug are a line or more for every packet: nothing is kept.
func (l logger) Trace(string)                      {}
func (l logger) Tracef(string, ...any)             {}
func (l logger) Debug(string)                      {}
func (l logger) Debugf(string, ...any)             {}
func (l logger) Info(text string)                  { l.say(text) }
func (l logger) Infof(format string, args ...any)  { l.sayf(format, args...) }
func (l logger) Warn(text string)                  { l.say(text) }
func (l logger) Warnf(format string, args ...any)  { l.sayf(format, args...) }
func (l logger) Error(text string)                 { l.say(text) }
func (l logger) Errorf(format string, args ...any) { l.sayf(format, args...) }
