package phone

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/store"
	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
)

// errBadIdentity: the other end's certificate is not good, or not whom we called.
var errBadIdentity = errors.New("the other end cannot prove who it is")

// certificate is ours, as it goes over the wire.
func (p *Phone) certificate() []byte { return p.cfg.Identity.Certificate().Marshal() }

// bind signs the fingerprint of our session for the call with this id.
func (p *Phone) bind(id, role string, s *media.Session, other identity.DeviceID) ([]byte, error) {
	fp, err := parseFingerprint(s.Fingerprint())
	if err != nil {
		return nil, err
	}
	own := p.cfg.Identity
	b := boundCall{id: id, role: role, signer: own.Device(), other: other}
	return b.sign(own.SignDevice, fp)
}

// verify checks the certificate and the binding of the other end, whose device
// the stream has authenticated, and writes down who it is.
func (c *call) verify(certificate, binding []byte, role string) error {
	cert, err := identity.ParseCertificate(certificate)
	if err != nil {
		return fmt.Errorf("%w: %w", errBadIdentity, err)
	}
	if err = cert.VerifyFor(c.device, time.Now()); err != nil {
		return fmt.Errorf("%w: %w", errBadIdentity, err)
	}
	if c.rec.Direction == Outgoing && cert.Account != c.link.Account {
		return fmt.Errorf("%w: it is of account %s: %w", errBadIdentity, cert.Account, identity.ErrForeignCertificate)
	}
	if c.phone.revoked(cert) {
		return fmt.Errorf("%w: %w", errBadIdentity, identity.ErrRevoked)
	}
	b := boundCall{id: c.wireID, role: role, signer: c.device, other: c.phone.cfg.Identity.Device()}
	if c.bound, err = b.verify(binding); err != nil {
		return err
	}
	c.account, c.name, c.verified = cert.Account, cert.Name, true
	return nil
}

// checkFingerprint holds a session description against the binding. It comes
// before the description is used: nothing is sent to addresses of a liar.
func (c *call) checkFingerprint(sdp []byte) error {
	text, err := media.FingerprintOf(sdp)
	if err != nil {
		return fmt.Errorf("reading the session description: %w", err)
	}
	fp, err := parseFingerprint(text)
	if err != nil {
		return err
	}
	if fp != c.bound {
		return fmt.Errorf("%w: the session description names another one", errBadBinding)
	}
	return nil
}

// introduce writes into the record who the verified caller is.
func (c *call) introduce() {
	contact, known := c.phone.contactOf(c.account)
	strange := c.strange()
	c.update(func(rec *Call) {
		rec.Remote = Remote{
			Account: c.account.String(), Device: c.device.String(), Name: c.name, Stranger: strange,
		}
		if known {
			rec.Remote.Name = contact.Petname
		}
	})
}

// strange reports whether the other end is a stranger at this moment: its
// account is not in the contacts, or its device calls us and is not listed by
// that account or, where no account record is known, was never seen under it.
// Then nothing but memory-safe code decodes its sound.
func (c *call) strange() bool {
	account := c.account
	if c.rec.Direction == Outgoing && !c.crossed {
		account = c.link.Account
	}
	contact, known := c.phone.contactOf(account)
	if !known || contact.Blocked {
		return true
	}
	if c.rec.Direction == Outgoing {
		return false // we looked for the account, and found a device it certifies
	}
	now := c.phone.node.Presence(account)
	if slices.ContainsFunc(now.Devices, func(d node.DevicePresence) bool { return d.Device == c.device }) {
		return false
	}
	return now.Listed || !slices.ContainsFunc(contact.Devices, func(d store.Device) bool { return d.ID == c.device })
}

// knowsDevice reports whether a device, as its stream names it, is one of a contact's.
func (p *Phone) knowsDevice(peer string) bool {
	device, err := identity.ParseDevice(peer)
	return err == nil && (p.node.Knows(device) || p.seen(device))
}

// seen reports whether a contact's calls came from or went to a device before.
func (p *Phone) seen(device identity.DeviceID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.book, func(c store.Contact) bool {
		return !c.Blocked && slices.ContainsFunc(c.Devices, func(d store.Device) bool { return d.ID == device })
	})
}

// revoked reports whether the certificate is withdrawn, by our own account or,
// as far as the node knows, by a contact's.
func (p *Phone) revoked(cert identity.Certificate) bool {
	own := p.cfg.Identity
	if cert.Account == own.Account() {
		return slices.Contains(own.Revoked(), cert.Device)
	}
	return p.node.Revoked(cert.Account, cert.Device)
}
