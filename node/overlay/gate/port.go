package gate

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// ErrNoSocket: the host has no UDP socket from which it would dial that address
// and on which it hears answers, as one that listens on TCP only.
var ErrNoSocket = errors.New("no UDP socket to ask from")

// Port asks and answers questions on the UDP sockets that a host listens on: what
// is admitted is an address and port, so the question and the dial that follows
// must leave from the same socket.
type Port struct {
	route func(to *net.UDPAddr) net.Addr
	serve Serve
	read  Read
	conns map[string]Conn // by local address
	boot  uint64          // of this process, random
	came  atomic.Uint32   // servers that came near

	mu      sync.Mutex
	waiting map[uint64]chan<- heard // by nonce
}

// heard is what came back: an answer, a pong's boot number or a record's value.
type heard struct {
	answer Answer
	boot   uint64
	value  []byte
}

// Serve decides on a question from an address; false is silence. It runs on the
// goroutine that reads the socket and must not block, and keeps nothing of the question.
// One with a record may be answered by later, from any goroutine, in place of at once;
// for others that is nil.
type Serve func(from netip.AddrPort, q Question, later func(Answer)) (Answer, bool)

// NewPort takes what comes on conns until it is closed. route returns the local
// address of the socket from which the host dials an address, nil where it has none; read
// may be nil.
func NewPort(conns []Conn, route func(to *net.UDPAddr) net.Addr, serve Serve, read Read) *Port {
	p := &Port{
		route: route, serve: serve, read: read, boot: random(),
		conns: make(map[string]Conn), waiting: make(map[uint64]chan<- heard),
	}
	for _, conn := range conns {
		p.conns[conn.LocalAddr().String()] = conn
		conn.Take(func(from netip.AddrPort, data, out []byte) []byte { return p.handle(conn, from, data, out) })
	}
	return p
}

// Close takes no more. Asks under way end with their contexts.
func (p *Port) Close() {
	for _, conn := range p.conns {
		conn.Leave()
	}
}

// handle is the Handle of all sockets.
func (p *Port) handle(conn Conn, from netip.AddrPort, data, out []byte) []byte {
	if len(data) < 3 {
		return nil
	}
	switch data[2] {
	case kindQuestion, kindGive:
		return p.reply(conn, from, data, out)
	case kindAnswer:
		if a, err := ParseAnswer(data); err == nil {
			p.hear(a.Nonce, heard{answer: a})
		}
	case kindRead:
		p.readFor(conn, from, data)
	case kindValue:
		if nonce, value, err := parseValue(data); err == nil {
			p.hear(nonce, heard{value: bytes.Clone(value)})
		}
	case kindPing:
		return p.pong(data, out)
	case kindPong:
		if nonce, boot, err := parsePing(data, kindPong); err == nil {
			p.hear(nonce, heard{boot: boot})
		}
	}
	return nil
}

// reply answers a question, or anything else that is not for us, by silence.
func (p *Port) reply(conn Conn, from netip.AddrPort, data, out []byte) []byte {
	q, err := ParseQuestion(data)
	if err != nil {
		return nil
	}
	var later func(Answer)
	if q.Record != nil {
		nonce := q.Nonce
		later = func(a Answer) {
			a.Nonce = nonce
			_, _ = conn.WriteTo(AppendAnswer(nil, a), net.UDPAddrFromAddrPort(from))
		}
	}
	a, ok := p.serve(from, q, later)
	if !ok {
		return nil
	}
	a.Nonce = q.Nonce
	return AppendAnswer(out, a)
}

// hear hands what came to whoever waits for its nonce.
func (p *Port) hear(nonce uint64, h heard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.waiting[nonce]; c != nil {
		delete(p.waiting, nonce)
		c <- h // has room for one
	}
}

// Ask sends one question to the server at addr and waits for its answer until ctx
// ends. Nothing is sent again: who retries decides that.
func (p *Port) Ask(ctx context.Context, addr netip.AddrPort, q Question) (Answer, error) {
	h, err := p.exchange(ctx, addr, func(nonce uint64) ([]byte, error) {
		q.Nonce = nonce
		return AppendQuestion(make([]byte, 0, MaxSize), q)
	})
	return h.answer, err
}

// exchange sends one datagram and waits for what comes back with its nonce.
func (p *Port) exchange(ctx context.Context, addr netip.AddrPort, datagram func(nonce uint64) ([]byte, error)) (heard, error) {
	to := net.UDPAddrFromAddrPort(addr)
	socket := p.socket(to)
	if socket == nil {
		return heard{}, ErrNoSocket
	}
	back := make(chan heard, 1)
	nonce := p.expect(back)
	defer p.forget(nonce)
	data, err := datagram(nonce)
	if err != nil {
		return heard{}, err
	}
	if _, err = socket.WriteTo(data, to); err != nil {
		return heard{}, err
	}
	select {
	case h := <-back:
		return h, nil
	case <-ctx.Done():
		return heard{}, ctx.Err()
	}
}

func (p *Port) socket(to *net.UDPAddr) Conn {
	if local := p.route(to); local != nil {
		return p.conns[local.String()]
	}
	return nil
}

// expect registers a new nonce. It cannot be guessed, so only who saw the datagram
// can answer it.
func (p *Port) expect(back chan<- heard) uint64 {
	nonce := random()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[nonce] = back
	return nonce
}

func (p *Port) forget(nonce uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, nonce)
}
