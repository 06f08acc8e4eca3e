package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// PutCall stores a call, or what is new about it. ID, Direction and Started
// are the same every time; Ended != 0 closes it. When there are more than
// MaxCalls, the oldest that have ended are forgotten.
func (s *Store) PutCall(c Call) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("store call: %w", err)
	}
	return s.update("store call", func(tx *bbolt.Tx) error { return putCall(tx, c) })
}

func (c Call) check() error {
	if c.ID == "" || c.Started <= 0 {
		return fmt.Errorf("call %q started at %d: %w", c.ID, c.Started, ErrNotFound)
	}
	for _, text := range []string{c.ID, c.Account, c.Device, c.Name, c.Reason, c.Path} {
		if len(text) > maxText {
			return fmt.Errorf("text of %d bytes in call %.16q: %w", len(text), c.ID, ErrTooLarge)
		}
	}
	if len(c.Stats) > MaxStats {
		return fmt.Errorf("stats of %d bytes: %w", len(c.Stats), ErrTooLarge)
	}
	return nil
}

func putCall(tx *bbolt.Tx, c Call) error {
	calls, ids, live := tx.Bucket([]byte(bucketCalls)), tx.Bucket([]byte(bucketCallIDs)), tx.Bucket([]byte(bucketLive))
	id := []byte(c.ID)
	key := slices.Clone(ids.Get(id))
	if key == nil {
		key = append(binary.BigEndian.AppendUint64(nil, uint64(c.Started)), id...)
		if err := ids.Put(id, key); err != nil {
			return err
		}
		if err := calls.SetSequence(calls.Sequence() + 1); err != nil {
			return err
		}
	}
	if err := putJSON(calls, key, c); err != nil {
		return err
	}
	if c.Ended == 0 {
		return live.Put(id, nil)
	}
	if err := live.Delete(id); err != nil {
		return err
	}
	return forgetOldest(tx, MaxCalls)
}

// forgetOldest deletes calls that have ended, oldest first, down to limit.
func forgetOldest(tx *bbolt.Tx, limit uint64) error {
	calls, ids, live := tx.Bucket([]byte(bucketCalls)), tx.Bucket([]byte(bucketCallIDs)), tx.Bucket([]byte(bucketLive))
	cursor := calls.Cursor()
	for k, _ := cursor.First(); k != nil && calls.Sequence() > limit; k, _ = cursor.First() {
		for k != nil && isLive(live, k[8:]) {
			k, _ = cursor.Next()
		}
		if k == nil {
			return nil
		}
		if err := ids.Delete(k[8:]); err != nil {
			return err
		}
		if err := calls.SetSequence(calls.Sequence() - 1); err != nil {
			return err
		}
		if err := cursor.Delete(); err != nil {
			return err
		}
	}
	return nil
}

func isLive(live *bbolt.Bucket, id []byte) bool {
	k, _ := live.Cursor().Seek(id)
	return string(k) == string(id)
}

// closeLostCalls ends the calls that a killed process left live, at the last
// moment they were known to be so.
func (s *Store) closeLostCalls() error {
	lost, err := s.liveCalls()
	if err != nil || len(lost) == 0 {
		return err
	}
	return s.update("close lost calls", func(tx *bbolt.Tx) error {
		for _, c := range lost {
			c.Ended, c.Reason = max(c.Started, c.Ringing, c.Answered, c.Seen), ReasonLost
			if err := putCall(tx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) liveCalls() ([]Call, error) {
	var out []Call
	err := s.view("read live calls", func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketLive)).ForEach(func(id, _ []byte) error {
			c, err := findCall(tx, id)
			out = append(out, c)
			return err
		})
	})
	return out, err
}

// Call returns a call by its id, or ErrNotFound.
func (s *Store) Call(id string) (Call, error) {
	var c Call
	err := s.view("read call", func(tx *bbolt.Tx) (err error) {
		c, err = findCall(tx, []byte(id))
		return err
	})
	return c, err
}

func findCall(tx *bbolt.Tx, id []byte) (Call, error) {
	var c Call
	key := tx.Bucket([]byte(bucketCallIDs)).Get(id)
	if key == nil {
		return c, fmt.Errorf("call %.64q: %w", string(id), ErrNotFound)
	}
	err := getJSON(tx.Bucket([]byte(bucketCalls)), key, &c)
	return c, err
}

// Calls returns the newest calls first, at most limit, all of them if limit is 0.
func (s *Store) Calls(limit int) ([]Call, error) {
	var out []Call
	err := s.view("read calls", func(tx *bbolt.Tx) error {
		cursor := tx.Bucket([]byte(bucketCalls)).Cursor()
		for k, v := cursor.Last(); k != nil && (limit <= 0 || len(out) < limit); k, v = cursor.Prev() {
			var c Call
			if err := json.Unmarshal(v, &c); err != nil {
				return fmt.Errorf("call: %w: %w", err, ErrDamaged)
			}
			out = append(out, c)
		}
		return nil
	})
	return out, err
}
