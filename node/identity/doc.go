// Package identity holds who we are: an account key made from a 24-word
// phrase, a device key certified by it, and the contact link that lets others
// find us. It touches no network; its only file is the identity file.
//
// An account is an Ed25519 key. A device is the Ed25519 host key of one
// machine, certified by the account. The device made together with the account
// (or from its phrase) holds the account key; a device linked later by
// [Identity.DeviceRequest], [Identity.Approve] and [Identity.Adopt] holds only
// its certificate and the link secret.
package identity
