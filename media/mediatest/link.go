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
	random  *rand.Rand
	tap     func(from int, packet []byte)
	pending sync.WaitGroup
}

// Weather is what happens to packets, in both directions.
type Weather struct {
	Loss, Duplicate float64       // 0..1, of all packets
	Delay, Jitter   time.Duration // Delay plus 0..Jitter, evenly spread; packets overtake each other
	Down            bool          // nothing arrives
}

// NewLink makes a network that lasts as long as the test. seed makes its
// weather the same every time.
func NewLink(t testing.TB, seed uint64, w Weather) *Link {
	t.Helper()
	l := &Link{weather: w, random: rand.New(rand.NewPCG(seed, 1))}
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
	w := l.weather
	copies := 1
	if l.random.Float64() < w.Duplicate {
		copies = 2
	}
	if w.Down || l.random.Float64() < w.Loss {
		return nil
	}
	for range copies {
		d := w.Delay
		if w.Jitter > 0 {
			d += time.Duration(l.random.Int64N(int64(w.Jitter)))
		}
		delays = append(delays, d)
	}
	return delays
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
		if d == 0 {
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
