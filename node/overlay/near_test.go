package overlay

import (
	"bytes"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	record "github.com/libp2p/go-libp2p-record"
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
	if got := phone.nearest(t.Context(), key, 3); !slices.Equal(got, want) {
		t.Errorf("nearest are %v, want %v", got, want)
	}
}

// unhurried asks a server until it is not told to wait: a test asks as much as a crowd.
func unhurried(t *testing.T, o *Overlay, from netip.AddrPort, q gate.Question) (a gate.Answer, ok bool) {
	t.Helper()
	eventually(t, "an answer", func() bool {
		a, ok = o.door.serve(from, q, nil)
		return ok && a.Wait == 0
	})
	return a, ok
}

// TestWhoJoinsHearsWhoIsNearItsRecord, and is awaited; who only looks is not.
func TestWhoJoinsHearsWhoIsNearItsRecord(t *testing.T) {
	first := full(t, 4)[0]
	_, asker := newID(t)
	for class, comes := range map[storm.Class]bool{storm.LogIn: true, storm.LookUp: false, storm.Presence: false} {
		from := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 10+uint16(class))
		a, ok := unhurried(t, first, from, gate.Question{From: asker, Class: uint8(class), Key: kb.ConvertKey("a")})
		if !ok || a.Come != comes || len(a.Referrals) != 3 || first.door.admitted.Take(from, time.Now()) != comes {
			t.Errorf("%v: answered %v, %+v", class, ok, a)
		}
	}
}

// TestRecordsGoWithTheSearch: those nearest to the key store the record, no other does,
// and nobody connects for it.
func TestRecordsGoWithTheSearch(t *testing.T) {
	servers := full(t, 6)
	phone := member(t, false, servers[0])
	eventually(t, "joined", func() bool { return phone.dht.RoutingTable().Size() == len(servers) })
	var all []peer.ID
	for _, s := range servers {
		all = append(all, s.host.ID())
		eventually(t, "each server knows all others", func() bool { return s.dht.RoutingTable().Size() >= len(servers)-1 })
	}
	connected := len(phone.Members())
	for i, name := range []string{"/pa/a", "/pa/b", "/pa/c", "/pa/d"} {
		r := Record{Key: name, Value: []byte{byte(i)}}
		phone.keeps(name, &kept{value: r.Value, acked: make(map[peer.ID]time.Time)})
		want := kb.SortClosestPeers(all, kb.ConvertKey(name))[:Neighbours]
		if got := phone.near(name); !slices.Equal(got, want) {
			t.Errorf("%s: found %v, want %v", name, got, want)
		}
		for _, s := range servers {
			holds := slices.Contains(want, s.host.ID())
			eventually(t, "the record is where it should be", func() bool { return (s.keptHere(t.Context(), name) != nil) == holds })
			if has := phone.keptAs(name).has(s.host.ID()); has != holds {
				t.Errorf("%s: acknowledged by a holder (%v): %v", name, holds, has)
			}
		}
	}
	if n := len(phone.Members()); n != connected {
		t.Errorf("connected to %d members, %d before", n, connected)
	}
}

// keeps has a member keep one record and no others.
func (o *Overlay) keeps(key string, r *kept) {
	o.keeping.mu.Lock()
	defer o.keeping.mu.Unlock()
	o.keeping.records = map[string]*kept{key: r}
}

// keptAs is what a member knows of a record that it keeps, as of now.
func (o *Overlay) keptAs(key string) *kept {
	o.keeping.mu.Lock()
	defer o.keeping.mu.Unlock()
	r := *o.keeping.records[key]
	r.acked = maps.Clone(r.acked)
	return &r
}

// TestARecordOfferedIsStoredAtOnce: by who is asked to, near or not; once, however often
// it comes; and one that is not valid is refused in words.
func TestARecordOfferedIsStoredAtOnce(t *testing.T) {
	server, phone := member(t, true), member(t, false)
	phone.host.Peerstore().AddAddrs(server.host.ID(), server.interfaceAddrs(), peerstore.PermanentAddrTTL)
	good, bad := Record{Key: "/pa/key", Value: []byte("value")}, Record{Key: "/none/key", Value: []byte("value")}
	to := server.host.ID()
	for _, r := range []Record{good, bad} {
		phone.keeps(r.Key, &kept{value: r.Value, near: []peer.ID{to}, acked: make(map[peer.ID]time.Time)})
		var a gate.Answer
		for range 3 {
			var err error
			if a, err = phone.offer(t.Context(), to, false); err != nil {
				t.Fatal(err)
			}
			phone.keeping.lost(to) // and again
		}
		if a.Come != (r.Key == good.Key) || (server.keptHere(t.Context(), r.Key) != nil) != a.Come {
			t.Errorf("%s: answered %+v", r.Key, a)
		}
		if err := phone.keptAs(r.Key).Err; a.Come != (err == nil) {
			t.Errorf("%s: %v", r.Key, err)
		}
	}
	if n := server.shelf.count.Load(); n != 4 {
		t.Errorf("%d records were looked into, want 1 and 3", n)
	}
}

// TestWhoLooksUpHearsOfEachBetterValue, and connects to nobody for it.
func TestWhoLooksUpHearsOfEachBetterValue(t *testing.T) {
	servers := full(t, 4)
	phone := member(t, false, servers[0])
	eventually(t, "joined", func() bool { return phone.dht.RoutingTable().Size() == len(servers) })
	connected := len(phone.Members())
	for i, s := range servers {
		value := bytes.Repeat([]byte{'v'}, i+1) // the longer one is the better one
		if err := s.local.Put(t.Context(), "/pa/key", record.MakePutRecord("/pa/key", value)); err != nil {
			t.Fatal(err)
		}
	}
	last := 0
	if err := phone.Follow(t.Context(), "/pa/key", func(value []byte) {
		if len(value) <= last {
			t.Errorf("a value of %d after one of %d", len(value), last)
		}
		last = len(value)
	}); err != nil || last != len(servers) {
		t.Errorf("the last value has %d bytes, want %d; %v", last, len(servers), err)
	}
	if n := len(phone.Members()); n != connected {
		t.Errorf("connected to %d members, %d before", n, connected)
	}
	if err := phone.Follow(t.Context(), "/pa/nothing", func([]byte) { t.Error("a value of nothing") }); !errors.Is(err, ErrNoValue) {
		t.Errorf("error is %v, want ErrNoValue", err)
	}
}

// TestAHolderThatDiesIsNoticed, though nobody is connected to it; and one that lives is not
// taken for dead, though not all of its addresses are of use here.
func TestAHolderThatDiesIsNoticed(t *testing.T) {
	server, phone := member(t, true), member(t, false)
	to := server.host.ID()
	useless := []ma.Multiaddr{ma.StringCast("/ip6/2001:db8::1/udp/9/quic-v1"), ma.StringCast("/ip4/127.0.0.1/udp/9/quic-v1")}
	phone.host.Peerstore().AddAddrs(to, append(useless, server.interfaceAddrs()...), peerstore.PermanentAddrTTL)
	r := &kept{value: []byte("value"), near: []peer.ID{to}, acked: make(map[peer.ID]time.Time)}
	phone.keeps("/pa/key", r)
	if a, err := phone.offer(t.Context(), to, false); err != nil || !a.Come {
		t.Fatalf("%+v, %v", a, err)
	}
	for range 10 { // addresses come in any order
		if held := phone.holdersApart(); !slices.Equal(held, []peer.ID{to}) || !phone.there(to, nil) {
			t.Fatalf("%v hold the record", held)
		}
	}
	_ = server.Close()
	eventually(t, "its death is noticed", func() bool { return len(phone.holdersApart()) == 0 })
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
		return o.door.serve(from, gate.Question{From: asker, Class: uint8(class), Key: key}, nil)
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
