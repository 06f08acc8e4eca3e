package memnet_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
)

// ipAndUDP are the headers of a datagram, in bytes.
const ipAndUDP = 28

// counted is a socket that counts what it sends, headers included.
type counted struct {
	*net.UDPConn
	sent *atomic.Int64
}

func (c counted) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	c.sent.Add(int64(len(b)) + ipAndUDP)
	return c.UDPConn.WriteMsgUDP(b, oob, to)
}

func counting(sent *atomic.Int64) quicreuse.Option {
	return quicreuse.OverrideListenUDP(func(network string, at *net.UDPAddr) (net.PacketConn, error) {
		conn, err := net.ListenUDP(network, at)
		return counted{conn, sent}, err
	})
}

// BenchmarkWire measures what QUIC sends on real sockets beside the data, both ways,
// for the measure of upkeep (stormlab.Idle).
func BenchmarkWire(b *testing.B) {
	b.Setenv("QUIC_GO_DISABLE_GSO", "1") // one datagram a write
	var sent atomic.Int64
	welcome := func() error { return nil }
	from, to := newEnd(b, welcome, counting(&sent)), newEnd(b, welcome, counting(&sent))
	dial := func() transport.CapableConn {
		c, err := from.Dial(b.Context(), to.l.Multiaddr(), to.id)
		must(b, err)
		return c
	}
	b.Run("handshake", func(b *testing.B) {
		before := sent.Load()
		for b.Loop() {
			must(b, dial().Close())
		}
		b.ReportMetric(float64(sent.Load()-before)/float64(b.N), "B/connection")
	})
	b.Run("message", func(b *testing.B) {
		const size = 200
		time.Sleep(100 * time.Millisecond) // for the connections before
		for len(to.accepted) > 0 {
			<-to.accepted
		}
		c := dial()
		defer c.Close()
		there := <-to.accepted
		go echoAll(there)
		data := make([]byte, size)
		before := sent.Load()
		for b.Loop() {
			s, err := c.OpenStream(b.Context())
			must(b, err)
			_, err = s.Write(data)
			must(b, err)
			must(b, s.CloseWrite())
			_, err = io.ReadFull(s, data)
			must(b, err)
			must(b, s.Close())
			time.Sleep(30 * time.Millisecond) // acknowledgements are not shared with the next
		}
		b.ReportMetric(float64(sent.Load()-before)/float64(2*b.N)-size, "B-beside/message")
	})
	b.Run("idle", func(b *testing.B) {
		const idle = 61 * time.Second
		c := dial()
		defer c.Close()
		time.Sleep(20 * time.Second) // it looks for the largest packets that pass
		before := sent.Load()
		for b.Loop() {
			time.Sleep(idle)
		}
		b.ReportMetric(float64(sent.Load()-before)/float64(b.N)/idle.Seconds(), "B/s")
	})
}

// echoAll sends back what comes on streams.
func echoAll(c transport.CapableConn) {
	for {
		s, err := c.AcceptStream()
		if err != nil {
			return
		}
		go func(s network.MuxedStream) {
			_, _ = io.Copy(s, s)
			_ = s.Close()
		}(s)
	}
}
