//go:build cgo

package phone

import (
	"errors"
	"testing"

	"github.com/peerd/peerd/node/identity"
)

// TestDevicesAreAsOnTheDisk: a change that is not saved has not happened.
func TestDevicesAreAsOnTheDisk(t *testing.T) {
	t.Parallel()
	full := errors.New("the disk is full")
	var broken error
	alice := newTel(t, 0, nil, func(cfg *Config) { cfg.SaveIdentity = func() error { return broken } })
	other, err := identity.NewDevice("other", nil)
	must(t, err)
	request, err := other.DeviceRequest()
	must(t, err)

	broken = full
	if grant, refusal := alice.AddDevice(request); !errors.Is(refusal, full) || grant != "" {
		t.Errorf("adding gave %q, %v", grant, refusal)
	}
	if n := len(alice.Devices()); n != 1 {
		t.Errorf("%d devices after one was not saved", n)
	}
	broken = nil
	_, err = alice.AddDevice(request)
	must(t, err)

	broken = full
	if err := alice.RevokeDevice(other.Device().String()); !errors.Is(err, full) {
		t.Errorf("revoking gave %v", err)
	}
	if n := len(alice.Devices()); n != 2 || len(alice.id.Revoked()) != 0 {
		t.Errorf("%d devices and %d withdrawn after a withdrawal was not saved", n, len(alice.id.Revoked()))
	}
	broken = nil
	must(t, alice.RevokeDevice(other.Device().String()))
}
