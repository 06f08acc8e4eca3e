package store

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"
)

// SetValue stores a small value (a policy, a mark) of at most MaxValue bytes
// under a name; nil removes it.
func (s *Store) SetValue(name string, value []byte) error {
	if name == "" || len(name) > maxText || len(value) > MaxValue {
		return fmt.Errorf("store value of %d bytes as %.64q: %w", len(value), name, ErrTooLarge)
	}
	return s.update("store value", func(tx *bbolt.Tx) error {
		if value == nil {
			return tx.Bucket([]byte(bucketValues)).Delete([]byte(name))
		}
		return tx.Bucket([]byte(bucketValues)).Put([]byte(name), value)
	})
}

// Value returns a copy of what SetValue stored, or ErrNotFound.
func (s *Store) Value(name string) ([]byte, error) {
	var out []byte
	err := s.view("read value", func(tx *bbolt.Tx) error {
		v := tx.Bucket([]byte(bucketValues)).Get([]byte(name))
		if v == nil {
			return fmt.Errorf("%.64q: %w", name, ErrNotFound)
		}
		out = bytes.Clone(v)
		return nil
	})
	return out, err
}

// update runs f in a transaction that is on the disk when it returns nil.
func (s *Store) update(what string, f func(*bbolt.Tx) error) error {
	if err := s.db.Update(f); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (s *Store) view(what string, f func(*bbolt.Tx) error) error {
	if err := s.db.View(f); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func putJSON(b *bbolt.Bucket, key []byte, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return b.Put(key, raw)
}

// getJSON returns ErrNotFound for a missing key.
func getJSON(b *bbolt.Bucket, key []byte, value any) error {
	raw := b.Get(key)
	if raw == nil {
		return ErrNotFound
	}
	if err := json.Unmarshal(raw, value); err != nil {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return nil
}
