package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Identity is one device's view of its account. It is safe for use by several
// goroutines. Changes are in memory until Save.
type Identity struct {
	deviceSeed []byte // Ed25519 seed of the device key
	deviceKey  crypto.PrivKey
	device     DeviceID

	attempt sync.Mutex // held by Attempt

	mu          sync.RWMutex // guards everything below
	name        string
	account     AccountID // zero until linked
	accountSeed []byte    // nil on a device that does not hold the account key
	cert        Certificate
	secret      [LinkSecretSize]byte
	linkVersion uint32
	devices     []Certificate // of the account, this one included
	revoked     []DeviceID    // oldest first
	savedAt     string        // the path this identity was loaded from or saved to
}

// New makes an account and its first device. random feeds both keys (nil means
// crypto/rand). The phrase is the only copy of the account's secret outside
// the identity file; it is never stored.
func New(name string, random io.Reader) (*Identity, string, error) {
	entropy := make([]byte, 32)
	if _, err := io.ReadFull(orCryptoRand(random), entropy); err != nil {
		return nil, "", fmt.Errorf("read randomness: %w", err)
	}
	phrase, err := EncodePhrase(entropy)
	if err != nil {
		return nil, "", err
	}
	id, err := fromPhrase(phrase, name, random)
	return id, phrase, err
}

// FromPhrase brings an account back on a new device: same account, same first
// contact link (RestoreLink moves on to a later one), new device key.
func FromPhrase(phrase, name string) (*Identity, error) {
	return fromPhrase(phrase, name, nil)
}

func fromPhrase(phrase, name string, random io.Reader) (*Identity, error) {
	words, err := splitPhrase(phrase)
	if err != nil {
		return nil, err
	}
	if len(words) != phraseWords {
		return nil, fmt.Errorf("%d words, %d are needed: %w", len(words), phraseWords, ErrBadPhrase)
	}
	entropy, err := DecodePhrase(phrase)
	if err != nil {
		return nil, err
	}
	canonical, err := EncodePhrase(entropy)
	if err != nil {
		return nil, err
	}
	id, err := NewDevice(name, random)
	if err != nil {
		return nil, err
	}
	if id.accountSeed, err = accountSeed(canonical); err != nil {
		return nil, err
	}
	id.account = AccountID(id.accountKey().Public().(ed25519.PublicKey))
	id.certifySelf(time.Now())
	return id, id.setLinkVersion(1)
}

// NewDevice makes a device that belongs to no account yet; see DeviceRequest.
func NewDevice(name string, random io.Reader) (*Identity, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(orCryptoRand(random), seed); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return newDevice(name, seed)
}

func newDevice(name string, seed []byte) (*Identity, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	device, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("device id: %w", err)
	}
	return &Identity{name: name, deviceSeed: seed, deviceKey: key, device: device}, nil
}

func orCryptoRand(random io.Reader) io.Reader {
	if random == nil {
		return rand.Reader
	}
	return random
}

// Account returns the account's id, zero on a device not linked yet.
func (id *Identity) Account() AccountID {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.account
}

// Device returns this device's id.
func (id *Identity) Device() DeviceID { return id.device }

// DeviceKey returns this device's private key, for the libp2p host.
func (id *Identity) DeviceKey() crypto.PrivKey { return id.deviceKey }

// Name returns the own name given at New or NewDevice.
func (id *Identity) Name() string {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.name
}

// Certificate returns this device's certificate, zero on a device not linked yet.
func (id *Identity) Certificate() Certificate {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.cert
}

// Link returns the account's present contact link, zero on a device not linked yet.
func (id *Identity) Link() Link {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return Link{Account: id.account, Secret: id.secret}
}

// Linked reports whether the device belongs to an account.
func (id *Identity) Linked() bool { return !id.Account().IsZero() }

// HasAccountKey reports whether this device can sign for the account.
func (id *Identity) HasAccountKey() bool {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.accountSeed != nil
}

// SignAccount signs msg with the account key. The caller begins msg with a
// context of its own, so that no signature can be taken for another kind.
func (id *Identity) SignAccount(msg []byte) ([]byte, error) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	if id.accountSeed == nil {
		return nil, ErrNoAccountKey
	}
	return ed25519.Sign(id.accountKey(), msg), nil
}

// SignDevice signs msg with the device key; about the context see SignAccount.
func (id *Identity) SignDevice(msg []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.NewKeyFromSeed(id.deviceSeed), msg), nil
}

// LinkVersion counts the link secrets this account has had, from 1.
func (id *Identity) LinkVersion() uint32 {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.linkVersion
}

// RotateLink takes a new link secret, which ends the reach of everyone who
// holds only the old link. Save and tell the remaining contacts.
func (id *Identity) RotateLink() (Link, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if err := id.setLinkVersion(id.linkVersion + 1); err != nil {
		return Link{}, err
	}
	return Link{Account: id.account, Secret: id.secret}, nil
}

// RestoreLink goes to the link secret of a given version, after FromPhrase.
func (id *Identity) RestoreLink(version uint32) error {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.setLinkVersion(version)
}

// setLinkVersion needs id.mu or an identity nobody else has yet.
func (id *Identity) setLinkVersion(version uint32) error {
	if id.accountSeed == nil {
		return ErrNoAccountKey
	}
	secret, err := linkSecret(id.accountSeed, version)
	if err != nil {
		return fmt.Errorf("derive link secret: %w", err)
	}
	id.secret, id.linkVersion = secret, version
	return nil
}

// accountKey needs id.accountSeed.
func (id *Identity) accountKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(id.accountSeed)
}

// certify signs a certificate; it needs id.mu and the account key.
func (id *Identity) certify(device DeviceID, name string, now time.Time) Certificate {
	c := Certificate{
		Version: certVersion,
		Account: id.account,
		Device:  device,
		Name:    name,
		Serial:  uint64(now.UnixMilli()),
		Issued:  now.Truncate(time.Second),
		Expires: now.Truncate(time.Second).Add(CertificateLife),
	}
	c.Sig = ed25519.Sign(id.accountKey(), append([]byte(certContext), c.signed()...))
	return c
}

// certifySelf renews this device's own certificate; it needs what certify needs.
func (id *Identity) certifySelf(now time.Time) {
	id.cert = id.certify(id.device, id.name, now)
	id.setDevice(id.cert)
}

// setDevice puts a certificate in the place of the device's older one.
func (id *Identity) setDevice(c Certificate) {
	for i := range id.devices {
		if id.devices[i].Device == c.Device {
			id.devices[i] = c
			return
		}
	}
	id.devices = append(id.devices, c)
}

// Devices returns the certificates of the account's devices as far as this
// device knows them, this one included.
func (id *Identity) Devices() []Certificate {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return slices.Clone(id.devices)
}

// Revoked returns the devices withdrawn so far, oldest first.
func (id *Identity) Revoked() []DeviceID {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return slices.Clone(id.revoked)
}

// Revoke withdraws another device of the account for good. It does not change
// the link secret, which the device knows: see RotateLink.
func (id *Identity) Revoke(device DeviceID) error {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.accountSeed == nil {
		return ErrNoAccountKey
	}
	if device == id.device {
		return fmt.Errorf("revoke this very device, which holds the account key: %w", ErrUnknownDevice)
	}
	known := slices.ContainsFunc(id.devices, func(c Certificate) bool { return c.Device == device })
	if !known {
		return fmt.Errorf("revoke %s: %w", device, ErrUnknownDevice)
	}
	id.devices = slices.DeleteFunc(id.devices, func(c Certificate) bool { return c.Device == device })
	id.revoked = append(id.revoked, device)
	return nil
}
