package overlay

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

// crowd makes a server as busy as if d of work had been let in just now, and uses
// up what it keeps for strangers.
func crowd(o *Overlay, d time.Duration) {
	o.door.mu.Lock()
	defer o.door.mu.Unlock()
	now := o.door.moment()
	o.door.gate.Spent(now, storm.LogIn, d)
	o.door.strangers, o.door.filled = 0, now+time.Minute
}

// TestCrowdedServerRefusesTheUnasked: before the handshake, while those who ask are
// told when to come, and come.
func TestCrowdedServerRefusesTheUnasked(t *testing.T) {
	server := member(t, true)
	stock, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		t.Fatal(err)
	}
	defer stock.Close()
	crowd(server, 10*time.Second)
	for _, a := range server.interfaceAddrs() {
		err := stock.Connect(t.Context(), peer.AddrInfo{ID: server.host.ID(), Addrs: []ma.Multiaddr{a}})
		if err == nil {
			t.Errorf("%s: a stranger is let in", a)
		}
	}
	if n := server.Load().Refusals; n < 2 || !server.Load().Storm {
		t.Errorf("%d refusals, %+v", n, server.Load())
	}
	client := member(t, false, server)
	eventually(t, "joined", func() bool { return len(client.Servers()) == 1 })
}

func TestCalmServerRefusesNobody(t *testing.T) {
	server := member(t, true)
	stock, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		t.Fatal(err)
	}
	defer stock.Close()
	if err := stock.Connect(t.Context(), peer.AddrInfo{ID: server.host.ID(), Addrs: server.interfaceAddrs()}); err != nil {
		t.Error(err)
	}
	if l := server.Load(); l.Refusals != 0 || l.Storm || l.Load == 0 {
		t.Errorf("%+v", l)
	}
}

// TestStrangersAreNotStarved: a crowded server keeps a few places for those who
// never ask, and lets in whom it has asked to dial back.
func TestStrangersAreNotStarved(t *testing.T) {
	d := member(t, true).door
	from := func(i byte) netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, i}), 1) }
	d.mu.Lock()
	d.gate.Spent(d.moment(), storm.LogIn, time.Minute)
	d.mu.Unlock()
	admitted := 0
	for i := range byte(100) {
		if d.admit(from(i), true) {
			admitted++
		}
	}
	if admitted < strangersBurst || admitted > 2*strangersBurst {
		t.Errorf("%d strangers of 100 let in at once", admitted)
	}
	d.expect(from(200).Addr())
	if !d.admit(from(200), true) || !d.admit(from(200), false) {
		t.Error("a witness is refused")
	}
}

func TestClientsRefuseNobody(t *testing.T) {
	d := member(t, false).door
	d.mu.Lock()
	d.gate.Spent(d.moment(), storm.LogIn, time.Minute)
	d.mu.Unlock()
	for range 100 {
		if !d.admit(netip.MustParseAddrPort("192.0.2.1:1"), true) {
			t.Fatal("a client refuses")
		}
	}
}

// TestQuestionSentAgainIsPaidForOnce: its first answer may be late, or lost.
func TestQuestionSentAgainIsPaidForOnce(t *testing.T) {
	d := member(t, true).door
	_, asker := newID(t)
	from := netip.MustParseAddrPort("192.0.2.1:4000")
	q := gate.Question{From: asker, Class: uint8(storm.LogIn)}
	if a, ok := d.serve(from, q, nil); !ok || !a.Come {
		t.Fatalf("the first of all is not let in: %+v", a)
	}
	once := d.o.Load().Load
	if a, ok := d.serve(from, q, nil); !ok || !a.Come || d.o.Load().Load > once*1.1 {
		t.Errorf("asked again: %+v, load %.4f after %.4f", a, d.o.Load().Load, once)
	}
	if !d.admitted.Take(from, time.Now()) {
		t.Error("who asked twice is not awaited")
	}
	if d.serve(from, q, nil); d.o.Load().Load < once*1.5 {
		t.Error("who came and asks anew has not paid")
	}
}

func TestReachableNodeServesWhereOthersAreRefused(t *testing.T) {
	d := member(t, false).door
	if d.wanted() {
		t.Error("wanted though nobody was refused")
	}
	for range 100 {
		d.heard(false)
	}
	eventually(t, "wanted where all are refused", d.wanted)
}

// TestServersThatDialUsAreNotRemembered: they could push out those we chose.
func TestServersThatDialUsAreNotRemembered(t *testing.T) {
	server := member(t, true)
	dialler := member(t, true, server)
	eventually(t, "connected", func() bool { return server.isServer(dialler.host.ID()) })
	eventually(t, "who was dialled is remembered", func() bool { return len(dialler.cache.find(server.host.ID())) == 1 })
	for _, c := range server.host.Network().ConnsToPeer(dialler.host.ID()) {
		if c.Stat().Direction == network.DirOutbound {
			t.Skip("both have dialled")
		}
	}
	if len(server.cache.find(dialler.host.ID())) != 0 {
		t.Error("who only dialled us is remembered")
	}
}

func TestSnapshotFillsTheTableAndGivesATicket(t *testing.T) {
	first := member(t, true)
	for range 3 {
		member(t, true, first)
	}
	eventually(t, "three servers", func() bool { return first.dht.RoutingTable().Size() == 3 })
	phone := member(t, false, first)
	eventually(t, "the table is filled", func() bool { return phone.dht.RoutingTable().Size() == 4 })
	eventually(t, "a ticket", func() bool { return len(phone.cache.ticket(first.host.ID())) > 0 })
	if !first.door.keys.TicketHolds(phone.cache.ticket(first.host.ID()), phone.host.ID(), time.Now()) {
		t.Error("the ticket does not hold")
	}
}

func TestSnapshotNamesNoMoreThanFits(t *testing.T) {
	for name, msg := range map[string]string{
		"version": `{"v":2}`, "keys": `{"v":1,"keys":["","","","",""]}`, "nothing": ``,
	} {
		if _, err := parseSnapshotRequest([]byte(msg)); !errors.Is(err, errSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzSnapshot(f *testing.F) {
	_, id := newID(f)
	f.Add([]byte(`{"v":1,"keys":["AAAA"]}`))
	f.Add([]byte(`{"v":1,"peers":[{"id":"` + id.String() + `","addrs":["BAsAAAEGAAE="]}],"ticket":"AAAA","size":-1,"window_ms":99999999999}`))
	f.Add([]byte(`{"v":1,"peers":[{"id":"x"},{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if keys, err := parseSnapshotRequest(data); len(keys) > maxSnapshotKeys || (err != nil && keys != nil) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		s, err := parseSnapshot(data)
		if err != nil && s.peers != nil {
			t.Error("peers beside an error")
		}
		if len(s.peers) > maxSnapshotPeers || s.size < 0 || len(s.ticket) > maxTicketBytes {
			t.Errorf("%+v", s)
		}
		for _, p := range s.peers {
			if len(p.Addrs) == 0 || len(p.Addrs) > maxSnapshotAddrs {
				t.Errorf("%+v", p)
			}
		}
	})
}

func TestStrataAreKept(t *testing.T) {
	_, self := newID(t)
	now := time.Unix(1_800_000_000, 0)
	var peers []cachedPeer
	for i := range 300 {
		_, id := newID(t)
		peers = append(peers, cachedPeer{ID: id, First: now.Add(-time.Duration(i) * time.Hour), Seen: now})
	}
	own := kb.ConvertPeerID(self)
	var all []peer.ID
	for _, p := range peers {
		all = append(all, p.ID)
	}
	got := stratify(self, slices.Clone(peers), maxCached)
	has := func(id peer.ID) bool { return slices.ContainsFunc(got, func(p cachedPeer) bool { return p.ID == id }) }
	if len(got) != maxCached {
		t.Fatalf("%d kept", len(got))
	}
	for _, id := range kb.SortClosestPeers(all, own)[:keptNear] {
		if !has(id) {
			t.Error("one of the nearest is not kept")
		}
	}
	for _, p := range peers[300-keptLongLived:] {
		if !has(p.ID) {
			t.Error("one of the oldest is not kept")
		}
	}
	buckets := make(map[int]int)
	for _, p := range got {
		buckets[kb.CommonPrefixLen(own, kb.ConvertPeerID(p.ID))]++
	}
	if buckets[0] == 0 || buckets[0] > maxCached/2 {
		t.Errorf("%d of %d in the farthest bucket", buckets[0], maxCached)
	}
}

func TestPeerCacheOfVersion1IsRead(t *testing.T) {
	_, id := newID(t)
	r, err := parseCache([]byte(`{"version":1,"peers":[{"id":"` + id.String() + `","addrs":["/ip4/11.0.0.1/tcp/1"],"role":"server","seen_unix":1800000000,"rtt_us":5}]}`))
	p := r.peers[id]
	if err != nil || p.RTT != 5*time.Microsecond || !p.First.Equal(p.Seen) || p.Ticket != nil {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestCallersAreLetInWhereJoinersWait: a crowded server has room kept for calls.
func TestCallersAreLetInWhereJoinersWait(t *testing.T) {
	server := member(t, true)
	caller := member(t, false)
	d := server.door
	d.mu.Lock()
	now := d.moment()
	for d.gate.Load(now) < 2 { // as much joining as there is room for, and more
		d.gate.Spent(now, storm.LogIn, 100*time.Millisecond)
	}
	d.strangers, d.filled = 0, now+time.Minute
	d.mu.Unlock()
	addrs := slices.DeleteFunc(server.interfaceAddrs(), func(a ma.Multiaddr) bool { return !isQUIC(a) })
	info := peer.AddrInfo{ID: server.host.ID(), Addrs: addrs}
	err := errors.New("not tried")
	for tries := 0; err != nil && tries < 5; tries++ { // on a busy machine leave may come after its time
		caller.Knock(t.Context(), info)
		err = Dial(t.Context(), caller.host, info)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestDeadNeighbourIsNoticed: it leaves a connection behind that looks open.
func TestDeadNeighbourIsNoticed(t *testing.T) {
	server := member(t, true)
	client := member(t, false, server)
	eventually(t, "joined", func() bool { return len(client.neighbours()) == 1 })
	if !client.there(server.host.ID(), nil) {
		t.Error("a neighbour that is there is taken for gone")
	}
	var w watched
	pongs := []struct {
		boot        uint64
		same, grown bool
	}{{1 << 16, true, false}, {1 << 16, true, false}, {1<<16 + 1, true, true}, {1<<16 + 1, true, false}, {2 << 16, false, false}}
	for i, p := range pongs {
		if same, grown := w.same(booted{id: "a"}, p.boot); same != p.same || grown != p.grown {
			t.Errorf("pong %d: the same process %v, grown %v", i, same, grown)
		}
	}
	w.forget("a")
	if same, grown := w.same(booted{id: "a"}, 3<<16); !same || grown {
		t.Error("a neighbour that is forgotten may have any number")
	}
}
