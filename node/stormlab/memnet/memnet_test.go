package memnet_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/stormlab/memnet"
)

const rtt = 100 * time.Millisecond

var costs = memnet.Costs{
	Dial: 2 * time.Millisecond, Accept: 2 * time.Millisecond, Refuse: 200 * time.Microsecond,
	Refused: 200 * time.Microsecond, Message: 100 * time.Microsecond, Datagram: 10 * time.Microsecond,
}

// inLab runs a test in virtual time on a network of its own.
func inLab(t *testing.T, test func(t *testing.T, n *memnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, memnet.New(costs, memnet.Links{RTT: rtt})) })
}

func at(i byte) netip.Addr { return netip.AddrFrom4([4]byte{20, 0, i, 1}) }

// newHost is a libp2p host on a machine.
func newHost(t *testing.T, m *memnet.Host, opts ...libp2p.Option) host.Host {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(append(opts, libp2p.Identity(key), m.Transports(), libp2p.ListenAddrs(m.Multiaddr()), libp2p.DisableMetrics())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

const echo = "/echo"

func serveEcho(h host.Host) {
	h.SetStreamHandler(echo, func(s network.Stream) {
		defer s.Close()
		_, _ = io.Copy(s, s)
	})
}

// say sends text to a host and returns what comes back.
func say(ctx context.Context, h host.Host, to peer.ID, text string) (string, error) {
	s, err := h.NewStream(ctx, to, echo)
	if err != nil {
		return "", err
	}
	defer s.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(deadline)
	}
	if _, err = io.WriteString(s, text); err == nil {
		err = s.CloseWrite()
	}
	if err != nil {
		return "", err
	}
	back, err := io.ReadAll(s)
	return string(back), err
}

func TestConnectAndTalk(t *testing.T) {
	inLab(t, func(t *testing.T, n *memnet.Network) {
		ma, mb := n.Start(at(1), memnet.Machine{}), n.Start(at(2), memnet.Machine{})
		a, b := newHost(t, ma), newHost(t, mb)
		serveEcho(b)
		begun := time.Now()
		if err := a.Connect(t.Context(), info(b)); err != nil {
			t.Fatal(err)
		}
		// The handshake's round trip, then identify's.
		if took := time.Since(begun); took < 2*rtt || took > 3*rtt {
			t.Errorf("connected after %v, round trip %v", took, rtt)
		}
		long := string(bytes.Repeat([]byte("long "), 20_000))
		for _, text := range []string{"hello", long} {
			if back, err := say(t.Context(), a, b.ID(), text); err != nil || back != text {
				t.Errorf("sent %d bytes, %d came back: %v", len(text), len(back), err)
			}
		}
		if got := mb.Count(); got.Accepted != 1 || got.Refused != 0 || got.Received == 0 || got.Sent == 0 {
			t.Errorf("counted %+v", got)
		}
		if busy := mb.Use().Busy; busy < costs.Accept || busy > 2*costs.Accept {
			t.Errorf("the accepting host spent %v", busy)
		}
	})
}

func TestWrongPeerIsNotDialled(t *testing.T) {
	inLab(t, func(t *testing.T, n *memnet.Network) {
		a, b := newHost(t, n.Start(at(1), memnet.Machine{})), newHost(t, n.Start(at(2), memnet.Machine{}))
		c := newHost(t, n.Start(at(3), memnet.Machine{}))
		if err := a.Connect(t.Context(), peer.AddrInfo{ID: c.ID(), Addrs: b.Addrs()}); err == nil {
			t.Error("connected to another than asked for")
		}
	})
}

func TestDeadAddressDoesNotAnswer(t *testing.T) {
	inLab(t, func(t *testing.T, n *memnet.Network) {
		a := newHost(t, n.Start(at(1), memnet.Machine{}))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		err := a.Connect(ctx, peer.AddrInfo{ID: "nobody", Addrs: []ma.Multiaddr{memnet.Multiaddr(at(9))}})
		if err == nil || time.Since(begun) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}

// refuser refuses connections from others before the handshake.
type refuser struct {
	network.NullResourceManager
	asked int
}

func (r *refuser) OpenConnection(dir network.Direction, fd bool, a ma.Multiaddr) (network.ConnManagementScope, error) {
	if dir == network.DirInbound {
		r.asked++
		return nil, errors.New("full")
	}
	return r.NullResourceManager.OpenConnection(dir, fd, a)
}

func TestRefusalIsCheapAndQuick(t *testing.T) {
	inLab(t, func(t *testing.T, n *memnet.Network) {
		mb := n.Start(at(2), memnet.Machine{})
		r := &refuser{}
		a, b := newHost(t, n.Start(at(1), memnet.Machine{})), newHost(t, mb, libp2p.ResourceManager(r))
		begun := time.Now()
		err := a.Connect(t.Context(), info(b))
		if took := time.Since(begun); err == nil || took > rtt+2*time.Millisecond {
			t.Errorf("after %v: %v", took, err)
		}
		if got := mb.Count(); got.Refused != 1 || r.asked != 1 {
			t.Errorf("refused %d, asked %d times", got.Refused, r.asked)
		}
		if busy := mb.Use().Busy; busy != costs.Refuse {
			t.Errorf("the refusal cost %v", busy)
		}
	})
}

// TestOverloadShows: fifty hosts that come at once wait for the one processor.
func TestOverloadShows(t *testing.T) {
	const crowd, each = 50, 150 * time.Millisecond
	inLab(t, func(t *testing.T, n *memnet.Network) {
		m := n.Start(at(0), memnet.Machine{Connection: each})
		server := newHost(t, m)
		begun := time.Now()
		ended := make(chan time.Duration, crowd)
		for i := range crowd {
			h := newHost(t, n.Start(at(byte(i+1)), memnet.Machine{}))
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := h.Connect(network.WithDialPeerTimeout(ctx, time.Minute), info(server)); err != nil {
					t.Error(err)
				}
				ended <- time.Since(begun)
			}()
		}
		var last time.Duration
		for range crowd {
			last = max(last, <-ended)
		}
		if want := crowd * each; last < want || last > want+5*time.Second {
			t.Errorf("the last of %d connected after %v, the processor needs %v", crowd, last, want)
		}
		use := m.Use()
		if peak := use.Peak(); peak < 2 {
			t.Errorf("the busiest second brought %.2f s of work", peak)
		}
		if w := memnet.Wait([]memnet.Use{use}, 0.99); w < time.Second {
			t.Errorf("the processor was waited for %v at most", w)
		}
	})
}

// TestKilledHost: the other end does not notice, until the next process at the
// address says that it knows of no connection, or nothing was heard for long.
func TestKilledHost(t *testing.T) {
	for name, again := range map[string]bool{"starts again": true, "stays away": false} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, n *memnet.Network) {
				a, mb := newHost(t, n.Start(at(1), memnet.Machine{})), n.Start(at(2), memnet.Machine{})
				b := newHost(t, mb)
				if err := a.Connect(t.Context(), info(b)); err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				mb.Kill()
				_ = b.Close()
				if again {
					newHost(t, n.Start(at(2), memnet.Machine{}))
				}
				for a.Network().Connectedness(b.ID()) == network.Connected {
					time.Sleep(100 * time.Millisecond)
				}
				least, most := 29*time.Second, 31*time.Second
				if again {
					least, most = 0, 16*time.Second
				}
				if took := time.Since(begun); took < least || took > most {
					t.Errorf("noticed after %v", took)
				}
			})
		})
	}
}

func TestDatagrams(t *testing.T) {
	inLab(t, func(t *testing.T, n *memnet.Network) {
		ma, mb := n.Start(at(1), memnet.Machine{}), n.Start(at(2), memnet.Machine{})
		open := func(m *memnet.Host, i byte) net.PacketConn {
			c, err := m.PacketConn(net.UDPAddrFromAddrPort(netip.AddrPortFrom(at(i), memnet.Port)))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		a, b := open(ma, 1), open(mb, 2)
		defer a.Close()
		begun := time.Now()
		if _, err := a.WriteTo([]byte("may I?"), b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		size, from, err := b.ReadFrom(buf)
		if err != nil || string(buf[:size]) != "may I?" || from.String() != a.LocalAddr().String() {
			t.Errorf("%q from %v: %v", buf[:size], from, err)
		}
		if took := time.Since(begun); took != rtt/2+2*costs.Datagram {
			t.Errorf("under way for %v", took)
		}
		for range 100 { // nobody reads
			_, _ = a.WriteTo([]byte("hello"), b.LocalAddr())
		}
		time.Sleep(time.Second)
		if lost := mb.Count().Lost; lost != 100-32 {
			t.Errorf("%d of 100 datagrams lost", lost)
		}
		time.AfterFunc(time.Second, func() { _ = b.Close() })
		for err = nil; err == nil; {
			_, _, err = b.ReadFrom(buf)
		}
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
	})
}

// TestUncharged: a measurement's connections cost nothing.
func TestUncharged(t *testing.T) {
	inLab(t, func(t *testing.T, n *memnet.Network) {
		ma, mb := n.Start(at(1), memnet.Machine{}), n.Start(at(2), memnet.Machine{})
		a, b := newHost(t, ma), newHost(t, mb)
		stop := ma.Uncharged()
		if err := a.Connect(t.Context(), info(b)); err != nil {
			t.Fatal(err)
		}
		stop()
		time.Sleep(time.Second)
		if ua, ub := ma.Use().Busy, mb.Use().Busy; ua != 0 || ub != 0 || ma.Count() != (memnet.Count{}) {
			t.Errorf("spent %v and %v, counted %+v", ua, ub, ma.Count())
		}
	})
}
