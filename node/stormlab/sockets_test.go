//go:build !race

package stormlab_test

import (
	"context"
	"math"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/peerd/peerd/node/stormlab"
	"github.com/peerd/peerd/node/stormlab/memnet"
)

// BenchmarkStock measures what a log-in of the libraries' own costs in all on real
// sockets, twenty nodes that all serve, and what the model says of the same. The costs
// of single pieces of work, which memnet measures, do not hold what they cause.
func BenchmarkStock(b *testing.B) {
	const nodes, boots = 20, 2
	var spent time.Duration
	for b.Loop() {
		hosts, tables := make([]host.Host, nodes+boots), make([]*dht.IpfsDHT, nodes+boots)
		for i := range hosts {
			h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableMetrics())
			if err != nil {
				b.Fatal(err)
			}
			if tables[i], err = dht.New(h, dht.ProtocolPrefix("/bench"), dht.Mode(dht.ModeServer), dht.NamespacedValidator("at", anything{})); err != nil {
				b.Fatal(err)
			}
			hosts[i] = h
		}
		before := processorTime()
		var wg sync.WaitGroup
		for i := range hosts {
			wg.Go(func() { logIn(b.Context(), hosts[i], tables[i], hosts[:boots], i >= boots) })
		}
		wg.Wait()
		spent += processorTime() - before
		for i := range hosts {
			_ = tables[i].Close()
			_ = hosts[i].Close()
		}
	}
	b.ReportMetric(spent.Seconds()*1000/float64(b.N*nodes), "cpu-ms/login")
}

// logIn is what the baseline called stock does.
func logIn(ctx context.Context, h host.Host, d *dht.IpfsDHT, boots []host.Host, put bool) {
	for ctx.Err() == nil {
		for _, other := range boots {
			_ = h.Connect(ctx, peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()})
		}
		_ = d.Bootstrap(ctx)
		if !put || d.PutValue(ctx, "/at/"+h.ID().String(), []byte("{}")) == nil {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// TestModelOfStock holds the model against what BenchmarkStock measured. How often a
// node tries again is chance, so several overlays are taken together.
func TestModelOfStock(t *testing.T) {
	const onSockets, within, overlays = 88.6, 0.25, 8 // ms
	var sum float64
	for range overlays {
		s := stormlab.Default("stock", stormlab.Cold, stormlab.Fast, 20)
		s.Serve, s.Slow, s.StartIn, s.Links = 1, 0, 0, memnet.Links{RTT: time.Millisecond}
		sum += stormlab.Run(t, s).CPUMS
	}
	mean := sum / overlays
	t.Logf("the model: %.1f ms", mean)
	if math.Abs(mean/onSockets-1) > within {
		t.Errorf("the model says %.1f ms of processor time for a log-in, on sockets it takes %.1f ms", mean, onSockets)
	}
}

type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
