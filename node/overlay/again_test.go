package overlay

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// TestServedIsRemembered: a proof counts at the address it was made at, for a day,
// until another one fails, and across a restart.
func TestServedIsRemembered(t *testing.T) {
	here := []ma.Multiaddr{ma.StringCast("/ip4/20.0.0.1/udp/27470/quic-v1")}
	elsewhere := []ma.Multiaddr{ma.StringCast("/ip4/20.0.0.2/udp/27470/quic-v1")}
	dir, now := t.TempDir(), time.Unix(1e9, 0)
	c := openCache(t, dir)
	if c.servedAt(here, now) {
		t.Error("a new member has served")
	}
	c.proved(here, now)
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, dir)
	for _, tc := range []struct {
		addrs []ma.Multiaddr
		at    time.Time
		want  bool
	}{
		{here, now.Add(time.Hour), true},
		{elsewhere, now.Add(time.Hour), false},
		{here, now.Add(provenFor), false},
		{here, now.Add(-time.Hour), false},
	} {
		if got := c.servedAt(tc.addrs, tc.at); got != tc.want {
			t.Errorf("at %v on %v: %v", tc.addrs, tc.at, got)
		}
	}
	if c.proved(nil, now); c.servedAt(here, now.Add(time.Hour)) {
		t.Error("a proof counts after one that failed")
	}
}

func openCache(t *testing.T, dir string) *cache {
	t.Helper()
	c, err := loadCache(dir, peer.ID("self"), quiet())
	if err != nil {
		t.Fatal(err)
	}
	return c
}
