package presence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/multiformats/go-multiaddr"
	"github.com/peerd/peerd/node/identity"
)

// A body is a row of fields: tag (1 byte), length (2 bytes, big-endian), value.
// Readers skip tags they do not know. Numbers are never used again for another
// meaning.
const (
	tagCertificate = 1 // account: a certificate without its account key
	tagRevoked     = 2 // account: the raw key of a withdrawn device
	tagAddr        = 1 // presence: a binary multiaddr
	tagCapability  = 2 // presence: text
	tagName        = 3 // presence: text

	fieldHead = 3
	keySize   = 32
)

// appendField appends one field; value is shorter than MaxSize.
func appendField(b []byte, tag byte, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(append(b, tag), uint16(len(value)))
	return append(b, value...)
}

// eachField calls f with every field of a body, until it returns an error.
func eachField(body []byte, f func(tag byte, value []byte) error) error {
	for len(body) > 0 {
		if len(body) < fieldHead {
			return fmt.Errorf("%d bytes after the last field: %w", len(body), ErrBadSeal)
		}
		end := fieldHead + int(binary.BigEndian.Uint16(body[1:]))
		if end > len(body) {
			return fmt.Errorf("a field of %d bytes where %d remain: %w", end, len(body), ErrBadSeal)
		}
		if err := f(body[0], body[fieldHead:end]); err != nil {
			return err
		}
		body = body[end:]
	}
	return nil
}

func encodeAccount(a Account) ([]byte, error) {
	if len(a.Devices) > identity.MaxDevices {
		return nil, fmt.Errorf("%d devices, %d are allowed: %w", len(a.Devices), identity.MaxDevices, ErrTooLarge)
	}
	var body []byte
	for _, c := range a.Devices {
		raw := c.Marshal()
		body = appendField(body, tagCertificate, slices.Concat(raw[:1], raw[1+keySize:]))
	}
	room := max(0, (maxBody-len(body))/(fieldHead+keySize))
	for _, device := range a.Revoked[max(0, len(a.Revoked)-room):] {
		key, err := identity.DeviceKeyBytes(device)
		if err != nil {
			return nil, err
		}
		body = appendField(body, tagRevoked, key)
	}
	return body, nil
}

func decodeAccount(body []byte, account identity.AccountID, now time.Time) (Account, error) {
	var a Account
	err := eachField(body, func(tag byte, value []byte) error {
		switch tag {
		case tagCertificate:
			c, err := decodeCertificate(value, account, now)
			if errors.Is(err, identity.ErrExpiredCertificate) || errors.Is(err, identity.ErrNewerVersion) {
				return nil // of no use to us, but no reason to refuse the others
			}
			if err != nil {
				return err
			}
			a.Devices = append(a.Devices, c)
		case tagRevoked:
			device, err := identity.DeviceFromKey(value)
			if err != nil {
				return fmt.Errorf("%w: %w", err, ErrBadSeal)
			}
			a.Revoked = append(a.Revoked, device)
		}
		return nil
	})
	a.Devices = slices.DeleteFunc(a.Devices, func(c identity.Certificate) bool {
		return slices.Contains(a.Revoked, c.Device)
	})
	return a, err
}

// decodeCertificate puts the account key back in its place and checks the
// certificate.
func decodeCertificate(value []byte, account identity.AccountID, now time.Time) (identity.Certificate, error) {
	if len(value) == 0 {
		return identity.Certificate{}, fmt.Errorf("an empty certificate: %w", ErrBadSeal)
	}
	c, err := identity.ParseCertificate(slices.Concat(value[:1], account[:], value[1:]))
	if err != nil {
		return identity.Certificate{}, err
	}
	return c, c.Verify(now)
}

func encodePresence(p Presence) ([]byte, error) {
	if len(p.Name) > identity.MaxNameLen || len(p.Capabilities) > MaxCapabilities {
		return nil, fmt.Errorf("name of %d bytes, %d capabilities: %w", len(p.Name), len(p.Capabilities), ErrTooLarge)
	}
	body := appendField(nil, tagName, []byte(p.Name))
	for _, c := range p.Capabilities {
		if c == "" || len(c) > MaxCapabilityLen {
			return nil, fmt.Errorf("capability of %d bytes: %w", len(c), ErrTooLarge)
		}
		body = appendField(body, tagCapability, []byte(c))
	}
	for _, text := range p.Addrs[:min(len(p.Addrs), MaxAddrs)] {
		addr, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w: %w", text, err, ErrMalformed)
		}
		if longer := appendField(body, tagAddr, addr.Bytes()); len(longer) <= maxBody {
			body = longer
		}
	}
	return body, nil
}

func decodePresence(body []byte) (Presence, error) {
	var p Presence
	err := eachField(body, func(tag byte, value []byte) error {
		switch tag {
		case tagAddr:
			addr, err := multiaddr.NewMultiaddrBytes(value)
			if err == nil && len(p.Addrs) < MaxAddrs { // a kind of address we do not know is skipped
				p.Addrs = append(p.Addrs, addr.String())
			}
		case tagCapability:
			if utf8.Valid(value) && len(value) <= MaxCapabilityLen && len(p.Capabilities) < MaxCapabilities {
				p.Capabilities = append(p.Capabilities, string(value))
			}
		case tagName:
			if identity.CheckName(string(value)) == nil {
				p.Name = string(value)
			}
		}
		return nil
	})
	return p, err
}
