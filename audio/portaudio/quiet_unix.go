//go:build cgo && unix

package portaudio

import (
	"bufio"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// quietly runs f with the process's stderr turned into lines of log at debug
// level: ALSA and JACK print there about every card that they do not find.
func quietly(log *slog.Logger, f func()) {
	r, w, err := os.Pipe()
	if err != nil {
		f()
		return
	}
	defer r.Close()
	done := make(chan struct{})
	var lines []string
	go func() {
		defer close(done)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines = append(lines, s.Text())
		}
	}()
	redirected(int(w.Fd()), f)
	w.Close()
	<-done
	for _, l := range lines {
		log.Debug("sound library says", "line", l)
	}
}

// redirected runs f with stderr on fd.
func redirected(fd int, f func()) {
	saved, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		f() // there is no stderr
		return
	}
	defer unix.Close(saved)
	if unix.Dup2(fd, 2) == nil {
		defer func() { _ = unix.Dup2(saved, 2) }() // it worked the other way
	}
	f()
}
