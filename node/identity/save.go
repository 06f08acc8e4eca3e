package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Save writes the identity file (mode 0600), sealed if and only if a passphrase
// is given, whatever it was before. The file is complete or unchanged at every moment, a power cut included. An
// identity replaces only the file it was loaded from or saved to before: any
// other existing file is left alone with ErrExists. The directory must exist.
func (id *Identity) Save(path, passphrase string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("find %s: %w", path, err)
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	raw, err := id.encodeFile(passphrase)
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	if err := writeFile(path, raw, path == id.savedAt); err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	id.savedAt = path
	return nil
}

// writeFile puts data at path by way of a synced file beside it. Without
// replace an existing file gives ErrExists.
func writeFile(path string, data []byte, replace bool) error {
	temp := path + ".new" // a fixed name: one left by a crash is reused
	if err := writeSynced(temp, data); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	place := os.Rename
	if !replace {
		place = placeNew
	}
	if err := place(temp, path); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	return syncDir(filepath.Dir(path))
}

// placeNew moves temp to path unless there is something already.
func placeNew(temp, path string) error {
	err := os.Link(temp, path) // unlike rename it never replaces
	switch {
	case err == nil:
		return os.Remove(temp)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s: %w; it was left untouched", path, ErrExists)
	case !errors.Is(err, syscall.EPERM) && !errors.Is(err, errors.ErrUnsupported):
		return err
	}
	// A file system without hard links: look, then move.
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w; it was left untouched", path, ErrExists)
	}
	return os.Rename(temp, path)
}

func writeSynced(path string, data []byte) error {
	if err := removeIfThere(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
