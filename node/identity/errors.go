package identity

import "errors"

// The errors of this package; every returned error wraps one of them or comes
// from the operating system.
var (
	// ErrBadLink: the text is no contact link, or it was mistyped.
	ErrBadLink = errors.New("not a valid contact link")
	// ErrBadPhrase: the recovery phrase has a wrong word, length or checksum.
	ErrBadPhrase = errors.New("not a valid recovery phrase")
	// ErrBadName: a name is empty, too long or not printable.
	ErrBadName = errors.New("not a usable name")
	// ErrBadKey: bytes that should be an Ed25519 key are not.
	ErrBadKey = errors.New("not an Ed25519 key")
	// ErrBadCertificate: the bytes are not shaped like a device certificate.
	ErrBadCertificate = errors.New("not a device certificate")
	// ErrForgedCertificate: the account did not sign this certificate.
	ErrForgedCertificate = errors.New("device certificate is forged")
	// ErrForeignCertificate: a true certificate, but of another device or account.
	ErrForeignCertificate = errors.New("device certificate belongs to another device")
	// ErrExpiredCertificate: now is outside the certificate's life.
	ErrExpiredCertificate = errors.New("device certificate is out of date")
	// ErrBadSignature: a signature does not fit its message and key.
	ErrBadSignature = errors.New("signature is wrong")
	// ErrRevoked: the account has withdrawn this device.
	ErrRevoked = errors.New("device is revoked")
	// ErrNewerVersion: written by a newer peerd; nothing was read or changed.
	ErrNewerVersion = errors.New("written by a newer version of peerd")
	// ErrSealed: the identity file needs a passphrase.
	ErrSealed = errors.New("identity file is sealed with a passphrase")
	// ErrWrongPassphrase: the identity file does not open with this passphrase.
	ErrWrongPassphrase = errors.New("wrong passphrase")
	// ErrDamaged: the identity file is cut off, changed or no identity file.
	ErrDamaged = errors.New("identity file is damaged")
	// ErrExposed: the identity file can be read or changed by other users.
	ErrExposed = errors.New("identity file is open to other users")
	// ErrExists: there is another identity file at this path already.
	ErrExists = errors.New("an identity file exists already")
	// ErrNoAccountKey: only a device that holds the account key can do this.
	ErrNoAccountKey = errors.New("this device does not hold the account key")
	// ErrUnknownDevice: the account has no such device.
	ErrUnknownDevice = errors.New("not a device of this account")
	// ErrNotLinked: the device belongs to no account yet.
	ErrNotLinked = errors.New("this device is not linked to an account yet")
	// ErrBadRequest: the text is no device request, or it was changed.
	ErrBadRequest = errors.New("not a valid device request")
	// ErrBadGrant: the text is no device grant, was changed, or is for another device.
	ErrBadGrant = errors.New("not a valid device grant")
)
