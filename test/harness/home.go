package harness

import (
	"os"
	"path/filepath"
	"testing"
)

// Home is an empty home, in which no daemon runs, with a short path: a unix
// socket's is short.
func Home(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peerd-") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// User is somebody who has a home and runs commands in it; no daemon is
// started for them.
func User(home string) *Daemon {
	return &Daemon{Home: home, bin: bin, opt: Options{Name: filepath.Base(home)}}
}
