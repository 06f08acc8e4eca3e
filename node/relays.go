package node

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/relay"
)

const (
	// relayProtocol hands out credentials of the STUN and TURN server.
	relayProtocol protocol.ID = "/peerd/relay/1"
	// maxGrants is how many relays we hold credentials of.
	maxGrants  = 2
	grantLimit = 5 * time.Second
	// grantEarly is how long before its end a grant is replaced.
	grantEarly = 3 * time.Minute
)

// turnServer is the media relay of a node that is a server.
type turnServer struct {
	mu     sync.Mutex
	server *relay.Server
	off    bool // closed, or never wanted
}

func (t *turnServer) running() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.server != nil || t.off
}

func (t *turnServer) get() *relay.Server {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.server
}

func (t *turnServer) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server != nil {
		_ = t.server.Close()
	}
	t.server, t.off = nil, true
}

// startTURN begins to answer STUN and TURN at the addresses the host listens on.
func (n *Node) startTURN() error {
	t := &n.turn
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server != nil || t.off {
		return nil
	}
	if n.cfg.RelayPort < 0 {
		t.off = true
		return nil
	}
	server, err := relay.NewServer(relay.Config{
		Port: n.cfg.RelayPort, Addresses: n.over.ListenIPs(), Log: n.cfg.Log, Now: n.now,
	})
	if err != nil {
		t.off = true
		return fmt.Errorf("media relay: %w", err)
	}
	t.server = server
	return nil
}

// serveRelay answers a phone that asks for credentials; a node that has no relay
// ends the stream.
func (n *Node) serveRelay(s network.Stream) {
	server := n.turn.get()
	if server == nil {
		_ = s.Reset()
		return
	}
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(grantLimit))
	client := s.Conn().RemotePeer().String()
	n.refuse(client, server.Serve(s, client))
}

// grants are the credentials we hold.
type grants struct {
	kick   chan struct{}
	mu     sync.Mutex
	held   map[identity.DeviceID]relay.Grant
	failed map[identity.DeviceID]refusal
	first  chan struct{} // closed when the first one came; nil until asked for
}

// refusal is a server's that gave no credentials.
type refusal struct {
	until time.Time     // do not ask again before
	wait  time.Duration // the last; the next one is twice as long
}

// A server that grants nothing, most often because it has no relay, is asked again.
const grantAgain, grantAgainMost = time.Minute, time.Hour

// Relays returns what relays grant us now: cached, refreshed in the background,
// empty when there is none; never blocks longer than ctx. It waits only while
// servers are connected and none has answered yet.
func (n *Node) Relays(ctx context.Context) ([]relay.Grant, error) {
	g := &n.relays
	for {
		list, wait := g.valid(n.now())
		if len(list) > 0 || n.over.Serving() || !n.mayGrant() {
			return list, nil
		}
		kick(g.kick)
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, nil
		case <-n.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// mayGrant says that a connected server has not yet refused.
func (n *Node) mayGrant() bool {
	g := &n.relays
	now := n.now()
	servers := n.over.Servers()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range servers {
		if now.After(g.failed[p].until) {
			return true
		}
	}
	return false
}

func (g *grants) valid(now time.Time) ([]relay.Grant, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []relay.Grant
	for _, grant := range g.held {
		if now.Before(grant.Expires) {
			list = append(list, grant)
		}
	}
	if g.first == nil {
		g.first = make(chan struct{})
	}
	return list, g.first
}

// relayLoop keeps maxGrants grants that do not end soon.
func (n *Node) relayLoop() {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		n.refreshGrants()
		select {
		case <-n.relays.kick:
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
	}
}

func (n *Node) refreshGrants() {
	for _, p := range n.over.Servers() {
		if n.relays.enough(n.now()) {
			return
		}
		if !n.relays.worthAsking(p, n.now()) {
			continue
		}
		grant, err := n.askGrant(p)
		n.relays.note(p, grant, err, n.now())
		if err != nil {
			n.cfg.Log.Debug("no relay credentials", "peer", p, "err", err)
		}
	}
}

// askGrant asks one server; its relay is at the address we reach the server at.
func (n *Node) askGrant(p identity.DeviceID) (relay.Grant, error) {
	ctx, cancel := context.WithTimeout(n.ctx, grantLimit)
	defer cancel()
	s, err := n.over.Host().NewStream(ctx, p, relayProtocol)
	if err != nil {
		return relay.Grant{}, err
	}
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(time.Now().Add(grantLimit))
	ip, err := manet.ToIP(s.Conn().RemoteMultiaddr())
	if err != nil {
		return relay.Grant{}, err
	}
	addr, _ := netip.AddrFromSlice(ip)
	return relay.Request(s, addr.Unmap(), n.now())
}

func (g *grants) enough(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	good := 0
	for p, grant := range g.held {
		if !now.Before(grant.Expires) {
			delete(g.held, p)
		} else if grant.Expires.Sub(now) > grantEarly {
			good++
		}
	}
	return good >= maxGrants
}

func (g *grants) worthAsking(p identity.DeviceID, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	held, ok := g.held[p]
	return now.After(g.failed[p].until) && (!ok || held.Expires.Sub(now) <= grantEarly)
}

func (g *grants) note(p identity.DeviceID, grant relay.Grant, err error, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		g.held = make(map[identity.DeviceID]relay.Grant)
		g.failed = make(map[identity.DeviceID]refusal)
	}
	if err != nil {
		wait := min(max(2*g.failed[p].wait, grantAgain), grantAgainMost)
		g.failed[p] = refusal{until: now.Add(wait), wait: wait}
	} else {
		g.held[p] = grant
		delete(g.failed, p)
	}
	if g.first != nil {
		close(g.first)
		g.first = nil
	}
}
