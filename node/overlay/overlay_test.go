package overlay

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/storm"
)

const patience = 60 * time.Second

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// anything accepts every value of its namespace; the longer one is the better one.
type anything struct{}

func (anything) Validate(_ string, value []byte) error {
	if len(value) == 0 {
		return errors.New("empty")
	}
	return nil
}

func (anything) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, v := range values {
		if len(v) > len(values[best]) {
			best = i
		}
	}
	return best, nil
}

func newID(t testing.TB) (crypto.PrivKey, peer.ID) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

func member(t testing.TB, server bool, bootstrap ...*Overlay) *Overlay {
	t.Helper()
	return memberWith(t, func(cfg *Config) { cfg.Server = server }, bootstrap...)
}

// memberWith opens a member that differs from the usual ones.
func memberWith(t testing.TB, change func(*Config), bootstrap ...*Overlay) *Overlay {
	t.Helper()
	key, _ := newID(t)
	cfg := Config{
		Key: key, Dir: t.TempDir(), Memory: true, Log: quiet(), Now: time.Now,
		Listen:     []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"},
		Validators: record.NamespacedValidator{"pa": anything{}},
		Handlers:   map[protocol.ID]network.StreamHandler{MemberProtocol: func(s network.Stream) { _ = s.Reset() }},
	}
	for _, b := range bootstrap {
		cfg.Bootstrap = append(cfg.Bootstrap, peer.AddrInfo{ID: b.host.ID(), Addrs: b.interfaceAddrs()})
	}
	change(&cfg)
	o, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func TestPublishCountsAcknowledgements(t *testing.T) {
	first := member(t, true)
	others := []*Overlay{member(t, true, first), member(t, true, first)}
	phone := member(t, false, append(others, first)...)
	eventually(t, "three servers", func() bool { return len(phone.Servers()) == 3 })

	var mu sync.Mutex
	var counts []int
	var last Receipt
	keep := func(value []byte) {
		mu.Lock()
		counts, last = nil, Receipt{}
		mu.Unlock()
		phone.Keep(func() []Record { return []Record{{Key: "/pa/key", Value: value}} }, func(_ Record, r Receipt) {
			mu.Lock()
			defer mu.Unlock()
			counts, last = append(counts, r.Acks), r
		})
	}
	is := func(cond func() bool) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return cond() }
	}
	keep([]byte("value"))
	eventually(t, "three acknowledgements", is(func() bool { return last.Acks == 3 }))
	if last.Local || last.Err != nil || !slices.Equal(counts, []int{1, 2, 3}) {
		t.Errorf("receipt %+v, counts %v", last, counts)
	}
	value, err := others[0].Lookup(t.Context(), "/pa/key", 1)
	if err != nil || string(value) != "value" {
		t.Errorf("looked up %q, %v", value, err)
	}
	keep(nil)
	eventually(t, "a value nobody accepts", is(func() bool { return last.Acks == 0 && last.Err != nil }))
	if _, err := phone.Lookup(t.Context(), "/pa/nothing", 1); !errors.Is(err, ErrNoValue) {
		t.Errorf("error is %v, want ErrNoValue", err)
	}
}

func TestReachableDirectly(t *testing.T) {
	server := member(t, true)
	phone := member(t, false, server)
	eventually(t, "a proof", func() bool { s, _, _ := phone.Reach(); return s == ReachDirect })
	if len(phone.Addresses()) == 0 {
		t.Error("no address to publish")
	}
}

func TestReachableThroughARelay(t *testing.T) {
	relay, witness := member(t, true), member(t, true)
	phone := member(t, false, relay, witness)
	eventually(t, "two servers", func() bool { return len(phone.Servers()) == 2 })
	eventually(t, "direct proof", func() bool { s, _, _ := phone.Reach(); return s == ReachDirect })

	var p proof
	p.byRelay(t.Context(), phone.reach, phone.supporting(ReachProtocol))
	if p.err != nil || p.relay == "" || len(p.circuits) == 0 {
		t.Fatalf("%+v", p)
	}
	phone.reach.settle(proof{place: p.place}, true)
	if s, _, _ := phone.Reach(); s != ReachRelay {
		t.Errorf("reach is %s", s)
	}

	caller := member(t, false)
	caller.host.Peerstore().AddAddrs(phone.host.ID(), p.circuits, peerstore.PermanentAddrTTL)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := Dial(ctx, caller.host, peer.AddrInfo{ID: phone.host.ID()}); err != nil {
		t.Fatal(err)
	}
	if !caller.connected(phone.host.ID()) {
		t.Error("no connection through the circuit")
	}

	phone.reach.lost(p.relay)
	if s, _, why := phone.Reach(); s != ReachUnknown || why == "" {
		t.Errorf("after the relay was lost: %s, %q", s, why)
	}
}

func TestAnotherRelayWhenOneIsLost(t *testing.T) {
	servers := []*Overlay{member(t, true), member(t, true)}
	phone, r := relayed(t, servers)
	r.mu.Lock()
	first := r.first.relay
	r.mu.Unlock()
	i := slices.IndexFunc(servers, func(o *Overlay) bool { return o.host.ID() == first })
	if err := servers[i].Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other relay", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.state == ReachRelay && r.first.relay == servers[1-i].host.ID()
	})
	conns := phone.host.ConnManager()
	if conns.IsProtected(servers[i].host.ID(), relayTag) || !conns.IsProtected(servers[1-i].host.ID(), relayTag) {
		t.Error("the relay that holds our reservation, and no other, is to be protected")
	}
}

// relayed is a phone that others reach through one of the servers alone.
func relayed(t *testing.T, servers []*Overlay) (*Overlay, *reach) {
	t.Helper()
	phone := member(t, false, servers...)
	eventually(t, "all servers", func() bool { return len(phone.Servers()) == len(servers) })
	eventually(t, "direct proof", func() bool { s, _, _ := phone.Reach(); return s == ReachDirect })
	r := phone.reach
	eventually(t, "a relay", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.state == ReachRelay {
			return true
		}
		if !r.natted { // a server that was connected last may have seen us at our own address
			r.natted, r.stale = true, true // as if others saw us at a router's
			r.wake()
		}
		return false
	})
	return phone, r
}

// TestSecondRelay: who has two relays tells addresses through both, and stays reachable
// without a moment's break when one is gone, whichever. Its records need not change at once.
func TestSecondRelay(t *testing.T) {
	for _, lose := range []string{"first", "second"} {
		t.Run(lose, func(t *testing.T) {
			servers := []*Overlay{member(t, true), member(t, true), member(t, true)}
			phone, r := relayed(t, servers)
			before := circuitRelays(phone)
			var first, second peer.ID
			eventually(t, "a second relay", func() bool { // the witness may be starved, once
				r.askSecond()
				r.mu.Lock()
				defer r.mu.Unlock()
				first, second = r.first.relay, r.second.relay
				return second != ""
			})
			if second == first || len(before) != 1 || len(circuitRelays(phone)) != 2 {
				t.Fatalf("relays %s and %s; addresses through %v, %v before", first, second, circuitRelays(phone), before)
			}
			gone, left := first, second
			if lose == "second" {
				gone, left = second, first
			}
			i := slices.IndexFunc(servers, func(o *Overlay) bool { return o.host.ID() == gone })
			if err := servers[i].Close(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is noticed", func() bool {
				if s, _, why := phone.Reach(); s != ReachRelay {
					t.Fatalf("it is %s: %s", s, why)
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				return r.first.relay == left && r.second.relay == ""
			})
			if got := circuitRelays(phone); len(got) != 2 {
				t.Errorf("the records change at once: addresses through %v", got)
			}
			r.mu.Lock()
			if wait := r.due.Sub(phone.now()); wait <= 0 || wait > 2*storm.SecondRelay {
				t.Errorf("another one is asked in %v", wait)
			}
			r.mu.Unlock()
			eventually(t, "another second relay", func() bool { // which is asked when it is due
				r.mu.Lock()
				if r.due.After(phone.now()) {
					r.due = phone.now()
					r.wake()
				}
				r.mu.Unlock()
				got := circuitRelays(phone)
				return len(got) == 2 && !slices.Contains(got, gone)
			})
		})
	}
}

// circuitRelays are the relays in the addresses that a member tells, each once.
func circuitRelays(o *Overlay) (relays []peer.ID) {
	for _, a := range o.Addresses() {
		if !IsCircuit(a) {
			continue
		}
		id, _ := a.ValueForProtocol(ma.P_P2P)
		if p, err := peer.Decode(id); err == nil && !slices.Contains(relays, p) {
			relays = append(relays, p)
		}
	}
	return relays
}

func TestDialbackDialsNobodyElse(t *testing.T) {
	server, other := member(t, true), member(t, true)
	_, stranger := newID(t)
	seen := ma.StringCast("/ip4/192.0.2.7/udp/5000/quic-v1")
	claims := []ma.Multiaddr{
		ma.StringCast("/ip4/192.0.2.7/tcp/4711"),
		ma.StringCast("/ip4/192.0.2.8/tcp/4711"),                                        // somebody else's
		ma.StringCast("/ip4/192.0.2.7/tcp/4711/ws"),                                     // no transport of ours
		ma.StringCast("/ip4/192.0.2.9/tcp/1/p2p/" + stranger.String() + "/p2p-circuit"), // a relay we do not know
		ma.StringCast("/ip4/192.0.2.9/tcp/1/p2p/" + other.host.ID().String() + "/p2p-circuit"),
		ma.StringCast("/ip4/192.0.2.9/tcp/1/p2p/" + server.host.ID().String() + "/p2p-circuit"),
	}
	targets := server.dialback.targets(seen, claims)
	if len(targets) != 2 || targets[claims[0].String()] == nil || targets[claims[5].String()] == nil {
		t.Fatalf("targets %v", targets)
	}
	if through := targets[claims[5].String()].String(); strings.Contains(through, "192.0.2.9") {
		t.Errorf("dials a relay where the asker says it is: %s", through)
	}
	if mapped := server.dialback.targets(seen, claims[1:3]); len(mapped) != 1 || mapped[seen.String()] == nil {
		t.Errorf("behind a router: %v", mapped)
	}
}

func TestDialbackIsBounded(t *testing.T) {
	d := member(t, true).dialback
	_, asker := newID(t)
	admitted := 0
	for range 3 * askBurst {
		if d.admit(asker) {
			admitted++
		}
	}
	if admitted != askBurst {
		t.Errorf("admitted %d, want %d", admitted, askBurst)
	}
}

func TestDialbackMakesNoHostAfterClose(t *testing.T) {
	d := newDialback(member(t, true))
	d.close()
	if h, err := d.host(); err == nil {
		t.Errorf("a host after close: %v", h.Close())
	}
}

func TestUsefulAddresses(t *testing.T) {
	a := ma.StringCast
	loop, lan, public := a("/ip4/127.0.0.1/tcp/1"), a("/ip4/192.168.1.2/tcp/1"), a("/ip4/11.0.0.1/tcp/1")
	mapped := a("/ip4/12.0.0.1/udp/7/quic-v1")
	_, id := newID(t)
	circuit := a("/ip4/13.0.0.1/tcp/1/p2p/" + id.String() + "/p2p-circuit")
	list := func(as ...ma.Multiaddr) []ma.Multiaddr { return as }
	for _, c := range []struct {
		name                            string
		interfaces, proven, circs, want []ma.Multiaddr
	}{
		{"lab on one machine", list(loop), nil, nil, list(loop)},
		{"no loopback otherwise", list(loop, lan), nil, nil, list(lan)},
		{"proven first", list(lan, public), list(public), nil, list(public, lan)},
		{"behind a relay", list(loop, lan, public), nil, list(circuit), list(circuit, lan)},
		{"mapping of a router", list(lan), list(mapped), list(circuit), list(mapped, circuit, lan)},
	} {
		if got := useful(c.interfaces, c.proven, c.circs); !slices.EqualFunc(got, c.want, ma.Multiaddr.Equal) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestDialsQUICFirst(t *testing.T) {
	_, id := newID(t)
	quic, tcp := ma.StringCast("/ip4/11.0.0.1/udp/1/quic-v1"), ma.StringCast("/ip4/11.0.0.1/tcp/1")
	circuit := ma.StringCast("/ip4/11.0.0.2/udp/1/quic-v1/p2p/" + id.String() + "/p2p-circuit")
	delays := func(addrs ...ma.Multiaddr) (out []time.Duration) {
		for _, r := range rankDials(addrs, tcpDelay) {
			out = append(out, r.Delay)
		}
		return out
	}
	if got := delays(quic, tcp, circuit); !slices.Equal(got, []time.Duration{0, tcpDelay, circuitDelay}) {
		t.Error(got)
	}
	if got := delays(tcp); got[0] != 0 {
		t.Error(got)
	}
	lan := ma.StringCast("/ip4/192.168.1.1/udp/1/quic-v1")
	if got := delays(lan, circuit); !slices.Equal(got, []time.Duration{0, circuitDelayLAN}) {
		t.Error(got)
	}
	if got := delays(circuit); got[0] != 0 {
		t.Error(got)
	}
}

func TestPeerCacheKeeps(t *testing.T) {
	dir := t.TempDir()
	c, err := loadCache(dir, "", quiet())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	addr := []ma.Multiaddr{ma.StringCast("/ip4/11.0.0.1/tcp/1")}
	var last peer.ID
	for i := range maxCached + 10 {
		_, last = newID(t)
		c.dialled(last, addr, now.Add(time.Duration(i)*time.Second), time.Millisecond)
	}
	if err = c.save(); err != nil {
		t.Fatal(err)
	}
	again, err := loadCache(dir, "", quiet())
	if err != nil {
		t.Fatal(err)
	}
	if got := again.candidates(); len(got) != maxCached || got[0].ID != last || !got[0].Addrs[0].Equal(addr[0]) {
		t.Errorf("%d peers, first %v", len(got), got[0])
	}
	if p := again.peers[last]; p.RTT != time.Millisecond || p.Role != "server" {
		t.Errorf("%+v", p)
	}
}

func TestUnreadablePeerCacheIsSetAside(t *testing.T) {
	for name, text := range map[string]string{"garbage": "{", "newer": `{"version":3,"peers":[]}`} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, cacheFile)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := loadCache(dir, "", quiet())
			if err != nil || len(c.candidates()) != 0 {
				t.Fatalf("%v", err)
			}
			if err = os.WriteFile(path, []byte("another"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err = loadCache(dir, "", quiet()); err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{".unreadable": text, ".unreadable-2": "another"} {
				if aside, err := os.ReadFile(path + name); err != nil || string(aside) != want {
					t.Errorf("set aside as %s: %q, %v", name, aside, err)
				}
			}
		})
	}
}

func TestFrames(t *testing.T) {
	var wire bytes.Buffer
	if err := WriteFrame(&wire, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	full := wire.Bytes()
	if got, err := ReadFrame(bytes.NewReader(full), 5); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ReadFrame(bytes.NewReader(full), 4); !errors.Is(err, ErrFrameTooLarge) {
		t.Errorf("error is %v, want ErrFrameTooLarge", err)
	}
	if _, err := ReadFrame(bytes.NewReader(full[:6]), 5); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error is %v, want ErrUnexpectedEOF", err)
	}
	if _, err := ReadFrame(bytes.NewReader(nil), 5); !errors.Is(err, io.EOF) {
		t.Errorf("error is %v, want EOF", err)
	}
}

func TestParsePeers(t *testing.T) {
	_, id := newID(t)
	good := "/ip4/11.0.0.1/udp/1/quic-v1/p2p/" + id.String()
	if got, err := ParsePeers([]string{good, "/ip4/11.0.0.1/tcp/1/p2p/" + id.String()}); err != nil || len(got) != 1 || len(got[0].Addrs) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "hello", "/ip4/11.0.0.1/tcp/1"} {
		if _, err := ParsePeers([]string{bad}); !errors.Is(err, ErrBadAddress) {
			t.Errorf("%q: %v, want ErrBadAddress", bad, err)
		}
	}
}

func FuzzReachRequest(f *testing.F) {
	for _, r := range []reachRequest{
		{Version: 1, Addrs: []string{"/ip4/11.0.0.1/tcp/1", "x"}}, {Version: 2}, {Version: 1, Addrs: make([]string, 20)},
	} {
		data, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		addrs, err := parseReachRequest(data)
		if len(addrs) > maxClaims || (err != nil && len(addrs) > 0) {
			t.Errorf("%d addresses, %v", len(addrs), err)
		}
		for _, a := range addrs {
			_, _ = ipOf(a)
			_ = local(a)
		}
	})
}

func FuzzReachResult(f *testing.F) {
	f.Add([]byte(`{"v":1,"addr":"/ip4/11.0.0.1/tcp/1","ok":true}`))
	f.Add([]byte(`{"v":1,"addr":"","ok":true}`))
	f.Add([]byte(`{"v":9}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, addr, err := parseReachResult(data); err == nil && addr == nil {
			t.Error("neither address nor error")
		}
	})
}

func FuzzPeersFile(f *testing.F) {
	_, id := newID(f)
	f.Add([]byte(`{"version":1,"peers":[{"id":"` + id.String() + `","addrs":["/ip4/11.0.0.1/tcp/1"],"rtt_us":5}]}`))
	f.Add([]byte(`{"version":1,"peers":[{"id":"x"}]}`))
	f.Add([]byte(`{"version":3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseCache(data)
		if err != nil && r.peers != nil {
			t.Error("peers beside an error")
		}
		if r.size < 0 || (len(r.ticketKey) != 0 && len(r.ticketKey) != ticketKeyBytes) {
			t.Errorf("%+v", r)
		}
		for id, p := range r.peers {
			if id != p.ID || len(p.Addrs) == 0 || len(p.Addrs) > maxCachedAddrs || p.RTT < 0 || len(p.Ticket) > maxTicketBytes || p.First.After(p.Seen) {
				t.Errorf("%+v", p)
			}
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 7})
	f.Add([]byte{255, 255, 255, 255, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		if msg, err := ReadFrame(bytes.NewReader(data), 100); err == nil && len(msg) > 100 {
			t.Errorf("message of %d bytes", len(msg))
		}
	})
}
