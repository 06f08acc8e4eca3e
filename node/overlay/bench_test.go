package overlay

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

// askerTarget tells a process of its own whom to ask, see TestAskerProcess.
const askerTarget = "PEERD_TEST_ASKER_TARGET"

// outstanding questions of the asking process: fewer than the 32 that wait at most.
const outstanding = 16

// TestAskerProcess is no test but the crowd of BenchmarkRefusal: it asks as fast as
// it is answered, until it is killed.
func TestAskerProcess(t *testing.T) {
	target := os.Getenv(askerTarget)
	if target == "" {
		t.Skip("only run as a process of a benchmark")
	}
	conn, err := net.Dial("udp4", target)
	if err != nil {
		t.Fatal(err)
	}
	_, id := newID(t)
	datagram, err := gate.AppendQuestion(nil, gate.Question{Nonce: 1, From: id, Class: uint8(storm.LogIn)})
	if err != nil {
		t.Fatal(err)
	}
	for range outstanding {
		_, _ = conn.Write(datagram)
	}
	for buf := make([]byte, gate.QuestionSize); ; {
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = conn.Read(buf) // one that was lost is asked again
		_, _ = conn.Write(datagram)
	}
}

// BenchmarkRefusal measures the processor time, of the server alone, that one
// refusal takes on a real socket, with a slot and 8 referrals in it.
func BenchmarkRefusal(b *testing.B) {
	server := member(b, true)
	refuseAll(b, server.door)
	for i := range byte(gate.MaxReferrals) {
		_, id := newID(b)
		a, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/192.0.2.%d/udp/27470/quic-v1", i))
		if err != nil {
			b.Fatal(err)
		}
		server.door.joined(peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{a}})
	}
	addr, _ := udpAddr(server.interfaceAddrs()[0])
	crowd := exec.Command(os.Args[0], "-test.run=^TestAskerProcess$")
	crowd.Env = append(os.Environ(), askerTarget+"="+addr.String())
	if err := crowd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = crowd.Process.Kill(); _ = crowd.Wait() }()
	await(b, func() bool { return server.Load().Refusals > 100 })
	b.ResetTimer()
	begin, spent := server.Load().Refusals, processCPU()
	await(b, func() bool { return server.Load().Refusals-begin >= uint64(b.N) })
	n := float64(server.Load().Refusals - begin)
	b.ReportMetric(float64((processCPU()-spent).Microseconds())/n, "us-cpu/refusal")
	b.ReportMetric(n/b.Elapsed().Seconds(), "refusals/s")
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

// BenchmarkLogIn measures the processor time, of both ends together, that it takes
// nodes to come in, all at once: from Open until two records of a node's own are
// acknowledged by the servers closest to their keys. One node in five is a server,
// in before the others. Making the hosts is in it, too; BenchmarkHost tells how
// much that is.
func BenchmarkLogIn(b *testing.B) {
	for _, n := range []int{20, 100, 200} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				servers := []*Overlay{member(b, true)}
				for len(servers) < n/5 {
					servers = append(servers, member(b, true, servers[0]))
				}
				await(b, func() bool { return all(servers, func(o *Overlay) bool { return len(o.Servers()) > 0 }) })
				time.Sleep(2 * introduceAfter) // let them find each other
				var in atomic.Int32
				var nodes []*Overlay
				b.StartTimer()
				begin, spent := time.Now(), processCPU()
				for i := range n - n/5 {
					nodes = append(nodes, member(b, false, servers[i%2]))
					publish(nodes[i], &in)
				}
				await(b, func() bool { return int(in.Load()) == len(nodes) })
				b.StopTimer()
				b.ReportMetric(float64((processCPU()-spent).Microseconds())/1000/float64(len(nodes)), "ms-cpu/login")
				b.ReportMetric(time.Since(begin).Seconds(), "s/all")
				for _, o := range append(nodes, servers...) {
					_ = o.Close()
				}
			}
		})
	}
}

// BenchmarkHost measures the processor time of opening and closing a node that
// knows nobody.
func BenchmarkHost(b *testing.B) {
	spent := processCPU()
	for range b.N {
		_ = member(b, false).Close()
	}
	b.ReportMetric(float64((processCPU()-spent).Microseconds())/1000/float64(b.N), "ms-cpu/host")
}

// publish keeps two records, and counts the node when both are where they should be.
func publish(o *Overlay, in *atomic.Int32) {
	list := make([]Record, 2)
	for i := range list {
		list[i] = Record{Key: fmt.Sprintf("/pa/%s/%d", o.host.ID(), i), Value: make([]byte, 600)}
		_, _ = rand.Read(list[i].Value)
	}
	var done [2]atomic.Bool
	o.Keep(func() []Record { return list }, func(r Record, receipt Receipt) {
		for i := range list {
			if list[i].Key == r.Key && receipt.Acks >= Neighbours && !done[i].Swap(true) && done[1-i].Load() {
				in.Add(1)
			}
		}
	})
}

func all(list []*Overlay, ok func(*Overlay) bool) bool {
	for _, o := range list {
		if !ok(o) {
			return false
		}
	}
	return true
}

func await(b *testing.B, cond func() bool) {
	b.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("not within 3 minutes")
		}
	}
}
