package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Lock is held by the one daemon of a state directory.
type Lock struct {
	file  *os.File
	close func() error
}

// Acquire takes the lock of the state directory, which must exist, and writes
// this process's id and socket into its file. The lock ends with the process,
// however it ends. A lock held elsewhere gives ErrLocked with the process id.
func (d Dirs) Acquire(pid int) (*Lock, error) {
	path := d.LockFile()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w; check the owner and mode (0700) of the directory", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(lockError(path, err), f.Close())
	}
	if err := writeHolder(f, pid, d.Socket); err != nil {
		return nil, errors.Join(fmt.Errorf("write lock: %w", err), f.Close())
	}
	l := &Lock{file: f}
	l.close = sync.OnceValue(func() error { return errors.Join(f.Truncate(0), f.Close()) })
	return l, nil
}

// Close gives the lock back; it may be called twice. The file stays.
func (l *Lock) Close() error { return l.close() }

func lockError(path string, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	who := "process id unknown"
	if pid, _, err := readHolder(path); err == nil && pid > 0 {
		who = fmt.Sprintf("process %d", pid)
	}
	return fmt.Errorf("%w (%s, lock %s); use it, stop it, or choose another --home", ErrLocked, who, path)
}

func writeHolder(f *os.File, pid int, socket string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n%s\n", pid, socket), 0)
	return err
}

// readHolder returns process id and socket written by a lock's holder.
func readHolder(path string) (pid int, socket string, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, "", err
	}
	first, rest, _ := strings.Cut(string(raw), "\n")
	if pid, err = strconv.Atoi(first); err != nil {
		return 0, "", fmt.Errorf("lock file %s: %w", path, err)
	}
	return pid, strings.TrimSuffix(rest, "\n"), nil
}

// RunningSocket returns where the daemon of this state directory listens, as
// its lock file says, else where it would listen: a daemon started with another
// XDG_RUNTIME_DIR is found all the same.
func (d Dirs) RunningSocket() string {
	_, socket, err := readHolder(d.LockFile())
	if err != nil || socket == "" || len(socket) > maxSocketPath {
		return d.Socket
	}
	return socket
}

// makePrivate creates a directory with mode 0700, or checks that an existing
// one is ours; in /tmp, where anyone may have made it, it must be private too.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w; choose another --home or correct the owner", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at directory: %w", err)
	}
	if strings.HasPrefix(dir, "/tmp/peerd-") && !private(info) {
		return fmt.Errorf("%s: %w; remove it or choose a --home with a shorter path", dir, ErrUnsafeDir)
	}
	if err := syscall.Access(dir, 0x2|0x1); err != nil { // W_OK and X_OK
		return fmt.Errorf("%w; correct its owner and mode, or choose another --home",
			&fs.PathError{Op: "write in", Path: dir, Err: err})
	}
	return nil
}

// private reports whether a directory, not a link to one, is this user's alone.
func private(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && info.Mode().Perm()&0o077 == 0 && int(stat.Uid) == os.Getuid()
}
