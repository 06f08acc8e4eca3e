package phone

import (
	"fmt"
	"slices"
	"time"
)

// Devices lists the devices of our account, revoked ones included.
func (p *Phone) Devices() []AccountDevice {
	id := p.cfg.Identity
	revoked := id.Revoked()
	var list []AccountDevice
	for _, cert := range id.Devices() {
		list = append(list, AccountDevice{
			ID: cert.Device.String(), Name: cert.Name, Serial: cert.Serial,
			Issued: cert.Issued, Expires: cert.Expires,
			This:    cert.Device == id.Device(),
			Revoked: slices.Contains(revoked, cert.Device),
		})
	}
	return list
}

// AddDevice certifies another device from the request it printed, and returns
// what is to be given back to it.
func (p *Phone) AddDevice(request string) (certificate string, err error) {
	err = p.cfg.Identity.Attempt(func() error {
		certificate, _, err = p.cfg.Identity.Approve(request, time.Now())
		return err
	}, p.cfg.SaveIdentity)
	if err != nil {
		return "", fmt.Errorf("add a device: %w", err)
	}
	return certificate, nil
}

// RevokeDevice takes the certificate away from a device of our account.
func (p *Phone) RevokeDevice(id string) error {
	for _, cert := range p.cfg.Identity.Devices() {
		if cert.Device.String() != id {
			continue
		}
		err := p.cfg.Identity.Attempt(func() error { return p.cfg.Identity.Revoke(cert.Device) }, p.cfg.SaveIdentity)
		if err != nil {
			return fmt.Errorf("revoke device %s: %w", id, err)
		}
		return nil
	}
	return fmt.Errorf("revoke device %q: %w", id, ErrNoSuchDevice)
}

// AudioDevices lists the sound devices this build can open.
func (p *Phone) AudioDevices() ([]AudioDevice, error) {
	if p.cfg.ListAudio == nil {
		return nil, nil
	}
	list, err := p.cfg.ListAudio()
	if err != nil {
		return nil, fmt.Errorf("list sound devices: %w", err)
	}
	for i := range list {
		list[i].Current = p.cfg.Device != nil && list[i].Spec == p.cfg.Device.Name()
	}
	return list, nil
}
