package overlay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

// The benchmarks of this file measure what single pieces of work take of a server's
// processor, on real sockets. Those who want the work done are a process of their own,
// so that the processor time of this one is the server's alone.

// crowdJob and crowdAt tell that process what to do, and where the server is.
const (
	crowdJob = "PEERD_TEST_CROWD"
	crowdAt  = "PEERD_TEST_CROWD_AT"
	// crowdDone is what it says when it has done as much as it was asked for.
	crowdDone = "the crowd is done"
	// outstanding questions of the crowd: fewer than the 32 that wait at most.
	outstanding = 16
)

// job does something n times.
type job func(n int) error

// TestCrowdProcess is no test but that process: it reads from its input how often to
// do its job, again and again.
func TestCrowdProcess(t *testing.T) {
	what := os.Getenv(crowdJob)
	if what == "" {
		t.Skip("only run as a process of a benchmark")
	}
	server, err := peer.AddrInfoFromString(os.Getenv(crowdAt))
	if err != nil {
		t.Fatal(err)
	}
	var do job
	switch what {
	case "be refused":
		do = questions(t, *server, gate.Question{Class: uint8(storm.LogIn)})
	case "search":
		do = questions(t, *server, gate.Question{Class: uint8(storm.LookUp), Key: make([]byte, gate.KeyBytes)})
	case "connect":
		do = connections(t, *server)
	case "put":
		do = puts(t, *server)
	case "give":
		do = gifts(t, *server)
	case "read":
		do = reads(t, *server)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		n, err := strconv.Atoi(in.Text())
		if err == nil {
			err = do(n)
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(crowdDone)
	}
}

// questions asks as fast as it is answered, one question after the other in turn.
func questions(t *testing.T, server peer.AddrInfo, list ...gate.Question) job {
	at, _ := udpAddr(server.Addrs[0])
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	_, from := newID(t)
	datagrams := make([][]byte, len(list))
	for i, q := range list {
		q.Nonce, q.From = 1, from
		if datagrams[i], err = gate.AppendQuestion(nil, q); err != nil {
			t.Fatal(err)
		}
	}
	buf, next := make([]byte, gate.QuestionSize), 0
	return func(n int) error {
		for out := 0; n > 0; {
			for ; out < min(n, outstanding); out++ {
				if _, err := conn.Write(datagrams[next%len(list)]); err != nil {
					return err
				}
				next++
			}
			_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			switch _, err := conn.Read(buf); {
			case err == nil:
				n, out = n-1, out-1
			case errors.Is(err, os.ErrDeadlineExceeded):
				out = 0 // they are lost: ask again
			default:
				return err
			}
		}
		return nil
	}
}

// connections connects, is identified, and leaves.
func connections(t *testing.T, server peer.AddrInfo) job {
	client := clientHost(t)
	return func(n int) error {
		for range n {
			if err := client.Connect(t.Context(), server); err != nil {
				return err
			}
			time.Sleep(5 * time.Millisecond) // the server asks who we are
			_ = client.Network().ClosePeer(server.ID)
		}
		return nil
	}
}

// puts has records stored over one connection.
func puts(t *testing.T, server peer.AddrInfo) job {
	client := clientHost(t)
	table, err := dht.New(client, dht.ProtocolPrefix(dhtPrefix), dht.Mode(dht.ModeClient), dht.DisableAutoRefresh())
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := pb.NewProtocolMessenger(table.MessageSender())
	if err == nil {
		err = client.Connect(t.Context(), server)
	}
	if err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 600)
	_, _ = rand.Read(value)
	return func(n int) error {
		for range n {
			if err := msgs.PutValue(t.Context(), server.ID, record.MakePutRecord("/pa/"+string(client.ID()), value)); err != nil {
				return err
			}
		}
		return nil
	}
}

// gifts are more records than a server remembers to have been given, of 600 bytes and
// signed.
func gifts(t *testing.T, server peer.AddrInfo) job {
	list := make([]gate.Question, 4*shelfMemory)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		value := append(bytes.Clone(public), make([]byte, 600-len(public)-ed25519.SignatureSize)...)
		value = append(value, ed25519.Sign(private, value)...)
		list[i] = gate.Question{Class: uint8(storm.Presence), Record: &gate.Record{Name: giftName(i), Value: value}}
	}
	return questions(t, server, list...)
}

// reads asks for the records of gifts, one after the other.
func reads(t *testing.T, server peer.AddrInfo) job {
	give := gifts(t, server)
	if err := give(4 * shelfMemory); err != nil {
		t.Fatal(err)
	}
	at, _ := udpAddr(server.Addrs[0])
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	own := gate.Packets(conn)
	port := gate.NewPort([]gate.Conn{own}, func(*net.UDPAddr) net.Addr { return own.LocalAddr() }, nil, nil)
	return func(n int) error {
		for i := range n {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			value, err := port.Read(ctx, at, giftName(i%(4*shelfMemory)))
			if cancel(); err != nil || len(value) == 0 {
				return fmt.Errorf("%d bytes were read: %w", len(value), err)
			}
		}
		return nil
	}
}

func giftName(i int) string { return fmt.Sprintf("/pa/%052d", i) }

// signed accepts what is signed by the key that it begins with.
type signed struct{ anything }

func (signed) Validate(_ string, value []byte) error {
	if n := len(value) - ed25519.SignatureSize; n < ed25519.PublicKeySize || !ed25519.Verify(value[:ed25519.PublicKeySize], value[:n], value[n:]) {
		return errors.New("not signed")
	}
	return nil
}

// clientHost is the host of a member without the member.
func clientHost(t *testing.T) host.Host {
	key, _ := newID(t)
	h, err := newHost(Config{Key: key}, &sockets{}, hooks{
		advertise: func(addrs []ma.Multiaddr) []ma.Multiaddr { return addrs },
		admit:     func(netip.AddrPort, bool) bool { return true },
		rank:      swarm.DefaultDialRanker,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.SetStreamHandler(MemberProtocol, func(s network.Stream) { _ = s.Reset() })
	return h
}

// applicants are that process, seen from the benchmark.
type applicants struct {
	in  io.Writer
	out *bufio.Scanner
}

func startCrowd(b *testing.B, what string, server *Overlay) *applicants {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCrowdProcess$")
	cmd.Env = append(os.Environ(), crowdJob+"="+what, crowdAt+"="+quicAddr(b, server).String())
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	return &applicants{in, bufio.NewScanner(out)}
}

// quicAddr is where a member takes connections and questions: addresses come in any
// order.
func quicAddr(b *testing.B, o *Overlay) ma.Multiaddr {
	b.Helper()
	for _, a := range o.interfaceAddrs() {
		if isQUIC(a) {
			return a.Encapsulate(ma.StringCast("/p2p/" + o.host.ID().String()))
		}
	}
	b.Fatal("no QUIC address")
	return nil
}

// do has the crowd do its job n times.
func (c *applicants) do(b *testing.B, n int) {
	b.Helper()
	fmt.Fprintln(c.in, n)
	var said []string
	for c.out.Scan() {
		if c.out.Text() == crowdDone {
			return
		}
		said = append(said, c.out.Text())
	}
	b.Fatalf("the crowd has gone: %s", strings.Join(said, "\n"))
}

// perJob reports the processor time of this process for each time the job is done.
func perJob(b *testing.B, what string, server *Overlay) {
	b.Helper()
	c := startCrowd(b, what, server)
	c.do(b, 200) // warm
	b.ResetTimer()
	spent, garbage := processCPU(), gcCPU()
	c.do(b, b.N)
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(each(processCPU()-spent), "us-cpu/op")
	b.ReportMetric(each(gcCPU()-garbage), "us-gc/op") // of these
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRefusal is a question refused, with a slot and 8 referrals.
func BenchmarkRefusal(b *testing.B) {
	server := member(b, true)
	refuseAll(b, server.door)
	for _, p := range someServers(b, gate.MaxReferrals) {
		server.door.joined(p)
	}
	refused := server.Load().Refusals
	perJob(b, "be refused", server)
	if n := server.Load().Refusals - refused; n < uint64(b.N) {
		b.Errorf("only %d of %d were refused", n, b.N)
	}
}

// BenchmarkSearchStep is a question for the servers nearest to a key, answered from a
// full routing table.
func BenchmarkSearchStep(b *testing.B) {
	server := member(b, true)
	admitAll(server.door)
	for _, p := range someServers(b, 40) {
		server.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.PermanentAddrTTL)
		_, _ = server.dht.RoutingTable().TryAddPeer(p.ID, true, false)
	}
	perJob(b, "search", server)
}

// BenchmarkConnection is a connection of a node that was told to come: the handshake,
// identify both ways, and its end.
func BenchmarkConnection(b *testing.B) {
	server := member(b, true)
	admitAll(server.door)
	perJob(b, "connect", server)
}

// BenchmarkPut is a record of 600 bytes stored on an open connection, in the store on
// the disk.
func BenchmarkPut(b *testing.B) {
	server := memberWith(b, func(cfg *Config) { cfg.Server, cfg.Memory = true, false })
	admitAll(server.door)
	perJob(b, "put", server)
}

// BenchmarkGift is a record of 600 bytes that comes with a question: its signature
// checked, stored on the disk, and answered.
func BenchmarkGift(b *testing.B) {
	server := memberWith(b, func(cfg *Config) {
		cfg.Server, cfg.Memory, cfg.Validators = true, false, record.NamespacedValidator{"pa": signed{}}
	})
	admitAll(server.door)
	perJob(b, "give", server)
}

// BenchmarkRead is a record of 600 bytes read from the disk for somebody.
func BenchmarkRead(b *testing.B) {
	server := memberWith(b, func(cfg *Config) {
		cfg.Server, cfg.Memory, cfg.Validators = true, false, record.NamespacedValidator{"pa": signed{}}
	})
	admitAll(server.door)
	perJob(b, "read", server)
}

// someServers makes up servers.
func someServers(b *testing.B, n int) (list []peer.AddrInfo) {
	b.Helper()
	for i := range n {
		_, id := newID(b)
		at := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		list = append(list, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/%v/udp/27470/quic-v1", at))}})
	}
	return list
}

// admitAll has a gate let everybody in.
func admitAll(d *door) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cfg.Capacity, d.cfg.Burst = 1000, time.Hour
	d.gate.Open(d.moment(), &d.cfg)
}

// refuseAll has a gate refuse, and answer, every log-in.
func refuseAll(b *testing.B, d *door) {
	off, err := storm.Without("budget")
	if err != nil {
		b.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cfg.Off, d.cfg.Capacity = off, 1e-6
	d.cfg.Cost[storm.LogIn] = time.Hour
	d.gate.Open(d.moment(), &d.cfg)
}
