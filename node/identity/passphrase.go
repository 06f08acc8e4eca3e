package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

const (
	// scrypt cost 2^n of a sealed file: 64 MB and about 0.2 s to open; files
	// that ask for more than maxScryptWork are refused unopened.
	scryptWork    = 16
	maxScryptWork = 18
)

// seal encrypts raw as an age file that the passphrase opens.
func seal(raw []byte, passphrase string) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("seal identity: %w", err)
	}
	recipient.SetWorkFactor(scryptWork)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipient)
	if err != nil {
		return nil, fmt.Errorf("seal identity: %w", err)
	}
	if _, err := w.Write(raw); err != nil {
		return nil, fmt.Errorf("seal identity: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal identity: %w", err)
	}
	return out.Bytes(), nil
}

// unseal opens what seal made: ErrSealed, ErrWrongPassphrase or ErrDamaged.
func unseal(sealed []byte, passphrase string) ([]byte, error) {
	if passphrase == "" {
		return nil, ErrSealed
	}
	opener, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("unseal identity: %w", err)
	}
	opener.SetMaxWorkFactor(maxScryptWork)
	r, err := age.Decrypt(bytes.NewReader(sealed), opener)
	var noMatch *age.NoIdentityMatchError
	if errors.As(err, &noMatch) {
		return nil, ErrWrongPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("unseal: %w: %w", err, ErrDamaged)
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("unseal: %w: %w", err, ErrDamaged)
	}
	return raw, nil
}
