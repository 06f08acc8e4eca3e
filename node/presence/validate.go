package presence

import (
	"bytes"
	"fmt"
	"time"
)

// Validator checks records for the overlay's hash table, as storer and as
// reader (libp2p's record.Validator). It needs no link. One serves both
// namespaces.
type Validator struct {
	Now func() time.Time
}

// Validate checks shape, key, life and signature of a record.
func (v Validator) Validate(key string, value []byte) error {
	_, err := v.check(key, value)
	return err
}

func (v Validator) check(key string, value []byte) (envelope, error) {
	e, err := parse(value)
	if err != nil {
		return envelope{}, err
	}
	if recordKey(e.kind, e.signer[:], e.day) != key {
		return envelope{}, fmt.Errorf("record of day %d: %w", e.day, ErrWrongKey)
	}
	if err := e.checkLife(v.Now()); err != nil {
		return envelope{}, err
	}
	return e, e.checkSignature()
}

// Select returns the index of the valid value with the highest sequence, and
// of two with the same sequence the greater in byte order, so that all nodes
// choose the same. It returns the last error when none is valid.
func (v Validator) Select(key string, values [][]byte) (int, error) {
	best, bestSeq, lastErr := -1, uint64(0), ErrMalformed
	for i, value := range values {
		e, err := v.check(key, value)
		if err != nil {
			lastErr = err
			continue
		}
		if best < 0 || e.seq > bestSeq || e.seq == bestSeq && bytes.Compare(value, values[best]) > 0 {
			best, bestSeq = i, e.seq
		}
	}
	if best < 0 {
		return 0, fmt.Errorf("none of %d records is valid: %w", len(values), lastErr)
	}
	return best, nil
}

// Newer returns ErrReplayed when seq is lower than the known one; the same
// sequence is the same record seen again.
func Newer(known, seq uint64) error {
	if seq < known {
		return fmt.Errorf("sequence %d after %d: %w", seq, known, ErrReplayed)
	}
	return nil
}
