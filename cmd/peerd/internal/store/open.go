package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long Open waits for another process to let go.
const lockTimeout = 200 * time.Millisecond

// Store is an open database. It is safe for use by several goroutines.
type Store struct {
	db    *bbolt.DB
	close func() error
}

// Open opens the database at path, or makes it when there is no file, migrates
// an older schema, and closes the calls that were live when the last process
// ended. An empty, cut or changed file gives ErrDamaged, a newer schema
// ErrNewerVersion; both leave the file as it is.
func Open(path string) (*Store, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("make database %s: %w", path, err)
		}
	}
	db, err := openChecked(path)
	if err != nil {
		return nil, explain(path, err)
	}
	s := &Store{db: db, close: sync.OnceValue(db.Close)}
	if err := s.closeLostCalls(); err != nil {
		return nil, explain(path, errors.Join(err, s.Close()))
	}
	return s, nil
}

// Close waits for transactions to end and closes the file; it may be called twice.
func (s *Store) Close() error { return s.close() }

// explain adds the path and what to do next.
func explain(path string, err error) error {
	remedy := "check the file and the disk it is on"
	switch {
	case errors.Is(err, ErrNewerVersion):
		remedy = "it was left untouched; update peerd, or choose another --home"
	case errors.Is(err, ErrDamaged):
		remedy = "it was left untouched; restore it from a backup, or move it away to begin with no contacts and calls"
	case errors.Is(err, ErrInUse):
		remedy = "stop the other peerd, or choose another --home"
	case errors.Is(err, fs.ErrPermission):
		remedy = "check the owner and mode (0600) of the file and (0700) of its directory"
	}
	return fmt.Errorf("open database %s: %w; %s", path, err, remedy)
}

// create makes the database beside path and moves it there when it is whole,
// so that a half-made one never has the name.
func create(path string) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(temp, 0o600, options())
	if err != nil {
		return err
	}
	if err = errors.Join(db.Update(migrate), db.Close()); err != nil {
		return err
	}
	if err = os.Rename(temp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func options() *bbolt.Options {
	return &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType}
}

// openChecked opens an existing file, reads all of it once, and migrates it.
// bbolt panics or faults on damaged pages: here, and only here, that is caught.
func openChecked(path string) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v: %w", p, ErrDamaged)
			if db != nil {
				err = errors.Join(err, db.Close())
			}
			db = nil
		}
	}()
	if err = checkShape(path); err != nil {
		return nil, err
	}
	db, err = bbolt.Open(path, 0o600, options())
	if err != nil {
		return nil, openError(err)
	}
	for _, step := range []func() error{
		func() error { return db.View(checkVersion) },
		func() error { return db.View(readAll) },
		func() error { return upgrade(db) },
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

func openError(err error) error {
	var inSystem *fs.PathError
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return ErrInUse
	case errors.As(err, &inSystem):
		return err
	}
	return fmt.Errorf("%w: %w", err, ErrDamaged)
}

// readAll touches every key and value, so that a damaged page is found now.
func readAll(tx *bbolt.Tx) error {
	var sum byte
	return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			for _, part := range [][]byte{k, v} {
				if len(part) > 0 {
					sum += part[0] + part[len(part)-1]
				}
			}
			return nil
		})
	})
}

// The two first pages of a bbolt file each hold a copy of the meta data:
// a 16-byte page header, then magic, version, page size, flags (32 bits each),
// root page and sequence, free list page, number of pages, transaction (64
// bits each), and the FNV-1a checksum of these; all in the machine's order.
const (
	metaAt       = 16
	metaSize     = 64
	metaMagic    = 0xED0CDAED
	metaPageSize = 8
	metaPages    = 40
	metaChecksum = 56
)

// checkShape returns ErrDamaged when the file is shorter than its meta data
// says: bbolt itself would fault when it reads beyond the end.
func checkShape(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	valid := false
	for _, page := range []int64{0, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10} { // the second at any page size
		meta := make([]byte, metaSize)
		if _, err := f.ReadAt(meta, page+metaAt); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		size, ok := sizeFromMeta(meta)
		if ok && size > uint64(info.Size()) {
			return fmt.Errorf("%d of %d bytes are there: %w", info.Size(), size, ErrDamaged)
		}
		valid = valid || ok
	}
	if !valid {
		return fmt.Errorf("no database in %d bytes: %w", info.Size(), ErrDamaged)
	}
	return nil
}

// sizeFromMeta returns the file size that a copy of the meta data implies, and
// whether that copy is whole.
func sizeFromMeta(meta []byte) (uint64, bool) {
	order := binary.NativeEndian
	sum := fnv.New64a()
	sum.Write(meta[:metaChecksum])
	if order.Uint32(meta) != metaMagic || order.Uint64(meta[metaChecksum:]) != sum.Sum64() {
		return 0, false
	}
	return order.Uint64(meta[metaPages:]) * uint64(order.Uint32(meta[metaPageSize:])), true
}
