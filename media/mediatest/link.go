package mediatest

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/vnet"
)

// Link is a simulated network of two hosts with its weather. Its fields may be
// set before it is used; Set changes the weather later.
type Link struct {
	Nets [2]transport.Net

	mu      sync.Mutex
	weather Weather
	sides   [2]side
	tap     func(from int, packet []byte)
	pending sync.WaitGroup
}

// side is what the packets of one host have in common.
type side struct {
	random *rand.Rand
	bad    bool      // the Gilbert-Elliott chain is in its lossy state
	idle   time.Time // when the queue in front of the bottleneck is empty
	held   time.Time // nothing arrives before
}

// Weather is what happens to packets, in both directions.
type Weather struct {
	Loss, Duplicate float64       // 0..1, of all packets
	Delay, Jitter   time.Duration // Delay plus 0..Jitter, evenly spread; packets overtake each other
	Down            bool          // nothing arrives

	// Gilbert and Elliott's chain of two states, a step for each packet: the
	// probabilities of going from the good state, which loses nothing beyond
	// Loss, to the bad one, which loses everything, and back.
	GoBad, GoGood float64

	Reorder float64       // 0..1, packets that arrive after half of Delay, before those ahead of them
	Rate    int           // bit/s with IP and UDP headers; 0: no bottleneck
	Queue   time.Duration // what the bottleneck's queue holds; what does not fit is lost
}

// Bursts is loss that comes in bursts of mean packets (geometrically
// distributed), in all a share of loss.
func Bursts(loss, mean float64) Weather {
	back := 1 / mean
	return Weather{GoBad: back * loss / (1 - loss), GoGood: back}
}

// Header is what IPv4 and UDP add to a packet, bytes.
const Header = 28

// NewLink makes a network that lasts as long as the test. seed makes its
// weather the same every time.
func NewLink(t testing.TB, seed uint64, w Weather) *Link {
	t.Helper()
	l := &Link{weather: w}
	router, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.0.0.0/24", LoggerFactory: logging.NewDefaultLoggerFactory()})
	if err != nil {
		t.Fatal(err)
	}
	for i, ip := range []string{"10.0.0.1", "10.0.0.2"} {
		n, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{ip}})
		if err != nil {
			t.Fatal(err)
		}
		if err := router.AddNet(n); err != nil {
			t.Fatal(err)
		}
		l.Nets[i] = &host{Net: n, link: l, number: i}
		l.sides[i].random = rand.New(rand.NewPCG(seed, uint64(i)))
	}
	if err := router.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.pending.Wait(); _ = router.Stop() })
	return l
}

// Set changes the weather.
func (l *Link) Set(w Weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.weather = w
}

// Stall holds all packets back for d; those of that time arrive together at its
// end, in their order.
func (l *Link) Stall(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.sides {
		l.sides[i].held = time.Now().Add(d)
	}
}

// Tap shows every packet that a host sends, before the weather, to f. The
// packet is valid during the call.
func (l *Link) Tap(f func(from int, packet []byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tap = f
}

// fate is how often and after which times a packet arrives.
func (l *Link) fate(from int, packet []byte) (delays []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tap != nil {
		l.tap(from, packet)
	}
	w, s, now := l.weather, &l.sides[from], time.Now()
	copies := 1
	if s.random.Float64() < w.Duplicate {
		copies = 2
	}
	queued, fits := s.queue(w, now, len(packet)+Header)
	if lost := s.lose(w); w.Down || lost || !fits {
		return nil
	}
	for range copies {
		d := w.Delay
		if w.Jitter > 0 {
			d += time.Duration(s.random.Int64N(int64(w.Jitter)))
		}
		if s.random.Float64() < w.Reorder {
			d = w.Delay / 2
		}
		delays = append(delays, max(queued+d, s.held.Sub(now)))
	}
	return delays
}

// queue is how long a packet of size bytes waits for the bottleneck and passes
// it; fits is false where the queue is full.
func (s *side) queue(w Weather, now time.Time, size int) (wait time.Duration, fits bool) {
	if w.Rate == 0 {
		return 0, true
	}
	if s.idle.Before(now) {
		s.idle = now
	}
	if s.idle.Sub(now) > w.Queue {
		return 0, false
	}
	s.idle = s.idle.Add(time.Duration(size*8) * time.Second / time.Duration(w.Rate))
	return s.idle.Sub(now), true
}

// lose takes a step of the chain.
func (s *side) lose(w Weather) bool {
	leave := w.GoBad
	if s.bad {
		leave = w.GoGood
	}
	if s.random.Float64() < leave || w.GoBad == 0 {
		s.bad = !s.bad && w.GoBad > 0
	}
	return s.random.Float64() < w.Loss || s.bad
}

// host is one end's network: a vnet whose sockets send through the weather.
type host struct {
	transport.Net
	link   *Link
	number int
}

func (h *host) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	c, err := h.Net.ListenUDP(network, addr)
	if err != nil {
		return nil, err
	}
	return &conn{c, h}, nil
}

type conn struct {
	transport.UDPConn
	host *host
}

func (c *conn) WriteTo(b []byte, to net.Addr) (int, error) {
	for _, d := range c.host.link.fate(c.host.number, b) {
		if d <= 0 {
			if _, err := c.UDPConn.WriteTo(b, to); err != nil {
				return 0, err
			}
			continue
		}
		later := append([]byte(nil), b...)
		c.host.link.pending.Add(1)
		time.AfterFunc(d, func() {
			defer c.host.link.pending.Done()
			_, _ = c.UDPConn.WriteTo(later, to) // closed by now: lost
		})
	}
	return len(b), nil
}
