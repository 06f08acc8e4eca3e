package media_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"

	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/media/mediatest"
)

// TestMappedAddressIsOfTheMediaPort: the hole that a STUN server sees must be
// the one the call uses.
func TestMappedAddressIsOfTheMediaPort(t *testing.T) {
	udp, _ := relayServer(t)
	var codec mediatest.Codec
	cfg := configs(&codec)
	cfg[0].ICEServers = []media.ICEServer{{URLs: []string{"stun:" + udp}}}
	p := mediatest.NewPair(t, [2]transport.Net{}, cfg)
	p.Connect(t)
	ev := p[0].Await(t, "reflexive candidate", func(ev media.Event) bool {
		c, ok := ev.(media.Candidate)
		return ok && strings.Contains(string(c.Data), "srflx")
	}).(media.Candidate)
	var wire struct{ Candidate string }
	if err := json.Unmarshal(ev.Data, &wire); err != nil {
		t.Fatal(err)
	}
	c, err := ice.UnmarshalCandidate(strings.TrimPrefix(wire.Candidate, "candidate:"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Port() != p[0].Engine.Port() || c.Address() != hostAddress(t) {
		t.Errorf("mapped to %s:%d, media port is %d", c.Address(), c.Port(), p[0].Engine.Port())
	}
	p.AwaitUp(t)
}
