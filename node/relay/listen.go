package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	bindAttempts = 20              // port numbers tried until one is free everywhere
	idleConn     = 2 * time.Minute // of a TCP connection that sends nothing; media and consent checks come every few seconds
)

// end is one local address with its two listeners on the same port number.
type end struct {
	addr netip.Addr
	udp  *net.UDPConn
	tcp  *net.TCPListener
}

func (e end) port() int { return e.udp.LocalAddr().(*net.UDPAddr).Port }

// localAddresses lists the unicast addresses of this machine that others can
// send to. A relayed address must be one that a peer can reach, which is why
// each is listened on by itself instead of all through the unspecified one.
func localAddresses() ([]netip.Addr, error) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, n := range nets {
		prefix, err := netip.ParsePrefix(n.String())
		if err == nil && prefix.Addr().IsGlobalUnicast() {
			addrs = append(addrs, prefix.Addr().Unmap())
		}
	}
	return addrs, nil
}

// bindAll listens on one port number at every address, UDP and TCP. An address
// that is there but cannot be bound (an IPv6 address still being checked for
// duplicates) is left out as long as another works.
func bindAll(addrs []netip.Addr, port int) ([]end, error) {
	last := ErrNoAddress
	for range bindAttempts {
		ends, err := bindOn(addrs, port)
		if err == nil && len(ends) > 0 {
			return ends, nil
		}
		if err != nil {
			last = err
		}
		if port != 0 {
			break
		}
	}
	return nil, fmt.Errorf("listen for the relay: %w", last)
}

func bindOn(addrs []netip.Addr, port int) ([]end, error) {
	var ends []end
	var unusable error
	for _, addr := range addrs {
		e, err := bind(addr, port)
		if errors.Is(err, syscall.EADDRINUSE) {
			closeAll(ends)
			return nil, err
		}
		if err != nil {
			unusable = err
			continue
		}
		port = e.port()
		ends = append(ends, e)
	}
	if len(ends) == 0 {
		return nil, unusable
	}
	return ends, nil
}

func bind(addr netip.Addr, port int) (end, error) {
	at := netip.AddrPortFrom(addr, uint16(port))
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return end{}, err
	}
	e := end{addr: addr, udp: udp}
	at = netip.AddrPortFrom(addr, uint16(e.port()))
	if e.tcp, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)); err != nil {
		return end{}, errors.Join(err, udp.Close())
	}
	return e, nil
}

func closeAll(ends []end) {
	for _, e := range ends {
		e.udp.Close()
		e.tcp.Close()
	}
}

// listener bounds the number of TCP connections, in all and from one address, and closes the idle ones and,
// with the server, the rest.
type listener struct {
	net.Listener
	server *Server
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, server: l.server}
		if l.server.admit(c) {
			return c, nil
		}
		raw.Close()
	}
}

func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, same := network(c.RemoteAddr()), 0
	for _, other := range s.conns {
		if other == from {
			same++
		}
	}
	if s.closed || len(s.conns) >= s.limits.Conns || same >= s.limits.PerAddress {
		s.refused.Add(1)
		return false
	}
	s.conns[c] = from
	s.held.Add(1)
	return true
}

type conn struct {
	net.Conn
	server *Server
	once   sync.Once
	err    error
}

func (c *conn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(idleConn)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write gives up on a client that does not read: its allocation's goroutine
// must not wait for it.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		c.Close() // half a message may be out: the stream is beyond repair
	}
	return n, err
}

func (c *conn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		c.server.mu.Lock()
		delete(c.server.conns, c)
		c.server.mu.Unlock()
		c.server.held.Done()
	})
	return c.err
}
