package identity

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
)

// LinkSecretSize is the size of a link secret in bytes.
const LinkSecretSize = 16

const (
	linkPrefix   = "peerd:"
	linkVersion  = 1
	linkChecksum = 4
	linkSize     = 1 + len(AccountID{}) + LinkSecretSize
	maxLinkText  = 512 // no link of any version is longer
)

// Link is what one gives to a contact: the account to look for and the secret
// that opens its records.
type Link struct {
	Account AccountID
	Secret  [LinkSecretSize]byte
}

// String returns "peerd:" and, in base32, version, account, secret and the
// first four bytes of the SHA-256 of those three.
func (l Link) String() string {
	raw := append([]byte{linkVersion}, l.Account[:]...)
	raw = append(raw, l.Secret[:]...)
	return linkPrefix + base32Text.EncodeToString(append(raw, checksum(raw)...))
}

// ParseLink reads a contact link in either case, with space around it. Errors
// wrap ErrBadLink or ErrNewerVersion and say what is wrong in words.
func ParseLink(text string) (Link, error) {
	raw, err := decodeText(text, linkPrefix, maxLinkText, linkVersion, ErrBadLink)
	if err != nil {
		return Link{}, err
	}
	if len(raw) != linkSize {
		return Link{}, fmt.Errorf("it holds %d bytes and should hold %d: %w", len(raw), linkSize, ErrBadLink)
	}
	var link Link
	copy(link.Account[:], raw[1:])
	copy(link.Secret[:], raw[1+len(link.Account):])
	return link, nil
}

// decodeText decodes prefix, base32, version and checksum, and returns version
// and body. Errors wrap bad or ErrNewerVersion.
func decodeText(text, prefix string, limit int, version byte, bad error) ([]byte, error) {
	text = strings.TrimSpace(text[:min(len(text), limit+1)])
	if len(text) > limit {
		return nil, fmt.Errorf("it is longer than %d characters: %w", limit, bad)
	}
	body, found := strings.CutPrefix(strings.ToLower(text), prefix)
	if !found {
		return nil, fmt.Errorf("it does not begin with %q: %w", prefix, bad)
	}
	raw, err := decodeChecked(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, bad)
	}
	if raw[0] > version {
		return nil, fmt.Errorf("%s... of version %d, this peerd knows %d; please update peerd: %w",
			prefix, raw[0], version, ErrNewerVersion)
	}
	if raw[0] != version {
		return nil, fmt.Errorf("%s... of version %d: %w", prefix, raw[0], bad)
	}
	return raw, nil
}

// decodeChecked decodes base32 whose last four bytes are the checksum of the
// rest, and returns that rest, at least one byte.
func decodeChecked(text string) ([]byte, error) {
	for i, r := range text {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz234567", r) {
			return nil, fmt.Errorf("character %d is %q, which is never used", i+1, r)
		}
	}
	raw, err := base32Text.DecodeString(text)
	if err != nil || base32Text.EncodeToString(raw) != text || len(raw) <= linkChecksum {
		return nil, fmt.Errorf("%d characters are too few or too many: a part may be missing", len(text))
	}
	body := raw[:len(raw)-linkChecksum]
	if !bytes.Equal(checksum(body), raw[len(body):]) {
		return nil, fmt.Errorf("the checksum does not fit: a character is wrong or a part is missing")
	}
	return body, nil
}

func checksum(raw []byte) []byte {
	sum := sha256.Sum256(raw)
	return sum[:linkChecksum]
}
