//go:build cgo

package phone

import (
	"testing"
	"time"

	"github.com/peerd/peerd/node/identity"
)

// TestRevokedDeviceOfAContactIsRefused: a device that the contact has withdrawn
// still has its key and its certificate, and calls.
func TestRevokedDeviceOfAContactIsRefused(t *testing.T) {
	t.Parallel()
	all := tels(t, 3, nil)
	alice, bob := all[1], all[2]
	stolen, err := identity.NewDevice("stolen", nil)
	must(t, err)
	request, err := stolen.DeviceRequest()
	must(t, err)
	grant, err := alice.AddDevice(request)
	must(t, err)
	must(t, stolen.Adopt(grant, time.Now()))
	e := newEveAs(t, stolen, all[0].Status().Addresses)
	link, err := identity.ParseLink(bob.Link())
	must(t, err)

	must(t, alice.RevokeDevice(stolen.Device().String()))
	eventually(t, "bob knows of the withdrawal", func() bool {
		return bob.node.Revoked(alice.id.Account(), stolen.Device())
	})
	nothing := func(_, _ *[]byte) {}
	if _, told := e.calls(t, link, nothing); told != "bad_identity" {
		t.Errorf("the withdrawn device was told %q", told)
	}
	// When alice is away her record cannot be refreshed: the last one counts.
	must(t, alice.Close())
	if _, told := e.calls(t, link, nothing); told != "bad_identity" {
		t.Errorf("with alice away the withdrawn device was told %q", told)
	}
	if len(bob.Calls()) != 0 {
		t.Errorf("it rang: %+v", bob.Calls())
	}
}

// TestCallNeverAcceptedHasNoPath: what was prepared while it rang is not part of
// the history of a call in which nothing was said.
func TestCallNeverAcceptedHasNoPath(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	mine := alice.calls(bob)
	theirs := bob.ringing()
	eventually(t, "the path is up while it rings", func() bool {
		a, _ := alice.Call(mine)
		b, _ := bob.Call(theirs.ID)
		return a.Path != "" && b.Path != "" && len(a.SAS) == 4
	})
	must(t, bob.Reject(""))
	for p, id := range map[*tel]string{alice: mine, bob: theirs.ID} {
		c := p.ended(id, "declined", "")
		if c.Path != "" || len(c.SAS) != 0 || !c.Answered.IsZero() {
			t.Errorf("%s: path %q, words %q, answered %v", p.id.Name(), c.Path, c.SAS, c.Answered)
		}
	}
}
