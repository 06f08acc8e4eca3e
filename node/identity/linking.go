package identity

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// MaxDevices bounds the devices of an account, so that their certificates fit
// into one account record.
const MaxDevices = 5

const (
	requestPrefix  = "peerd-device:"
	requestVersion = 1
	requestContext = "peerd device request 1\x00"
	requestFixed   = 1 + 32 + 32 // version, device key, HPKE key; then the name
	maxRequestText = 1024

	grantPrefix  = "peerd-grant:"
	grantVersion = 1
	grantContext = "peerd device grant 1\x00"
	maxGrantText = 16 << 10
)

// grantBody is what the account tells a new device, as JSON after the
// account's signature of it, all sealed to the device.
type grantBody struct {
	Certificate []byte   `json:"certificate"`
	LinkSecret  []byte   `json:"link_secret"`
	LinkVersion uint32   `json:"link_version"`
	Devices     [][]byte `json:"devices"`
	Revoked     []string `json:"revoked"`
}

// DeviceRequest returns the text that asks an account to take in this device:
// "peerd-device:" and, in base32, version, device key, sealing key, name,
// device signature and checksum. It is not secret. A device whose certificate
// nears its end asks anew in the same way.
func (id *Identity) DeviceRequest() (string, error) {
	raw := []byte{requestVersion}
	key, err := DeviceKeyBytes(id.device)
	if err != nil {
		return "", err
	}
	sealing, err := id.sealingKey()
	if err != nil {
		return "", err
	}
	raw = append(append(raw, key...), sealing.PublicKey().Bytes()...)
	raw = append(raw, id.Name()...)
	sig, err := id.SignDevice(append([]byte(requestContext), raw...))
	if err != nil {
		return "", err
	}
	raw = append(raw, sig...)
	return requestPrefix + base32Text.EncodeToString(append(raw, checksum(raw)...)), nil
}

// sealingKey is the X25519 key to which grants for this device are sealed.
func (id *Identity) sealingKey() (*ecdh.PrivateKey, error) {
	raw, err := hkdf.Key(sha256.New, id.deviceSeed, nil, "peerd grant sealing key 1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive sealing key: %w", err)
	}
	return ecdh.X25519().NewPrivateKey(raw)
}

// request is a checked device request.
type request struct {
	device  DeviceID
	sealing hpke.PublicKey
	name    string
}

func parseRequest(text string) (request, error) {
	raw, err := decodeText(text, requestPrefix, maxRequestText, requestVersion, ErrBadRequest)
	if err != nil {
		return request{}, err
	}
	if len(raw) < requestFixed+ed25519.SignatureSize {
		return request{}, fmt.Errorf("device request of %d bytes: %w", len(raw), ErrBadRequest)
	}
	body, sig := raw[:len(raw)-ed25519.SignatureSize], raw[len(raw)-ed25519.SignatureSize:]
	r := request{name: string(body[requestFixed:])}
	if r.device, err = DeviceFromKey(body[1:33]); err != nil {
		return request{}, fmt.Errorf("%w: %w", err, ErrBadRequest)
	}
	if err = VerifyDeviceSignature(r.device, append([]byte(requestContext), body...), sig); err != nil {
		return request{}, fmt.Errorf("%w: %w", err, ErrBadRequest)
	}
	if err = CheckName(r.name); err != nil {
		return request{}, fmt.Errorf("%w: %w", err, ErrBadRequest)
	}
	point, err := ecdh.X25519().NewPublicKey(body[33:requestFixed])
	if err == nil {
		r.sealing, err = hpke.NewDHKEMPublicKey(point)
	}
	if err != nil {
		return request{}, fmt.Errorf("sealing key: %w: %w", err, ErrBadRequest)
	}
	return r, nil
}

// Approve certifies the device that made the request and returns the grant for
// it, which only that device can open, and the certificate. The caller saves,
// and publishes the longer list of devices.
func (id *Identity) Approve(requestText string, now time.Time) (string, Certificate, error) {
	r, err := parseRequest(requestText)
	if err != nil {
		return "", Certificate{}, err
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.accountSeed == nil {
		return "", Certificate{}, ErrNoAccountKey
	}
	if slices.Contains(id.revoked, r.device) {
		return "", Certificate{}, fmt.Errorf("approve %s: %w", r.device, ErrRevoked)
	}
	others := slices.DeleteFunc(slices.Clone(id.devices), func(c Certificate) bool { return c.Device == r.device })
	if len(others) >= MaxDevices {
		return "", Certificate{}, fmt.Errorf("the account has %d devices already, revoke one first: %w", MaxDevices, ErrBadRequest)
	}
	cert := id.certify(r.device, r.name, now)
	id.devices = append(others, cert)
	grant, err := id.sealGrant(r, cert)
	return grant, cert, err
}

// Attempt runs change, which is to be Approve or Revoke, and then save. Where
// either fails, the devices and withdrawals are again what they were: what is
// told to others is no more than what is kept. One Attempt runs at a time.
func (id *Identity) Attempt(change, save func() error) error {
	id.attempt.Lock()
	defer id.attempt.Unlock()
	devices, revoked := id.Devices(), id.Revoked()
	err := change()
	if err == nil {
		err = save()
	}
	if err != nil {
		id.mu.Lock()
		defer id.mu.Unlock()
		id.devices, id.revoked = devices, revoked
	}
	return err
}

// sealGrant needs id.mu.
func (id *Identity) sealGrant(r request, cert Certificate) (string, error) {
	body, err := json.Marshal(grantBody{
		Certificate: cert.Marshal(),
		LinkSecret:  id.secret[:],
		LinkVersion: id.linkVersion,
		Devices:     marshalAll(id.devices),
		Revoked:     deviceStrings(id.revoked),
	})
	if err != nil {
		return "", fmt.Errorf("encode grant: %w", err)
	}
	plain := append(ed25519.Sign(id.accountKey(), append([]byte(grantContext), body...)), body...)
	sealed, err := hpke.Seal(r.sealing, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(grantContext), plain)
	if err != nil {
		return "", fmt.Errorf("seal grant: %w", err)
	}
	raw := append([]byte{grantVersion}, sealed...)
	return grantPrefix + base32Text.EncodeToString(append(raw, checksum(raw)...)), nil
}

// Adopt takes certificate, link secret and device list from a grant. A device
// linked already adopts only from the same account. The caller saves, and
// shows the account's id for comparison: whoever saw the request could have
// granted it an account of his own.
func (id *Identity) Adopt(grant string, now time.Time) error {
	plain, err := id.openGrant(grant)
	if err != nil {
		return err
	}
	sig, raw := plain[:ed25519.SignatureSize], plain[ed25519.SignatureSize:]
	var body grantBody
	if err = json.Unmarshal(raw, &body); err != nil {
		return fmt.Errorf("%w: %w", err, ErrBadGrant)
	}
	cert, err := ParseCertificate(body.Certificate)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrBadGrant)
	}
	if err := cert.VerifyFor(id.device, now); err != nil {
		return fmt.Errorf("%w: %w", err, ErrBadGrant)
	}
	if err := cert.Account.Verify(append([]byte(grantContext), raw...), sig); err != nil {
		return fmt.Errorf("%w: %w", err, ErrBadGrant)
	}
	return id.adopt(cert, body)
}

// openGrant returns the plain text of a grant, at least a signature long.
func (id *Identity) openGrant(grant string) ([]byte, error) {
	raw, err := decodeText(grant, grantPrefix, maxGrantText, grantVersion, ErrBadGrant)
	if err != nil {
		return nil, err
	}
	key, err := id.sealingKey()
	if err != nil {
		return nil, err
	}
	opener, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	plain, err := hpke.Open(opener, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(grantContext), raw[1:])
	if err != nil || len(plain) < ed25519.SignatureSize {
		return nil, fmt.Errorf("it does not open with this device's key: %w", ErrBadGrant)
	}
	return plain, nil
}

func (id *Identity) adopt(cert Certificate, body grantBody) error {
	if len(body.LinkSecret) != LinkSecretSize {
		return fmt.Errorf("link secret of %d bytes: %w", len(body.LinkSecret), ErrBadGrant)
	}
	devices, err := parseAll(body.Devices, cert.Account)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrBadGrant)
	}
	revoked, err := parseDevices(body.Revoked)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrBadGrant)
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	if !id.account.IsZero() && id.account != cert.Account {
		return fmt.Errorf("this device belongs to account %s, the grant is of %s: %w", id.account, cert.Account, ErrBadGrant)
	}
	id.account, id.cert = cert.Account, cert
	id.secret, id.linkVersion = [LinkSecretSize]byte(body.LinkSecret), body.LinkVersion
	id.devices, id.revoked = devices, revoked
	id.setDevice(cert)
	return nil
}
