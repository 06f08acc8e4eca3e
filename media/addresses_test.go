package media_test

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/pion/sdp/v3"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"

	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/media/mediatest"
)

// manyHomed is this machine with the addresses of another.
type manyHomed struct {
	transport.Net
	interfaces []*transport.Interface
}

func (n manyHomed) Interfaces() ([]*transport.Interface, error) { return n.interfaces, nil }

func newManyHomed(t *testing.T, addrs ...string) manyHomed {
	t.Helper()
	n, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	i := transport.NewInterface(net.Interface{Index: 1, Name: "many0", MTU: 1500, Flags: net.FlagUp | net.FlagMulticast})
	for _, a := range addrs {
		p := netip.MustParsePrefix(a)
		i.AddAddress(&net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	return manyHomed{n, []*transport.Interface{i}}
}

// TestManyAddressesAreOneCandidateOfEachFamilyToTheAgent: one socket is behind
// all of them, and an agent that takes them for several confuses their checks.
// The other end is told of all.
func TestManyAddressesAreOneCandidateOfEachFamilyToTheAgent(t *testing.T) {
	machine := newManyHomed(t, "192.0.2.7/24", "172.17.0.1/16", "198.51.100.7/24", "2001:db8::7/64", "fd00::7/64", "fe80::7/64")
	engine, err := media.NewEngine(media.EngineConfig{Net: machine})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	var codec mediatest.Codec
	cfg := configs(&codec)[0]
	cfg.Offerer = true
	session, err := engine.NewSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	offer, err := session.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var d sdp.SessionDescription
	if err := d.Unmarshal(offer); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, a := range d.MediaDescriptions[0].Attributes {
		if a.Key == "candidate" {
			c, err := media.ParseCandidate(a.Value)
			if err != nil {
				t.Fatal(err)
			}
			if c.Port() != engine.Port() {
				t.Errorf("candidate %s is not of the media port %d", a.Value, engine.Port())
			}
			told = append(told, c.Address())
		}
	}
	slices.Sort(told)
	told = slices.Compact(told) // pion names those of its agent for RTCP as well
	want := []string{"172.17.0.1", "192.0.2.7", "198.51.100.7", "2001:db8::7", "fd00::7"}
	if !slices.Equal(told, want) {
		t.Errorf("the other end is told of %v, want %v", told, want)
	}
	if own := engine.AgentAddresses(); len(own) != 2 {
		t.Errorf("our own agent has the addresses %v, want one of each family", own)
	}
}
