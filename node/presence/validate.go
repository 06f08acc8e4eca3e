package presence

import (
	"fmt"
	"time"
)

// Validator checks records for the overlay's hash table, as storer and as
// reader (libp2p's record.Validator). It needs no link.
type Validator struct {
	Now func() time.Time
}

// Validate checks shape, key, life and signature of a record.
func (v Validator) Validate(key string, value []byte) error { return ErrMalformed }

// Select returns the index of the valid value with the highest sequence.
func (v Validator) Select(key string, values [][]byte) (int, error) { return 0, ErrMalformed }

// Newer returns ErrReplayed when seq is lower than the known one; the same
// sequence is the same record seen again.
func Newer(known, seq uint64) error {
	if seq < known {
		return fmt.Errorf("sequence %d after %d: %w", seq, known, ErrReplayed)
	}
	return nil
}
