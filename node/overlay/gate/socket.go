package gate

import (
	"net"
	"net/netip"
	"sync"

	"golang.org/x/net/ipv4"
)

// Handle takes a datagram and appends what it answers, if anything, to out. It keeps
// neither, and must not block: whoever reads the socket waits for it.
type Handle func(from netip.AddrPort, data, out []byte) []byte

// Conn is a UDP socket on which questions come and go.
type Conn interface {
	LocalAddr() net.Addr
	WriteTo(data []byte, to net.Addr) (int, error)
	// Take has datagrams be handled from now on, Leave no longer: it returns when the
	// last one has been.
	Take(h Handle)
	Leave()
}

// Socket is the UDP socket of a QUIC transport. Datagrams of ours are taken out before
// QUIC sees them, several at a time, and answered together: so a question costs half of
// what it does in the library's queue beside QUIC, which holds 32, hands them to another
// goroutine one by one, and makes a buffer for each.
type Socket struct {
	*net.UDPConn
	batch *ipv4.PacketConn // reads and writes IPv6, too

	mu      sync.Mutex // held while datagrams are handled
	handle  Handle
	room    [][]byte // for answers
	answers []ipv4.Message
}

// Listen opens a socket at an address; network is udp4 or udp6.
func Listen(network string, at *net.UDPAddr) (*Socket, error) {
	conn, err := net.ListenUDP(network, at)
	if err != nil {
		return nil, err
	}
	return &Socket{UDPConn: conn, batch: ipv4.NewPacketConn(conn)}, nil
}

// Take implements Conn.
func (s *Socket) Take(h Handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = h
}

// Leave implements Conn. The socket stays open: it is the transport's.
func (s *Socket) Leave() { s.Take(nil) }

// ReadBatch is called by the QUIC transport, which has one reader, in place of
// ipv4.PacketConn's. It returns when something has come that is not ours.
func (s *Socket) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for {
		n, err := s.batch.ReadBatch(ms, flags)
		if err != nil {
			return n, err
		}
		if n = s.sift(ms[:n]); n > 0 {
			return n, nil
		}
	}
}

// sift handles what is ours and returns how many messages are left, at the front.
func (s *Socket) sift(ms []ipv4.Message) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = s.answers[:0]
	for i := range ms {
		m := &ms[i]
		switch {
		case m.N > 0 && m.Buffers[0][0] == magic:
			s.answer(m)
		case left < i:
			move(&ms[left], m)
			fallthrough
		default:
			left++
		}
	}
	s.send()
	return left
}

// move copies a message: its buffers are the transport's, each at its place.
func move(to, from *ipv4.Message) {
	to.N, to.NN = copy(to.Buffers[0], from.Buffers[0][:from.N]), copy(to.OOB, from.OOB[:from.NN])
	to.Addr, to.Flags = from.Addr, from.Flags
}

// answer handles one message and keeps the answer to be sent.
func (s *Socket) answer(m *ipv4.Message) {
	from, ok := source(m.Addr)
	if !ok || s.handle == nil {
		return
	}
	n := len(s.answers)
	if n == len(s.room) {
		s.room = append(s.room, make([]byte, 0, QuestionSize))
	}
	if out := s.handle(from, m.Buffers[0][:m.N], s.room[n]); len(out) > 0 {
		s.answers = append(s.answers, ipv4.Message{Buffers: [][]byte{out}, Addr: m.Addr})
	}
}

// send sends all answers. One that cannot be sent is lost, as on the way.
func (s *Socket) send() {
	for rest := s.answers; len(rest) > 0; {
		n, _ := s.batch.WriteBatch(rest, 0)
		rest = rest[min(max(n, 1), len(rest)):]
	}
}

func source(addr net.Addr) (netip.AddrPort, bool) {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	at := udp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), true
}

// packets is a Conn that is nothing but one.
type packets struct {
	net.PacketConn
	reading sync.WaitGroup
}

// Packets makes a Conn of a socket that nobody else reads.
func Packets(conn net.PacketConn) Conn { return &packets{PacketConn: conn} }

// Take implements Conn; it may be called once.
func (p *packets) Take(h Handle) {
	p.reading.Go(func() {
		in, room := make([]byte, MaxSize+1), make([]byte, 0, QuestionSize)
		for {
			n, addr, err := p.ReadFrom(in)
			if err != nil {
				return // closed
			}
			if from, ok := source(addr); ok {
				if out := h(from, in[:n], room); len(out) > 0 {
					_, _ = p.WriteTo(out, addr)
				}
			}
		}
	})
}

// Leave implements Conn, and closes the socket.
func (p *packets) Leave() {
	_ = p.Close()
	p.reading.Wait()
}
