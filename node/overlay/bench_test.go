package overlay

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// logInsAtOnce is how many come in at the same time: so few that nobody waits for this
// machine's processor, and asks again because of that.
const logInsAtOnce = 4

// BenchmarkLogIn measures the processor time, of both ends together, that it takes a
// node to come into an overlay of so many: from Open, making the host included
// (BenchmarkHost), until two records of its own are acknowledged by the servers closest
// to their keys. One node in five is a server, in before the others. What those that
// are in spend meanwhile is measured after the last one has come, and taken off
// (ms-others). Garbage is not collected meanwhile: here it would be that of hundreds of
// nodes in one process. What a node in a process of its own spends on it is a tenth of
// the rest or less, see us-gc of BenchmarkConnection. So that memory never used before
// is not taken from the system instead, page by page, which no process does for long,
// there is enough from the start; faults/login tells what was taken all the same.
func BenchmarkLogIn(b *testing.B) {
	for _, n := range []int{20, 100, 200} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			for range b.N {
				b.ReportMetric(0, "ns/op")
				logIns(b, n)
			}
		})
	}
}

func logIns(b *testing.B, n int) {
	b.Helper()
	servers := []*Overlay{member(b, true)}
	for len(servers) < n/5 {
		servers = append(servers, member(b, true, servers[0]))
	}
	await(b, func() bool { return all(servers, func(o *Overlay) bool { return len(o.Servers()) > 0 }) })
	time.Sleep(2 * introduceAfter) // let them find each other
	clients := n - len(servers)
	nodes := make([]*Overlay, clients)
	turns := make(chan struct{}, logInsAtOnce)
	var in atomic.Int32
	var coming sync.WaitGroup
	collecting := debug.SetGCPercent(-1)
	provide(clients * memoryPerLogIn)
	begin, spent, faults := time.Now(), processCPU(), pageFaults()
	for i := range clients {
		turns <- struct{}{}
		coming.Go(func() {
			defer func() { <-turns }()
			nodes[i] = member(b, false, servers[i%2])
			done := make(chan struct{})
			publish(nodes[i], sync.OnceFunc(func() {
				in.Add(1)
				close(done)
			}))
			select {
			case <-done:
			case <-time.After(time.Minute):
			}
		})
	}
	coming.Wait()
	took := time.Since(begin)
	spent = processCPU() - spent
	faults = pageFaults() - faults
	conns := 0
	for _, o := range nodes {
		conns += len(o.host.Network().Conns())
	}
	debug.SetGCPercent(collecting)
	if int(in.Load()) != clients {
		b.Fatalf("%d of %d came in", in.Load(), clients)
	}
	time.Sleep(settleDown)
	idle := processCPU()
	time.Sleep(idleFor)
	idle = (processCPU() - idle) / (idleFor / time.Second) / time.Duration(n) // of a node and second
	upkeep := time.Duration(float64(idle) * took.Seconds() * float64(len(servers)+n) / 2)
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(clients) }
	b.ReportMetric(each(spent-upkeep), "ms-cpu/login")
	b.ReportMetric(each(upkeep), "ms-others/login")
	b.ReportMetric(float64(idle.Microseconds()), "us-cpu/node/s")
	b.ReportMetric(took.Seconds()/float64(clients), "s/login")
	b.ReportMetric(float64(conns)/float64(clients), "conns/login")
	b.ReportMetric(float64(faults)/float64(clients), "faults/login")
	for _, o := range append(nodes, servers...) {
		_ = o.Close()
	}
}

// provide has the runtime hold so many bytes of memory that are in use by nobody. Garbage
// collection must be off, or they are given back.
func provide(bytes int) {
	const piece = 64 << 10
	pieces := make([][]byte, 0, bytes/piece)
	for range bytes / piece {
		p := make([]byte, piece)
		for i := 0; i < piece; i += 4096 {
			p[i] = 1
		}
		pieces = append(pieces, p)
	}
	runtime.KeepAlive(pieces)
	runtime.GC()
}

const (
	// memoryPerLogIn is more than all nodes together allocate for one.
	memoryPerLogIn = 10 << 20

	settleDown = 8 * time.Second
	idleFor    = 4 * time.Second
)

// pageFaults counts the pages that this process was given.
func pageFaults() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Minflt
}

// gcCPU is the processor time that went into collecting garbage until the last time it
// was, as the runtime estimates it: too much on a busy machine.
func gcCPU() time.Duration {
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(sample)
	return time.Duration(sample[0].Value.Float64() * float64(time.Second))
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

// publish keeps two records, and tells when both are where they should be.
func publish(o *Overlay, tell func()) {
	list := make([]Record, 2)
	for i := range list {
		list[i] = Record{Key: fmt.Sprintf("/pa/%s/%d", o.host.ID(), i), Value: make([]byte, 600)}
		_, _ = rand.Read(list[i].Value)
	}
	var done [2]atomic.Bool
	o.Keep(func() []Record { return list }, func(r Record, receipt Receipt) {
		for i := range list {
			if list[i].Key == r.Key && receipt.Acks >= Neighbours && !done[i].Swap(true) && done[1-i].Load() {
				tell()
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
