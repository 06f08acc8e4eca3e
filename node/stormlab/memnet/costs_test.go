package memnet_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/transport"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
)

// The benchmarks measure, on real sockets, what the network in memory charges for.
// Both ends run in this process: the metric is its processor time for one end.

// perEnd reports the processor time of f for each of the ends that b.N rounds had.
func perEnd(b *testing.B, ends int, f func()) {
	b.Helper()
	f() // warm
	before := processorTime()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N*ends), "cpu-us/end")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// end is a QUIC transport without a host above it.
type end struct {
	transport.Transport
	id    peer.ID
	conns *quicreuse.ConnManager
	l     transport.Listener
	// accepted has the last connection that came, if nobody took it.
	accepted chan transport.CapableConn
}

// newEnd listens on loopback; admit decides before the handshake.
func newEnd(b testing.TB, admit func() error, opts ...quicreuse.Option) *end {
	b.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	must(b, err)
	e := &end{accepted: make(chan transport.CapableConn, 1)}
	e.id, err = peer.IDFromPrivateKey(key)
	must(b, err)
	opts = append(opts, quicreuse.ConnContext(func(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) { return ctx, admit() }))
	e.conns, err = quicreuse.NewConnManager(quic.StatelessResetKey{}, quic.TokenGeneratorKey{}, opts...)
	must(b, err)
	e.Transport, err = libp2pquic.NewTransport(key, e.conns, nil, nil, &network.NullResourceManager{})
	must(b, err)
	e.l, err = e.Listen(ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1"))
	must(b, err)
	go func() {
		for {
			c, err := e.l.Accept()
			if err != nil {
				return
			}
			select { // the other end closes it
			case <-e.accepted:
			default:
			}
			e.accepted <- c
		}
	}()
	b.Cleanup(func() {
		_ = e.l.Close()
		_ = e.conns.Close()
	})
	return e
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHandshake is Costs.Dial and Costs.Accept.
func BenchmarkHandshake(b *testing.B) {
	welcome := func() error { return nil }
	from, to := newEnd(b, welcome), newEnd(b, welcome)
	perEnd(b, 2, func() {
		c, err := from.Dial(b.Context(), to.l.Multiaddr(), to.id)
		must(b, err)
		must(b, c.Close())
	})
}

// BenchmarkRefusal is Costs.Refuse and Costs.Refused.
func BenchmarkRefusal(b *testing.B) {
	from, to := newEnd(b, func() error { return nil }), newEnd(b, func() error { return errors.New("no") })
	perEnd(b, 2, func() {
		if _, err := from.Dial(b.Context(), to.l.Multiaddr(), to.id); err == nil {
			b.Fatal("not refused")
		}
	})
}

// BenchmarkDatagram is Costs.Datagram: a question of 1,200 bytes and an answer, two
// datagrams with two ends each.
func BenchmarkDatagram(b *testing.B) {
	welcome := func() error { return nil }
	from, to := newEnd(b, welcome), newEnd(b, welcome)
	ask, answer := from.datagrams(b), to.datagrams(b)
	go func() {
		buf := make([]byte, 1500)
		for {
			n, addr, err := answer.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = answer.WriteTo(buf[:n], addr)
		}
	}()
	answers := make(chan struct{}, 1)
	go func() {
		buf := make([]byte, 1500)
		for {
			if _, _, err := ask.ReadFrom(buf); err != nil {
				return
			}
			answers <- struct{}{}
		}
	}()
	question := make([]byte, 1200)
	question[0] = 0x05
	perEnd(b, 4, func() {
		for answered := false; !answered; { // the first ones may come before anybody reads
			_, err := ask.WriteTo(question, answer.LocalAddr())
			must(b, err)
			select {
			case <-answers:
				answered = true
			case <-time.After(time.Second):
			}
		}
	})
}

func (e *end) datagrams(b *testing.B) net.PacketConn {
	b.Helper()
	c, err := e.conns.SharedNonQUICPacketConn("udp4", e.l.Addr().(*net.UDPAddr))
	must(b, err)
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// BenchmarkMessage is Costs.Message: a request of the DHT and its answer, two
// messages with two ends each, between hosts that are connected.
func BenchmarkMessage(b *testing.B) {
	from, asker := newMember(b, dht.ModeClient)
	to, table := newMember(b, dht.ModeServer)
	for range 40 {
		_, public, err := crypto.GenerateEd25519Key(rand.Reader)
		must(b, err)
		other, err := peer.IDFromPublicKey(public)
		must(b, err)
		to.Peerstore().AddAddrs(other, to.Addrs(), peerstore.PermanentAddrTTL)
		_, err = table.RoutingTable().TryAddPeer(other, true, true)
		must(b, err)
	}
	must(b, from.Connect(b.Context(), peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}))
	messages, err := pb.NewProtocolMessenger(asker.MessageSender())
	must(b, err)
	perEnd(b, 4, func() {
		found, err := messages.GetClosestPeers(b.Context(), to.ID(), from.ID())
		must(b, err)
		if len(found) < 10 {
			b.Fatalf("%d peers in the answer", len(found))
		}
	})
}

// BenchmarkStream is what a message costs that opens a stream of its own, as many of
// the library's protocols do: a ping, two messages with two ends each.
func BenchmarkStream(b *testing.B) {
	from, _ := newMember(b, dht.ModeClient)
	to, _ := newMember(b, dht.ModeServer)
	to.SetStreamHandler("/echo", func(s network.Stream) {
		defer s.Close()
		_, _ = io.Copy(s, s)
	})
	must(b, from.Connect(b.Context(), peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}))
	message := make([]byte, 200)
	perEnd(b, 4, func() {
		s, err := from.NewStream(b.Context(), to.ID(), "/echo")
		must(b, err)
		_, err = s.Write(message)
		must(b, err)
		must(b, s.CloseWrite())
		_, err = io.ReadFull(s, message)
		must(b, err)
		must(b, s.Close())
	})
}

func newMember(b *testing.B, mode dht.ModeOpt) (host.Host, *dht.IpfsDHT) {
	b.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableMetrics())
	must(b, err)
	d, err := dht.New(h, dht.ProtocolPrefix("/bench"), dht.Mode(mode), dht.NamespacedValidator("v", anything{}), dht.DisableAutoRefresh())
	must(b, err)
	b.Cleanup(func() {
		_ = d.Close()
		_ = h.Close()
	})
	return h, d
}

type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }
