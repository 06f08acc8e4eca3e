package media

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// pionLogs passes pion's log lines on at level Debug: they are written for
// pion's developers, and what matters to us arrives as an event or an error.
type pionLogs struct{ log *slog.Logger }

func (p pionLogs) NewLogger(scope string) logging.LeveledLogger {
	return pionLogger{p.log.With("pion", scope)}
}

type pionLogger struct{ log *slog.Logger }

func (l pionLogger) line(level, format string, args ...any) {
	if !l.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	l.log.Debug("pion", "level", level, "line", fmt.Sprintf(format, args...))
}

func (l pionLogger) Trace(string)                 {}
func (l pionLogger) Tracef(string, ...any)        {}
func (l pionLogger) Debug(m string)               { l.line("debug", "%s", m) }
func (l pionLogger) Debugf(f string, args ...any) { l.line("debug", f, args...) }
func (l pionLogger) Info(m string)                { l.line("info", "%s", m) }
func (l pionLogger) Infof(f string, args ...any)  { l.line("info", f, args...) }
func (l pionLogger) Warn(m string)                { l.line("warn", "%s", m) }
func (l pionLogger) Warnf(f string, args ...any)  { l.line("warn", f, args...) }
func (l pionLogger) Error(m string)               { l.line("error", "%s", m) }
func (l pionLogger) Errorf(f string, args ...any) { l.line("error", f, args...) }
