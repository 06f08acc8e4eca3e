package memnet_test

import (
	"io"
	"math"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"

	"github.com/peerd/peerd/node/stormlab/memnet"
)

// firstPort is that of the first socket of a wire.
const firstPort = 1000

// wire joins sockets in memory: a datagram takes half a round trip.
type wire struct {
	rtt time.Duration

	mu   sync.Mutex
	ends map[int]*socket // by port
	lose int             // the next one from this port is lost
}

// socket is one end of a wire.
type socket struct {
	wire   *wire
	port   int
	in     chan parcel
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex
	deadline time.Time
	moved    chan struct{} // closed when the deadline is another
}

type parcel struct {
	data []byte
	from int
}

var _ net.PacketConn = (*socket)(nil)

// listen is how a transport gets a socket of this wire in place of the machine's.
func (w *wire) listen(string, *net.UDPAddr) (net.PacketConn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &socket{wire: w, port: firstPort + len(w.ends), in: make(chan parcel, 1024), closed: make(chan struct{}), moved: make(chan struct{})}
	w.ends[s.port] = s
	return s, nil
}

func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	if s.wire.lose == s.port {
		s.wire.lose = 0
		return len(b), nil
	}
	other, p := s.wire.ends[to.(*net.UDPAddr).Port], parcel{append([]byte(nil), b...), s.port}
	time.AfterFunc(s.wire.rtt/2, func() {
		select {
		case other.in <- p:
		case <-other.closed:
		}
	})
	return len(b), nil
}

func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		s.mu.Lock()
		deadline, moved := s.deadline, s.moved
		s.mu.Unlock()
		var late <-chan time.Time
		if !deadline.IsZero() {
			late = time.After(time.Until(deadline))
		}
		select {
		case p := <-s.in:
			return copy(b, p.data), address(p.from), nil
		case <-moved:
		case <-late:
			return 0, nil, os.ErrDeadlineExceeded
		case <-s.closed:
			return 0, nil, net.ErrClosed
		}
	}
}

func address(port int) *net.UDPAddr {
	return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1).To4(), Port: port}
}

func (s *socket) LocalAddr() net.Addr { return address(s.port) }

func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	close(s.moved)
	s.moved = make(chan struct{})
	return nil
}

func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// loseNext has the next datagram from a port be lost.
func (w *wire) loseNext(port int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = port
}

// TestLoss measures on QUIC how much later an answer comes whose question was lost, or
// that was lost itself: the first, the second, third and fourth exchange of a
// connection, at three round trips. It holds the model to that.
func TestLoss(t *testing.T) {
	var sum float64
	var n int
	for _, rtt := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond} {
		for exchange := range 4 {
			for _, port := range []int{firstPort, firstPort + 1} {
				synctest.Test(t, func(t *testing.T) {
					late := lateBy(t, rtt, exchange, port)
					t.Logf("round trip %v, exchange %d, lost by port %d: %v late", rtt, exchange, port, late)
					sum += float64(late) / float64(rtt)
					n++
				})
			}
		}
	}
	mean := sum / float64(n)
	t.Logf("%.2f round trips on average", mean)
	if math.Abs(mean-memnet.MeasuredResend) > 0.1*mean {
		t.Errorf("the model has %.2f", memnet.MeasuredResend)
	}
}

// lateBy has the next datagram from a port be lost when a connection has seen some
// exchanges, and returns by how much that one takes longer than a round trip.
func lateBy(t *testing.T, rtt time.Duration, exchanges, port int) time.Duration {
	w := &wire{rtt: rtt, ends: make(map[int]*socket)}
	welcome := func() error { return nil }
	to := newEnd(t, welcome, quicreuse.OverrideListenUDP(w.listen))
	from := newEnd(t, welcome, quicreuse.OverrideListenUDP(w.listen))
	c, err := from.Dial(t.Context(), to.l.Multiaddr(), to.id)
	must(t, err)
	go answer(<-to.accepted)
	for range exchanges {
		ask(t, c)
	}
	time.Sleep(time.Second) // what is lost is to be data, not an acknowledgement
	w.loseNext(port)
	began := time.Now()
	ask(t, c)
	return time.Since(began) - rtt
}

// ask has one question answered on a stream of its own.
func ask(t *testing.T, c transport.CapableConn) {
	t.Helper()
	s, err := c.OpenStream(t.Context())
	must(t, err)
	_, err = s.Write(make([]byte, 200))
	must(t, err)
	must(t, s.CloseWrite())
	_, err = io.ReadAll(s)
	must(t, err)
}

// answer answers what comes on a connection until it ends.
func answer(c network.MuxedConn) {
	for {
		s, err := c.AcceptStream()
		if err != nil {
			return
		}
		go func() {
			if _, err := io.ReadAll(s); err != nil {
				return
			}
			if _, err := s.Write(make([]byte, 200)); err == nil {
				_ = s.Close()
			}
		}()
	}
}
