package overlay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	dialbackLimit = 2 * time.Second  // of one dial
	askLimit      = 5 * time.Second  // of one exchange
	askWindow     = 10 * time.Second // a peer may ask askBurst times in this time
	askBurst      = 4
	maxDialbacks  = 64 // dials at the same time, direct ones and circuits each
)

// askReach has a witness dial us back and returns the addresses it reached.
func (o *Overlay) askReach(ctx context.Context, witness peer.ID, claims []ma.Multiaddr) ([]ma.Multiaddr, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	s, err := o.host.NewStream(ctx, witness, ReachProtocol)
	if err != nil {
		return nil, fmt.Errorf("ask %s to dial back: %w", tail(witness), err)
	}
	if ip, ok := ipOf(s.Conn().RemoteMultiaddr()); ok {
		o.door.expect(ip)
	}
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(time.Now().Add(askLimit))
	req := reachRequest{Version: reachVersion}
	for _, a := range claims[:min(maxClaims, len(claims))] {
		req.Addrs = append(req.Addrs, a.String())
	}
	msg, err := json.Marshal(req)
	if err == nil {
		err = WriteFrame(s, msg)
	}
	if err != nil {
		return nil, err
	}
	return readReachResults(s)
}

func readReachResults(r io.Reader) (reached []ma.Multiaddr, err error) {
	for range maxClaims + 2 {
		msg, err := ReadFrame(r, maxReachBytes)
		if errors.Is(err, io.EOF) {
			return reached, nil
		}
		if err != nil {
			return reached, err
		}
		res, addr, err := parseReachResult(msg)
		if err != nil {
			return reached, err
		}
		if res.OK {
			reached = append(reached, addr)
		}
	}
	return reached, nil
}

// dialback is the server's side: it dials from a host of its own, with a key and
// ports of its own, so that the asker's router cannot take it for an answer.
type dialback struct {
	o *Overlay
	// Dials to a router that drops them take long: circuits do not queue behind them.
	direct, circuits chan struct{}

	mu     sync.Mutex
	dialer host.Host // made at the first request
	closed bool
	asked  map[peer.ID][]time.Time
}

func newDialback(o *Overlay) *dialback {
	return &dialback{
		o: o, direct: make(chan struct{}, maxDialbacks), circuits: make(chan struct{}, maxDialbacks),
		asked: make(map[peer.ID][]time.Time),
	}
}

func (d *dialback) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.dialer != nil {
		_ = d.dialer.Close()
	}
}

// serve answers one request.
func (d *dialback) serve(s network.Stream) {
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(askLimit))
	asker := s.Conn().RemotePeer()
	if !d.admit(asker) {
		d.o.log.Debug("asked to dial back too often", "peer", asker)
		_ = s.Reset()
		return
	}
	msg, err := ReadFrame(s, maxReachBytes)
	var claims []ma.Multiaddr
	if err == nil {
		claims, err = parseReachRequest(msg)
	}
	if err != nil {
		level := slog.LevelDebug // a broken stream is no one's fault
		if errors.Is(err, errReachMessage) || errors.Is(err, ErrFrameTooLarge) {
			level = slog.LevelWarn
		}
		d.o.log.Log(d.o.ctx, level, "reach request refused", "peer", asker, "err", err)
		_ = s.Reset()
		return
	}
	d.answer(s, asker, d.targets(s.Conn().RemoteMultiaddr(), claims))
}

// admit bounds how often one peer may ask.
func (d *dialback) admit(asker peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.o.now()
	if len(d.asked) > 4096 {
		clear(d.asked)
	}
	var recent []time.Time
	for _, at := range d.asked[asker] {
		if now.Sub(at) < askWindow {
			recent = append(recent, at)
		}
	}
	if len(recent) >= askBurst {
		return false
	}
	d.asked[asker] = append(recent, now)
	return true
}

// targets maps what to dial to the claim it proves. Only the address the asker is
// seen at is dialled, never one of somebody else; and of circuits only those
// through ourselves or a server we are connected to, at addresses we know ourselves.
func (d *dialback) targets(seen ma.Multiaddr, claims []ma.Multiaddr) map[string]ma.Multiaddr {
	targets := make(map[string]ma.Multiaddr)
	from, direct := ipOf(seen)
	direct = direct && !IsCircuit(seen)
	for _, claim := range claims {
		switch ip, ok := ipOf(claim); {
		case IsCircuit(claim):
			if a := d.circuit(claim); a != nil {
				targets[claim.String()] = a
			}
		case ok && direct && ip == from && d.dials(claim):
			targets[claim.String()] = claim
		}
	}
	if direct && isQUIC(seen) && len(targets) == 0 && !hasCircuit(claims) {
		targets[seen.String()] = seen // behind a router: try the mapping we see
	}
	return targets
}

func hasCircuit(addrs []ma.Multiaddr) bool {
	for _, a := range addrs {
		if IsCircuit(a) {
			return true
		}
	}
	return false
}

// dials says whether a is a plain QUIC or TCP address.
func (d *dialback) dials(a ma.Multiaddr) bool {
	for _, c := range a {
		switch c.Protocol().Code {
		case ma.P_IP4, ma.P_IP6, ma.P_UDP, ma.P_QUIC_V1, ma.P_TCP:
		default:
			return false
		}
	}
	return true
}

// circuit rewrites a claimed circuit to an address of its relay that we know.
func (d *dialback) circuit(claim ma.Multiaddr) ma.Multiaddr {
	text, err := claim.ValueForProtocol(ma.P_P2P)
	if err != nil {
		return nil
	}
	relay, err := peer.Decode(text)
	if err != nil {
		return nil
	}
	var known []ma.Multiaddr
	switch {
	case relay == d.o.host.ID():
		known = d.o.interfaceAddrs()
	case d.o.connected(relay):
		known = d.o.dialable(relay)
	}
	tail, err := ma.NewMultiaddr("/p2p/" + relay.String() + "/p2p-circuit")
	if err != nil || len(known) == 0 {
		return nil
	}
	return known[0].Encapsulate(tail)
}

// answer dials the targets and sends the results as they come. Where an address is
// reached by QUIC it is not dialled by TCP, too: that would cost both ends another
// handshake, and prove no more.
func (d *dialback) answer(s network.Stream, asker peer.ID, targets map[string]ma.Multiaddr) {
	reached := make(map[netip.Addr]bool)
	for _, tcp := range []bool{false, true} {
		results, n := make(chan reachResult, len(targets)), 0
		for claim, target := range targets {
			if ip, _ := ipOf(target); isTCP(target) == tcp && (!tcp || !reached[ip]) {
				n++
				go func() { results <- d.try(claim, target, asker) }()
			}
		}
		for range n {
			res := <-results
			if target := targets[res.Addr]; res.OK && !IsCircuit(target) {
				ip, _ := ipOf(target)
				reached[ip] = true
			}
			d.send(s, asker, res)
		}
	}
}

// isTCP says that an address is one of this host's own, by TCP.
func isTCP(a ma.Multiaddr) bool { return !isQUIC(a) && !IsCircuit(a) }

func (d *dialback) send(s network.Stream, asker peer.ID, res reachResult) {
	msg, err := json.Marshal(res)
	if err == nil {
		err = WriteFrame(s, msg)
	}
	if err != nil {
		d.o.log.Debug("reach result not sent", "peer", asker, "err", err)
	}
}

func (d *dialback) try(claim string, target ma.Multiaddr, asker peer.ID) reachResult {
	ctx, cancel := context.WithTimeout(d.o.ctx, dialbackLimit)
	defer cancel()
	res := reachResult{Version: reachVersion, Addr: claim}
	if err := d.dial(ctx, target, asker); err != nil {
		res.Why = trim(err.Error(), 200)
		return res
	}
	res.OK = true
	return res
}

func trim(s string, most int) string { return s[:min(most, len(s))] }

// dial proves that asker answers at target: the handshake authenticates it.
func (d *dialback) dial(ctx context.Context, target ma.Multiaddr, asker peer.ID) error {
	slots := d.direct
	if IsCircuit(target) {
		slots = d.circuits
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	h, err := d.host()
	if err != nil {
		return err
	}
	transport := h.Network().(*swarm.Swarm).TransportForDialing(target)
	if transport == nil {
		return fmt.Errorf("%w: no transport for %s", ErrBadAddress, target)
	}
	conn, err := transport.Dial(ctx, target, asker)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (d *dialback) host() (host.Host, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, context.Canceled
	case d.dialer != nil:
		return d.dialer, nil
	}
	h, err := libp2p.New(
		libp2p.RandomIdentity,
		libp2p.UserAgent("peerd-dialback/1"),
		libp2p.NoListenAddrs,
		transports(d.o.cfg.Network, dialbackLimit),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.EnableRelay(),
		libp2p.DisableMetrics(),
	)
	if err != nil {
		return nil, fmt.Errorf("a host to dial back from: %w", err)
	}
	d.dialer = h
	return h, nil
}
