package overlay

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

// full returns n servers, the first of which knows all others.
func full(t *testing.T, n int) []*Overlay {
	t.Helper()
	servers := []*Overlay{member(t, true)}
	for range n - 1 {
		servers = append(servers, member(t, true, servers[0]))
	}
	eventually(t, "the first knows all", func() bool { return servers[0].dht.RoutingTable().Size() == n-1 })
	return servers
}

// TestWalkByQuestions: a node that knows one server finds those nearest to a key
// among all, without a connection to any of them, past those that are dead.
func TestWalkByQuestions(t *testing.T) {
	servers := full(t, 6)
	phone := member(t, false, servers[0])
	eventually(t, "joined", func() bool { return phone.dht.RoutingTable().Size() > 0 })
	for range 3 {
		_, dead := newID(t)
		phone.host.Peerstore().AddAddr(dead, ma.StringCast("/ip4/127.0.0.1/udp/9/quic-v1"), peerstore.PermanentAddrTTL)
		_, _ = phone.dht.RoutingTable().TryAddPeer(dead, false, true)
	}
	key := kb.ConvertKey("/pa/somewhere")
	var all []peer.ID
	for _, s := range servers {
		all = append(all, s.host.ID())
	}
	want := kb.SortClosestPeers(all, key)[:3]
	if got := phone.nearest(t.Context(), key, 3, storm.LookUp); !slices.Equal(got, want) {
		t.Errorf("nearest are %v, want %v", got, want)
	}
}

// unhurried asks a server until it is not told to wait: a test asks as much as a crowd.
func unhurried(t *testing.T, o *Overlay, from netip.AddrPort, q gate.Question) (a gate.Answer, ok bool) {
	t.Helper()
	eventually(t, "an answer", func() bool {
		a, ok = o.door.serve(from, q)
		return ok && a.Wait == 0
	})
	return a, ok
}

// TestWhoIsToHoldARecordSaysCome: to a search for the holders of a record, and only
// who is to hold it.
func TestWhoIsToHoldARecordSaysCome(t *testing.T) {
	first := full(t, 6)[0]
	_, asker := newID(t)
	ids := append(first.dht.RoutingTable().ListPeers(), first.host.ID())
	from := netip.MustParseAddrPort("192.0.2.1:9")
	for i, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		from = netip.AddrPortFrom(from.Addr(), uint16(10+i))
		key := kb.ConvertKey(name)
		holds := slices.Contains(kb.SortClosestPeers(ids, key)[:Neighbours], first.host.ID())
		a, ok := unhurried(t, first, from, gate.Question{From: asker, Class: uint8(storm.Presence), Key: key})
		if !ok || a.Come != holds || len(a.Referrals) != 5 {
			t.Errorf("%s: answered %v, come %v, is a holder %v, names %d", name, ok, a.Come, holds, len(a.Referrals))
		}
		if waits := first.door.admitted.Take(from, time.Now()); waits != holds {
			t.Errorf("%s: a connection is awaited: %v", name, waits)
		}
		if a, ok = unhurried(t, first, from, gate.Question{From: asker, Class: uint8(storm.LookUp), Key: key}); !ok || a.Come {
			t.Errorf("%s: who only looks up is told to come", name)
		}
	}
	from = netip.AddrPortFrom(from.Addr(), 99)
	a, ok := unhurried(t, first, from, gate.Question{From: asker, Class: uint8(storm.LogIn), Key: kb.ConvertKey("a")})
	if !ok || !a.Come || len(a.Referrals) == 0 || !first.door.admitted.Take(from, time.Now()) {
		t.Errorf("who joins and looks up: %+v", a)
	}
}

// TestClientsNameServers: a client lets callers come, and helps those who look for a
// server, if it can.
func TestClientsNameServers(t *testing.T) {
	server := member(t, true)
	client, lonely := member(t, false, server), member(t, false)
	eventually(t, "joined", func() bool { return len(client.Servers()) == 1 })
	_, asker := newID(t)
	from := netip.MustParseAddrPort("192.0.2.1:9")
	ask := func(o *Overlay, class storm.Class, key []byte) (gate.Answer, bool) {
		return o.door.serve(from, gate.Question{From: asker, Class: uint8(class), Key: key})
	}
	if a, ok := ask(client, storm.SetUp, nil); !ok || !a.Come {
		t.Error("a caller may not come")
	}
	if a, ok := ask(client, storm.LogIn, kb.ConvertKey("x")); !ok || a.Come || len(a.Referrals) != 1 || a.Referrals[0].ID != server.host.ID() {
		t.Errorf("who joins hears %+v", a)
	}
	if _, ok := ask(client, storm.Presence, kb.ConvertKey("x")); ok {
		t.Error("a client answers a search for holders")
	}
	if _, ok := ask(lonely, storm.LogIn, nil); ok {
		t.Error("who is not in answers one who wants to be")
	}
}

// TestHearsayIsForgottenFirst: servers that others named have the places left over.
func TestHearsayIsForgottenFirst(t *testing.T) {
	_, self := newID(t)
	c, err := loadCache(t.TempDir(), self, quiet())
	if err != nil {
		t.Fatal(err)
	}
	addr := []ma.Multiaddr{ma.StringCast("/ip4/11.0.0.1/udp/1/quic-v1")}
	now := time.Unix(1_800_000_000, 0)
	var named []peer.AddrInfo
	for range maxCached + 8 {
		_, id := newID(t)
		named = append(named, peer.AddrInfo{ID: id, Addrs: addr})
	}
	_, met := newID(t)
	c.answered(met, addr, now)
	c.heardOf(named)
	if n := len(c.peers); n != maxCached {
		t.Fatalf("%d remembered", n)
	}
	if first := c.candidates()[0].ID; first != met {
		t.Error("who was only heard of is asked before who was met")
	}
	c.touch([]peer.ID{named[0].ID}, now)
	if p := c.peers[named[0].ID]; !p.First.Equal(now) {
		t.Errorf("known since %v", p.First)
	}
	for range maxCached - 2 {
		_, id := newID(t)
		c.dialled(id, addr, now, 0)
	}
	for _, id := range []peer.ID{met, named[0].ID} {
		if _, kept := c.peers[id]; !kept {
			t.Error("one who was met went for one only heard of")
		}
	}
	if err = c.save(); err != nil {
		t.Fatal(err)
	}
	again, err := loadCache(c.path[:len(c.path)-len(cacheFile)], self, quiet())
	if err != nil || len(again.peers) != maxCached {
		t.Errorf("%d after a restart, %v", len(again.peers), err)
	}
}

// TestGivingARecordWaitsForNobody: it is stored without asking what is at the other
// end, and who is no server says so.
func TestGivingARecordWaitsForNobody(t *testing.T) {
	server, client := member(t, true), member(t, false)
	phone := member(t, false)
	for _, o := range []*Overlay{server, client} {
		phone.host.Peerstore().AddAddrs(o.host.ID(), o.interfaceAddrs(), peerstore.PermanentAddrTTL)
	}
	r := Record{Key: "/pa/key", Value: []byte("value")}
	if err := phone.send(t.Context(), server.host.ID(), r); err != nil {
		t.Error(err)
	}
	if value, err := server.Lookup(t.Context(), r.Key, 1); err != nil || string(value) != "value" {
		t.Errorf("stored is %q, %v", value, err)
	}
	if err := phone.send(t.Context(), client.host.ID(), r); err == nil {
		t.Error("a client stores a record")
	}
	if err := phone.send(t.Context(), server.host.ID(), Record{Key: "/none/key", Value: []byte("value")}); err == nil {
		t.Error("a value that is refused counts as stored")
	}
}
