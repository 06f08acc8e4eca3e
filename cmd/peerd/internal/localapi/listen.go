package localapi

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is the longest path that fits into a unix socket address on
// every system we run on (sockaddr_un: 108 bytes on Linux, 104 on macOS).
const maxSocketPath = 103

// ErrSocketPath is returned by Open for a path that no socket can have.
var ErrSocketPath = errors.New("path is too long for a unix socket")

// ErrOpenDirectory is returned by Open when others can write in the socket's
// directory, and so put another socket in its place.
var ErrOpenDirectory = errors.New("other users can write in the socket's directory")

// listen makes the socket, mode 0600. Its directory is made with mode 0700; one
// that exists must be writable by its owner alone.
func listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%s: %w (%d bytes, at most %d): choose a shorter home directory",
			path, ErrSocketPath, len(path), maxSocketPath)
	}
	if err := privateDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// Bound closed to others, not closed after: the mask is the process's, but
	// all it can do elsewhere in this moment is to make a new file more private.
	mask := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(mask)
	if err != nil {
		return nil, fmt.Errorf("making the socket %s: %w", path, err)
	}
	return l, nil
}

func privateDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the socket's directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at the socket's directory: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s: %w: close it with chmod 700, or choose another --home", dir, ErrOpenDirectory)
	}
	return nil
}

// removeStale removes a socket that nobody serves. Only a daemon that holds
// its home's lock gets here, so that no other can be about to serve it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for an old socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is not a socket: move it away", path)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return fmt.Errorf("%s: %w", path, ErrInUse)
	}
	if !nobodyThere(err) {
		return fmt.Errorf("asking who serves %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing the socket of a daemon that died: %w", err)
	}
	return nil
}
