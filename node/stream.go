package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/overlay"
)

// streamTag protects a connection while a stream of ours is open on it.
const streamTag = "stream"

// callGuard counts the open streams per device.
type callGuard struct {
	mu   sync.Mutex
	open map[identity.DeviceID]int
}

// Stream opens a stream to a device, also over a circuit relay.
func (n *Node) Stream(ctx context.Context, device identity.DeviceID, proto string) (Stream, error) {
	if n.ctx.Err() != nil {
		return nil, ErrClosed
	}
	s, err := n.over.Host().NewStream(network.WithAllowLimitedConn(ctx, proto), device, protocol.ID(proto))
	if err != nil {
		return nil, fmt.Errorf("%w: stream %s to %s: %w", ErrUnreachable, proto, device.ShortString(), err)
	}
	return n.guard(s), nil
}

// Answers reports whether a device we are connected to is still there: it answers
// on an open connection before ctx ends.
func (n *Node) Answers(ctx context.Context, device identity.DeviceID) bool {
	return overlay.Answers(ctx, n.over.Host(), device)
}

// Handle serves a protocol; f runs in a goroutine of its own and owns the stream.
func (n *Node) Handle(proto string, f func(Stream)) {
	n.over.Host().SetStreamHandler(protocol.ID(proto), func(s network.Stream) { f(n.guard(s)) })
}

// stream is a libp2p stream as the facade shows it.
type stream struct {
	network.Stream
	n    *Node
	once sync.Once
}

func (n *Node) guard(s network.Stream) Stream {
	device := s.Conn().RemotePeer()
	g := &n.calls
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(map[identity.DeviceID]int)
	}
	g.open[device]++
	n.over.Host().ConnManager().Protect(device, streamTag)
	return &stream{Stream: s, n: n}
}

func (s *stream) release() {
	s.once.Do(func() {
		g, device := &s.n.calls, s.Device()
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.open[device]--; g.open[device] == 0 {
			delete(g.open, device)
			s.n.over.Host().ConnManager().Unprotect(device, streamTag)
		}
	})
}

func (s *stream) Close() error {
	defer s.release()
	return s.Stream.Close()
}

func (s *stream) Reset() error {
	defer s.release()
	return s.Stream.Reset()
}

func (s *stream) SetDeadline(t time.Time) error { return s.Stream.SetDeadline(t) }

func (s *stream) Device() identity.DeviceID { return s.Conn().RemotePeer() }

func (s *stream) Relayed() bool { return s.Conn().Stat().Limited }
