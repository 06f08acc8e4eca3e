package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// filled makes a database with some content, closed, and returns its bytes.
func filled(t *testing.T, path string) []byte {
	t.Helper()
	s := open(t, path)
	bob := newIdentity(t, "bob")
	ok(t, s.AddContact("bob", bob.Link(), now))
	ok(t, s.db.Update(func(tx *bbolt.Tx) error {
		for i := range 200 {
			c := testCall(fmt.Sprint("call-", i), int64(1+i))
			c.Ended = 1000
			if err := putCall(tx, c); err != nil {
				return err
			}
		}
		return nil
	}))
	ok(t, s.Close())
	raw, err := os.ReadFile(path)
	ok(t, err)
	return raw
}

// refused writes raw to path, opens it and expects the error and the bytes
// unchanged.
func refused(t *testing.T, path string, raw []byte, is error, says string) {
	t.Helper()
	ok(t, os.WriteFile(path, raw, 0o600))
	s, err := Open(path)
	if err == nil {
		ok(t, s.Close())
	}
	if !errors.Is(err, is) || !strings.Contains(fmt.Sprint(err), says) || !strings.Contains(fmt.Sprint(err), path) {
		t.Errorf("%v, want %v and %q", err, is, says)
	}
	if after, unread := os.ReadFile(path); unread != nil || !bytes.Equal(after, raw) {
		t.Errorf("the file changed, %v", err)
	}
}

func TestDamagedFilesAreRefusedAndKept(t *testing.T) {
	path := tempFile(t)
	raw := filled(t, path)
	page := os.Getpagesize()
	refused(t, path, nil, ErrDamaged, "left untouched")
	refused(t, path, []byte("this is no database\n"), ErrDamaged, "left untouched")
	refused(t, path, make([]byte, len(raw)), ErrDamaged, "left untouched")
	for _, size := range []int{page / 2, 2 * page, 3 * page, 5*page + 100} {
		refused(t, path, raw[:size], ErrDamaged, "left untouched")
	}
}

// A damaged page either does not matter (it was free) or is reported; it never
// takes the process down, and the file stays. Each has a file of its own: where
// bbolt panics while opening, its lock lasts as long as the process.
func TestEveryDamagedPage(t *testing.T) {
	raw := filled(t, tempFile(t))
	page, found := os.Getpagesize(), 0
	for at := 2 * page; at < len(raw); at += page {
		bad := bytes.Clone(raw)
		for i := range page {
			bad[at+i] = 0xa5
		}
		path := tempFile(t)
		ok(t, os.WriteFile(path, bad, 0o600))
		s, err := Open(path)
		switch {
		case err == nil:
			ok(t, s.Close())
		case errors.Is(err, ErrDamaged):
			found++
			if after, readErr := os.ReadFile(path); readErr != nil || !bytes.Equal(after, bad) {
				t.Fatalf("page at %d: the file changed, %v", at, readErr)
			}
		default:
			t.Fatalf("page at %d: %v", at, err)
		}
	}
	if found < 5 {
		t.Errorf("only %d damaged pages were found", found)
	}
}

func TestForeignDatabase(t *testing.T) {
	path := tempFile(t)
	db, err := bbolt.Open(path, 0o600, options())
	ok(t, err)
	ok(t, db.Update(func(tx *bbolt.Tx) error {
		_, createErr := tx.CreateBucket([]byte("somebody else's"))
		return createErr
	}))
	ok(t, db.Close())
	raw, err := os.ReadFile(path)
	ok(t, err)
	refused(t, path, raw, ErrDamaged, "not peerd's")
}

func setVersion(t *testing.T, path, version string) []byte {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, options())
	ok(t, err)
	ok(t, db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyVersion), []byte(version))
	}))
	ok(t, db.Close())
	raw, err := os.ReadFile(path)
	ok(t, err)
	return raw
}

func TestSchemaVersionsRefused(t *testing.T) {
	path := tempFile(t)
	filled(t, path)
	refused(t, path, setVersion(t, path, "2"), ErrNewerVersion, "update peerd")
	refused(t, path, setVersion(t, path, "x"), ErrDamaged, `schema version "x"`)
}

func TestMigrationsRunOnceInOrderOrNotAtAll(t *testing.T) {
	s := open(t, tempFile(t))
	var ran []int
	step := func(n int, err error) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			ran = append(ran, n)
			return errors.Join(err, tx.Bucket([]byte(bucketValues)).Put([]byte("step"), []byte{byte(n)}))
		}
	}
	table := append(migrations(), step(1, nil), step(2, errors.New("disk full")))
	if err := s.db.Update(func(tx *bbolt.Tx) error { return migrateBy(tx, table) }); err == nil {
		t.Error("a failed migration is no error")
	}
	if _, err := s.Value("step"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a failed migration left something: %v", err)
	}
	table = append(migrations(), step(1, nil), step(2, nil))
	for range 2 {
		ok(t, s.db.Update(func(tx *bbolt.Tx) error { return migrateBy(tx, table) }))
	}
	if fmt.Sprint(ran) != "[1 2 1 2]" {
		t.Errorf("ran %v", ran)
	}
	ok(t, s.db.View(func(tx *bbolt.Tx) error {
		v, err := version(tx)
		if v != 3 {
			t.Errorf("version %d", v)
		}
		return err
	}))
}

func TestSecondOpenIsRefused(t *testing.T) {
	path := tempFile(t)
	open(t, path)
	if _, err := Open(path); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "--home") {
		t.Errorf("second open: %v", err)
	}
}

func TestOpenAfterACrashedCreation(t *testing.T) {
	path := tempFile(t)
	ok(t, os.WriteFile(path+".new", []byte("half a database"), 0o600))
	ok(t, open(t, path).SetValue("x", []byte("y")))
}

func TestOpenNowhere(t *testing.T) {
	if _, err := Open(tempFile(t) + "/no/where"); err == nil {
		t.Error("opened a database nowhere")
	}
}
