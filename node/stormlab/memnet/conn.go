package memnet

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

// conn is one end of a connection.
type conn struct {
	t          *memTransport
	remote     *memTransport // the other end's
	local      netip.AddrPort
	remoteAddr ma.Multiaddr
	scope      network.ConnManagementScope
	free       bool        // costs nothing
	listener   *listener   // of an accepted connection
	unfinished *time.Timer // runs while an accepted connection's handshake is not complete

	mu      sync.Mutex
	changed *sync.Cond
	other   *conn
	err     error // why it is closed
	streams map[*stream]struct{}
	coming  []*stream // opened by the other end, not yet accepted
}

var _ transport.CapableConn = (*conn)(nil)

func newConn(t *memTransport, local netip.AddrPort, remoteAddr ma.Multiaddr, remote *memTransport, scope network.ConnManagementScope, free bool) *conn {
	c := &conn{t: t, remote: remote, local: local, remoteAddr: remoteAddr, scope: scope, free: free, streams: make(map[*stream]struct{})}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// pair makes c and d the two ends of one connection.
func (c *conn) pair(d *conn) {
	c.mu.Lock()
	c.other = d
	c.mu.Unlock()
	d.mu.Lock()
	d.other = c
	d.mu.Unlock()
}

// finish is the end of the handshake at the accepting host.
func (c *conn) finish() {
	c.unfinished.Stop()
	if c.failed() != nil {
		return
	}
	err := c.scope.SetPeer(c.remote.id)
	if err == nil {
		err = c.t.host.hold(c)
	}
	if err != nil || !c.listener.deliver(c) {
		_ = c.CloseWithError(network.ConnResourceLimitExceeded)
		return
	}
	if !c.free {
		c.t.host.note(func(n *Count) { n.Accepted++ })
	}
}

func (c *conn) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// peerEnd is the other end.
func (c *conn) peerEnd() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.other
}

// shut closes this end only.
func (c *conn) shut(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	streams := make([]*stream, 0, len(c.streams)+len(c.coming))
	for s := range c.streams {
		streams = append(streams, s)
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	for _, s := range streams {
		s.in.wake()
		s.out.wake()
	}
	c.t.host.drop(c)
	c.scope.Done()
}

// orphan lets the other end find out that this one has died.
func (c *conn) orphan() {
	d := c.peerEnd()
	time.AfterFunc(keepAlive, func() {
		if c.t.host.net.at(c.t.host.addr) != nil {
			d.shut(errUnknown)
		}
	})
	time.AfterFunc(idleTimeout, func() { d.shut(errTimeout) })
}

// undeliverable is a packet that came to a process that is dead. The next one at
// the address, if there is one, says that it does not know the connection.
func (c *conn) undeliverable() {
	h := c.t.host
	if h.net.at(h.addr) == nil {
		return
	}
	d := c.peerEnd()
	h.net.carry(h.addr, d.t.host.addr, func() { d.shut(errUnknown) })
}

// Close closes the connection.
func (c *conn) Close() error { return c.CloseWithError(network.ConnNoError) }

// CloseWithError closes the connection and tells the other end why.
func (c *conn) CloseWithError(code network.ConnErrorCode) error {
	if c.failed() != nil {
		return nil
	}
	c.shut(&network.ConnError{ErrorCode: code})
	if h, d := c.t.host, c.peerEnd(); d != nil && !h.isDead() {
		h.net.carry(h.addr, d.t.host.addr, func() {
			d.shut(&network.ConnError{ErrorCode: code, Remote: true})
		})
	}
	return nil
}

// IsClosed reports whether the connection is closed.
func (c *conn) IsClosed() bool { return c.failed() != nil }

// OpenStream opens a stream; the other end sees it with the first message.
func (c *conn) OpenStream(context.Context) (network.MuxedStream, error) {
	d := c.peerEnd()
	began := new(opening)
	there, back := newPipe(c, d, began), newPipe(d, c, began)
	s := &stream{conn: c, in: back, out: there}
	there.announce = &stream{conn: d, in: there, out: back}
	if err := c.add(s, false); err != nil {
		return nil, err
	}
	return s, nil
}

// add keeps a stream; one that is coming waits to be accepted.
func (c *conn) add(s *stream, coming bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.streams[s] = struct{}{}
	if coming {
		c.coming = append(c.coming, s)
		c.changed.Broadcast()
	}
	return nil
}

func (c *conn) remove(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, s)
}

// AcceptStream waits for the next stream of the other end.
func (c *conn) AcceptStream() (network.MuxedStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.coming) == 0 {
		if c.err != nil {
			return nil, c.err
		}
		c.changed.Wait()
	}
	s := c.coming[0]
	c.coming = c.coming[1:]
	return s, nil
}

func (c *conn) As(any) bool { return false }

func (c *conn) LocalPeer() peer.ID { return c.t.id }

func (c *conn) RemotePeer() peer.ID { return c.remote.id }

func (c *conn) RemotePublicKey() crypto.PubKey { return c.remote.key.GetPublic() }

func (c *conn) ConnState() network.ConnectionState {
	return network.ConnectionState{Transport: "quic-v1"}
}

func (c *conn) LocalMultiaddr() ma.Multiaddr { return quicAddr(c.local) }

func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.remoteAddr }

func (c *conn) Scope() network.ConnScope { return c.scope }

func (c *conn) Transport() transport.Transport { return c.t }
