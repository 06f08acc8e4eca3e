package overlay

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multistream"
)

// A device that died without a word leaves a connection behind that looks open
// until its idle time-out, and whoever trusts it waits that long. So an old
// connection is asked before it is used.
const (
	// aliveLimit is how long an old connection may take to answer.
	aliveLimit = 2 * time.Second
	// aliveGrace is how much later than the first the other connections to the
	// same device may answer if no streams are on them.
	aliveGrace = 250 * time.Millisecond
	// aliveProtocol is served by nobody: the refusal of its name is the answer.
	aliveProtocol = "/peerd/alive/1"
)

// Alive reports whether a connection to the peer is open and answers. It costs a
// round trip, and at most two seconds; connections that do not answer in time are
// closed, so that the next Dial opens a new one, and no stream is opened on them.
// Once another has answered, one without streams has little time left; one with
// streams has all of it, as it may only be slow, on a busy machine.
func Alive(ctx context.Context, h host.Host, p peer.ID) bool {
	conns := h.Network().ConnsToPeer(p)
	if len(conns) == 0 {
		return false
	}
	asking, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	hurried, hurry := context.WithCancel(asking)
	defer hurry()
	answers := make(chan bool, len(conns))
	for _, c := range conns {
		limit := hurried
		if carries(c) {
			limit = asking
		}
		go func() {
			ok := responds(limit, c)
			if !ok && ctx.Err() == nil {
				_ = c.Close()
			}
			answers <- ok
		}()
	}
	alive := false
	for range conns {
		if <-answers && !alive {
			alive = true
			defer time.AfterFunc(aliveGrace, hurry).Stop()
		}
	}
	return alive
}

// carries reports whether streams of a protocol are open on a connection.
func carries(c network.Conn) bool {
	return slices.ContainsFunc(c.GetStreams(), func(s network.Stream) bool { return s.Protocol() != "" })
}

// Answers reports whether any open connection to the peer answers before ctx ends.
// It closes none.
func Answers(ctx context.Context, h host.Host, p peer.ID) bool {
	conns := h.Network().ConnsToPeer(p)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan bool, len(conns))
	for _, c := range conns {
		go func() { answers <- responds(ctx, c) }()
	}
	for range conns {
		if <-answers {
			return true
		}
	}
	return false
}

// responds asks one connection: whatever the other end says to the name of a
// protocol, it is there.
func responds(ctx context.Context, c network.Conn) bool {
	s, err := c.NewStream(network.WithAllowLimitedConn(ctx, "alive"))
	if err != nil {
		return false
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	defer func() { _ = s.Reset() }()
	err = multistream.SelectProtoOrFail(aliveProtocol, s)
	return err == nil || errors.Is(err, multistream.ErrNotSupported[string]{})
}
