package presence

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"time"

	"github.com/peerd/peerd/node/identity"
)

// The namespaces of the two records in the hash table.
const (
	AccountNamespace  = "pa"
	PresenceNamespace = "pp"
)

var keyText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Day returns the number of whole days (UTC) since 1970 at now.
func Day(now time.Time) int64 { return now.Unix() / (24 * 60 * 60) }

// AccountKey returns the hash table's key of an account's record on a day.
func AccountKey(account identity.AccountID, day int64) string {
	return recordKey(kindAccount, account[:], day)
}

// PresenceKey returns the hash table's key of a device's record on a day. A
// device id without an Ed25519 key inside has the key of nobody.
func PresenceKey(device identity.DeviceID, day int64) string {
	key, err := identity.DeviceKeyBytes(device)
	if err != nil {
		key = make([]byte, 32)
	}
	return recordKey(kindPresence, key, day)
}

// recordKey is "/pa/" or "/pp/" and the base32 SHA-256 of kind, signer and day.
// The day keeps anyone from settling beside a signer's key for long.
func recordKey(k kind, signer []byte, day int64) string {
	raw := append([]byte(k.context()), signer...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(raw, uint64(day)))
	return "/" + k.namespace() + "/" + keyText.EncodeToString(sum[:])
}
