// Package relay is what a node of role server offers to others so that their
// calls get through: STUN (RFC 8489), which tells a phone its address as the
// world sees it, and TURN (RFC 8656), which forwards media between two phones
// that cannot reach each other. Both listen on one port number, UDP and TCP,
// of every local unicast address.
//
// A phone asks for credentials over a stream that has already authenticated
// it (Serve on the server, Request on the phone). They are short-lived and
// counted per phone, so that a relay is neither open nor unbounded; what is
// relayed is encrypted end to end and means nothing to the relay.
package relay

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/turn/v5"
)

// Protocol is the id of the stream over which credentials are handed out.
const Protocol = "/peerd/relay/1"

// realm is the TURN realm (RFC 8489 section 9.2); it names no secret.
const realm = "peerd"

// Errors of this package; all are wrapped with what was attempted.
var (
	ErrClosed       = errors.New("relay is closed")
	ErrBadMessage   = errors.New("not a relay message")
	ErrNewerVersion = errors.New("relay message of a newer version")
	ErrRefused      = errors.New("relay refused")           // the server said no, in words
	ErrNoAddress    = errors.New("no address to listen on") // nothing but addresses that no phone could reach
	errOverLimit    = errors.New("over the relay's limit")
	errOnlyUDP      = errors.New("only UDP is relayed") // RFC 6062 is not offered
)

// Limits bound what strangers can make a relay do. A zero field means the
// default beside it.
type Limits struct {
	PerClient   int           // allocations of one phone at a time; 4: two calls, each by UDP and by TCP
	PerAddress  int           // allocations, and TCP connections, of one IPv4 address or IPv6 /64; 128: two for each of 64 phones behind it
	Allocations int           // allocations in all; 256
	Conns       int           // TCP connections in all; 512
	Rate        int           // bytes/s of one allocation in each direction; 64,000: five times a call with double redundancy
	TotalRate   int           // bytes/s of all allocations together, both directions; 8,000,000
	Credential  time.Duration // life of a credential; 10 min
	Lifetime    time.Duration // longest life of an allocation, however often refreshed; 6 h
}

func (l Limits) orDefault() Limits {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&l.PerClient, 4)
	set(&l.PerAddress, 128)
	set(&l.Allocations, 256)
	set(&l.Conns, 512)
	set(&l.Rate, 64_000)
	set(&l.TotalRate, 8_000_000)
	if l.Credential == 0 {
		l.Credential = 10 * time.Minute
	}
	if l.Lifetime == 0 {
		l.Lifetime = 6 * time.Hour
	}
	return l
}

// Config sets up a Server. The zero value is usable.
type Config struct {
	// Port is the port number for UDP and TCP on every address; 0 takes one
	// that is free on all of them.
	Port int
	// Addresses are the local addresses to listen on; empty means every
	// unicast address of this machine except loopback and link-local ones.
	// A demo or a test on one machine names 127.0.0.1.
	Addresses []netip.Addr
	Limits    Limits
	Log       *slog.Logger     // nil: nothing is logged
	Now       func() time.Time // nil: time.Now
	Rand      io.Reader        // of the credentials' key; nil: crypto/rand
}

// Counters are totals since the start, but for the first two.
type Counters struct {
	Allocations int    // held now
	Conns       int    // TCP connections held now
	Allocated   uint64 // allocations ever made
	Bytes       uint64 // payload relayed, both directions
	Refused     uint64 // credentials, allocations, permissions and connections refused
	Dropped     uint64 // datagrams over a rate limit
}

// Server is a running STUN and TURN server.
type Server struct {
	limits Limits
	log    *slog.Logger
	now    func() time.Time
	key    [32]byte // makes and checks credentials; dies with the server
	port   int
	turn   *turn.Server
	total  *bucket             // TotalRate
	own    map[netip.Addr]bool // addresses of this machine but loopback

	allocated, bytes, refused, dropped atomic.Uint64

	held    sync.WaitGroup // relayed sockets and TCP connections
	mu      sync.Mutex     // guards the rest
	closed  bool
	clients map[string]int             // allocations per client
	from    map[string]int             // allocations per network
	relayed map[netip.AddrPort]*socket // by relayed address
	conns   map[*conn]netip.Prefix     // with the network they come from
}

// NewServer listens and serves until Close.
func NewServer(cfg Config) (*Server, error) {
	s := &Server{
		limits:  cfg.Limits.orDefault(),
		log:     cfg.Log,
		now:     cfg.Now,
		clients: make(map[string]int),
		from:    make(map[string]int),
		own:     make(map[netip.Addr]bool),
		relayed: make(map[netip.AddrPort]*socket),
		conns:   make(map[*conn]netip.Prefix),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if _, err := io.ReadFull(cfg.Rand, s.key[:]); err != nil {
		return nil, fmt.Errorf("make the relay's key: %w", err)
	}
	s.total = newBucket(s.limits.TotalRate, s.now())
	if err := s.listen(cfg.Addresses, cfg.Port); err != nil {
		return nil, err
	}
	return s, nil
}

// listen binds every address and starts the TURN server on them.
func (s *Server) listen(addrs []netip.Addr, port int) error {
	local, err := localAddresses()
	if err != nil {
		return fmt.Errorf("list local addresses: %w", err)
	}
	for _, addr := range local {
		s.own[addr] = true
	}
	if len(addrs) == 0 {
		addrs = local
	}
	ends, err := bindAll(addrs, port)
	if err != nil {
		return err
	}
	s.port = ends[0].port()
	cfg := turn.ServerConfig{
		Realm:         realm,
		AuthHandler:   s.authenticate,
		QuotaHandler:  s.withinQuota,
		LoggerFactory: loggers{s.log},
	}
	for _, end := range ends {
		gen, permit := &generator{server: s, addr: end.addr}, s.permission(end.addr)
		cfg.PacketConnConfigs = append(cfg.PacketConnConfigs, turn.PacketConnConfig{
			PacketConn: end.udp, RelayAddressGenerator: gen, PermissionHandler: permit,
		})
		cfg.ListenerConfigs = append(cfg.ListenerConfigs, turn.ListenerConfig{
			Listener: &listener{Listener: end.tcp, server: s}, RelayAddressGenerator: gen, PermissionHandler: permit,
		})
	}
	if s.turn, err = turn.NewServer(cfg); err != nil {
		closeAll(ends)
		return fmt.Errorf("start the relay: %w", err)
	}
	return nil
}

// Port is the port number it listens on, by UDP and by TCP.
func (s *Server) Port() int { return s.port }

// Counters returns what it has done so far.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Counters{
		Allocations: len(s.relayed),
		Conns:       len(s.conns),
		Allocated:   s.allocated.Load(),
		Bytes:       s.bytes.Load(),
		Refused:     s.refused.Load(),
		Dropped:     s.dropped.Load(),
	}
}

// Close ends every allocation and waits for all sockets to be closed. A second
// Close does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.held.Wait()
		return nil
	}
	s.closed = true
	open := make([]io.Closer, 0, len(s.conns)+len(s.relayed))
	for c := range s.conns {
		open = append(open, c)
	}
	for _, r := range s.relayed {
		open = append(open, r)
	}
	s.mu.Unlock()

	err := s.turn.Close()
	for _, c := range open {
		err = errors.Join(err, ignoreClosed(c.Close()))
	}
	s.held.Wait()
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
