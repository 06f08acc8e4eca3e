package store

import (
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"
)

// Buckets of the database.
//
//	meta      "version" -> schema version, decimal
//	contacts  folded petname -> contact (JSON)
//	accounts  account key -> folded petname
//	calls     started (8 bytes, big-endian Unix ms), id -> call (JSON); its
//	          bucket sequence is the number of calls
//	call_ids  id -> key in calls
//	live      id -> nothing; calls that have not ended
//	values    key -> value of SetValue
const (
	bucketMeta     = "meta"
	bucketContacts = "contacts"
	bucketAccounts = "accounts"
	bucketCalls    = "calls"
	bucketCallIDs  = "call_ids"
	bucketLive     = "live"
	bucketValues   = "values"

	keyVersion = "version"
)

// migrations returns the table of migrations: element i takes a database of
// schema version i to version i+1. Elements are only ever added.
func migrations() []func(*bbolt.Tx) error {
	return []func(*bbolt.Tx) error{
		createBuckets,
	}
}

// createBuckets makes schema version 1 out of an empty database.
func createBuckets(tx *bbolt.Tx) error {
	for _, name := range []string{
		bucketMeta, bucketContacts, bucketAccounts, bucketCalls, bucketCallIDs, bucketLive, bucketValues,
	} {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return fmt.Errorf("make bucket %s: %w", name, err)
		}
	}
	return nil
}

// upgrade migrates an older database; it writes nothing to one of today.
func upgrade(db *bbolt.DB) error {
	var from int
	err := db.View(func(tx *bbolt.Tx) (err error) {
		from, err = version(tx)
		return err
	})
	if err != nil || from == len(migrations()) {
		return err
	}
	return db.Update(migrate)
}

// migrate brings the schema to the newest version, in one transaction.
func migrate(tx *bbolt.Tx) error { return migrateBy(tx, migrations()) }

func migrateBy(tx *bbolt.Tx, table []func(*bbolt.Tx) error) error {
	from, err := version(tx)
	if err != nil || from >= len(table) {
		return err
	}
	for i, step := range table[from:] {
		if err := step(tx); err != nil {
			return fmt.Errorf("migrate from schema version %d: %w", from+i, err)
		}
	}
	return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyVersion), []byte(strconv.Itoa(len(table))))
}

// version returns the schema version, 0 for an empty database.
func version(tx *bbolt.Tx) (int, error) {
	meta := tx.Bucket([]byte(bucketMeta))
	if meta == nil {
		if first, _ := tx.Cursor().First(); first != nil {
			return 0, fmt.Errorf("a database, but not peerd's: %w", ErrDamaged)
		}
		return 0, nil
	}
	text := string(meta.Get([]byte(keyVersion)))
	v, err := strconv.Atoi(text)
	if err != nil || v < 1 {
		return 0, fmt.Errorf("schema version %q: %w", text, ErrDamaged)
	}
	return v, nil
}

// checkVersion returns ErrNewerVersion for a schema we do not know.
func checkVersion(tx *bbolt.Tx) error {
	v, err := version(tx)
	if known := len(migrations()); err == nil && v > known {
		return fmt.Errorf("schema version %d, this peerd knows %d: %w", v, known, ErrNewerVersion)
	}
	return err
}
