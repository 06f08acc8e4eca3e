//go:build cgo

package phone

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/signaling"
)

func TestProofOfALinkHoldsForOneCallOnly(t *testing.T) {
	t.Parallel()
	link := identity.Link{Account: identity.AccountID{1}, Secret: [identity.LinkSecretSize]byte{2}}
	proof, err := proveLink(link, "0123", "caller", "callee")
	must(t, err)
	if want := "a49ddb2b026dd259d5659e3a1dc410a3ab2eb592bdfaf29fc44956d560abdec4"; hex.EncodeToString(proof) != want {
		t.Errorf("the proof is %x, in the protocol %s", proof, want)
	}
	rotated, foreign := link, link
	rotated.Secret[15] = 1
	foreign.Account[0] = 9
	for name, other := range map[string]func() ([]byte, error){
		"secret":  func() ([]byte, error) { return proveLink(rotated, "0123", "caller", "callee") },
		"account": func() ([]byte, error) { return proveLink(foreign, "0123", "caller", "callee") },
		"call":    func() ([]byte, error) { return proveLink(link, "0124", "caller", "callee") },
		"caller":  func() ([]byte, error) { return proveLink(link, "0123", "callex", "callee") },
		"callee":  func() ([]byte, error) { return proveLink(link, "0123", "caller", "callex") },
		"border":  func() ([]byte, error) { return proveLink(link, "0123c", "aller", "callee") },
	} {
		got, err := other()
		must(t, err)
		if bytes.Equal(got, proof) {
			t.Errorf("another %s has the same proof", name)
		}
	}
}

// TestAutoAnswerIsForThoseWhoHaveOurLink: whoever only learned where our device
// is gets no further than to ring; whoever was given our link is answered.
func TestAutoAnswerIsForThoseWhoHaveOurLink(t *testing.T) {
	t.Parallel()
	all := strangers(t, 2, func(i int, cfg *Config) {
		if i == 1 {
			cfg.Answer = AnswerAuto
		}
	})
	alice, bob := all[0], all[1]
	link, err := identity.ParseLink(bob.Link())
	must(t, err)
	e := newEve(t, alice.Status().Addresses)
	other := link
	other.Secret[0] ^= 1
	for name, proof := range map[string]func(id string) []byte{
		"no proof": func(string) []byte { return nil },
		"proof of another link": func(id string) []byte {
			proof, failed := proveLink(other, id, e.id.Device(), bob.id.Device())
			must(t, failed)
			return proof
		},
	} {
		id, failed := e.signals.NewCallID()
		must(t, failed)
		call := e.places(t, id, link, func(o *signaling.Offer) { o.Proof = proof(id) })
		theirs := bob.ringing()
		if _, ever := bob.card.streams(); ever > 0 || !theirs.Remote.Stranger {
			t.Errorf("%s: the microphone was opened %d times for %+v", name, ever, theirs.Remote)
		}
		must(t, bob.Reject(""))
		if got := endOf(call); got != "declined" {
			t.Errorf("%s: eve was told %q", name, got)
		}
	}
	mine, err := alice.Dial(bob.Link())
	must(t, err)
	alice.in(mine, StateActive)
	must(t, alice.Hangup(""))
	alice.ended(mine, "hangup", "local")
}

func TestDevicesOfContactsAreKnown(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	device := alice.id.Device().String()
	eventually(t, "bob knows alice's device", func() bool { return bob.knowsDevice(device) })
	must(t, bob.BlockContact("alice"))
	if bob.knowsDevice(device) || bob.knowsDevice(bob.id.Device().String()) || bob.knowsDevice("alice") {
		t.Error("bob knows a device that is no contact's")
	}
}
