package stormlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

// stock is a node as go-libp2p and go-libp2p-kad-dht offer it, with their settings.
// It dials the bootstrap nodes, bootstraps the DHT and puts its record, and if any of
// that fails tries again a second later.
type stock struct {
	// jitter makes it the best that is known to do without a policy of one's own: live
	// peers are remembered and dialled, the start is spread, and retries wait with
	// exponential back-off and full jitter.
	jitter bool
}

const (
	startSpread = 5 * time.Second
	retryBase   = time.Second
	retryCap    = time.Minute
	savedPeers  = 20
	putLimit    = 10 * time.Second
	// putAgain is after how long a record is put again that nobody can read.
	putAgain = 10 * time.Second
	// With the memory and files of a large machine, in the library's terms.
	largeMemory, largeFiles = 4 << 30, 16384
	smallMemory, smallFiles = 512 << 20, 1024
)

func (p stock) learns() bool { return false }

// remember gives the baseline that has a peer store one of live peers.
func (p stock) remember(l *lab, m *member) {
	if !p.jitter {
		return
	}
	for _, i := range l.rng.Perm(len(l.members)) {
		other := l.members[i]
		if other != m && other.serves && !other.bootstrap && len(m.saved) < savedPeers {
			m.saved = append(m.saved, other.info())
		}
	}
}

func (p stock) start(l *lab, m *member) (process, error) {
	s := &stockNode{lab: l, m: m, began: time.Now().UnixNano(), jitter: p.jitter, done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	memory, files := int64(largeMemory), largeFiles
	if m.bootstrap && l.set.Boot == Small {
		memory, files = smallMemory, smallFiles
	}
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	manager, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Scale(memory, files)))
	if err != nil {
		return nil, err
	}
	s.host, err = libp2p.New(
		libp2p.Identity(m.id.DeviceKey()),
		m.host.Transports(),
		libp2p.ListenAddrs(m.host.Multiaddr()),
		libp2p.ResourceManager(manager),
		libp2p.DisableMetrics(),
	)
	if err != nil {
		return nil, err
	}
	mode := dht.ModeClient
	if m.serves {
		mode = dht.ModeServer
	}
	s.dht, err = dht.New(s.host, dht.ProtocolPrefix("/stormlab"), dht.Mode(mode), dht.NamespacedValidator("at", newest{}))
	if err != nil {
		return nil, errors.Join(err, s.host.Close())
	}
	go s.run()
	return s, nil
}

// stockNode is a running baseline.
type stockNode struct {
	lab    *lab
	m      *member
	began  int64
	jitter bool
	host   host.Host
	dht    *dht.IpfsDHT
	puts   atomic.Bool  // a put has begun
	put    atomic.Bool  // and one has succeeded
	why    atomic.Value // text: what the last attempt failed of
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *stockNode) callable() bool { return s.puts.Load() }

func (s *stockNode) published() bool { return s.put.Load() }

func (s *stockNode) missing() string {
	return fmt.Sprintf("%d connections, %d in the routing table: %v", len(s.host.Network().Peers()), s.dht.RoutingTable().Size(), s.why.Load())
}

func (s *stockNode) close() {
	s.cancel()
	<-s.done
	_ = s.dht.Close()
	_ = s.host.Close()
}

// run logs in, and then puts the record again while it cannot be read.
func (s *stockNode) run() {
	defer close(s.done)
	if s.m.bootstrap {
		_ = s.dht.Bootstrap(s.ctx)
		return
	}
	if s.jitter && !s.sleep(time.Duration(rand.Float64()*float64(startSpread))) {
		return
	}
	for failures := 0; ; {
		err := s.attempt(failures)
		if err == nil {
			s.put.Store(true)
			failures = 0
			if !s.sleep(putAgain) || s.isBack() {
				return
			}
			continue
		}
		s.why.Store(err.Error())
		failures++
		wait := time.Second
		if s.jitter {
			wait = time.Duration(rand.Float64() * float64(min(retryCap, retryBase<<min(failures, 10))))
		}
		if !s.sleep(wait) {
			return
		}
	}
}

func (s *stockNode) isBack() bool {
	s.lab.mu.Lock()
	defer s.lab.mu.Unlock()
	return s.m.back >= 0
}

func (s *stockNode) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// attempt is one try of the whole.
func (s *stockNode) attempt(failures int) error {
	if len(s.m.saved) == 0 || failures > 0 {
		s.connect(s.lab.boot)
	}
	if len(s.m.saved) > 0 {
		s.connect(s.m.saved)
	}
	ctx, cancel := context.WithTimeout(s.ctx, putLimit)
	defer cancel()
	if err := s.dht.Bootstrap(ctx); err != nil {
		return err
	}
	value, err := json.Marshal(place{Began: s.began, Addr: s.m.host.Multiaddr().String() + "/p2p/" + s.host.ID().String()})
	if err != nil {
		return err
	}
	s.puts.Store(true)
	return s.dht.PutValue(ctx, recordKey(s.host.ID()), value)
}

// connect dials peers all at the same time and returns when one is connected, or
// none can be.
func (s *stockNode) connect(peers []peer.AddrInfo) {
	results := make(chan error, len(peers))
	for _, p := range peers {
		go func() { results <- s.host.Connect(s.ctx, p) }()
	}
	for range peers {
		if <-results == nil {
			return
		}
	}
}

// reach reads a record and calls.
func (s *stockNode) reach(m *member) error {
	ctx, cancel := context.WithTimeout(s.ctx, checkLimit)
	defer cancel()
	value, err := s.dht.GetValue(ctx, recordKey(m.id.Device()), dht.Quorum(1))
	if err != nil {
		return err
	}
	var at place
	if err = json.Unmarshal(value, &at); err != nil {
		return err
	}
	to, err := peer.AddrInfoFromString(at.Addr)
	if err != nil {
		return err
	}
	s.host.Network().(*swarm.Swarm).Backoff().Clear(to.ID)
	return s.host.Connect(ctx, *to)
}

// place is the baseline's record.
type place struct {
	Began int64
	Addr  string
}

func recordKey(id peer.ID) string { return "/at/" + id.String() }

// newest takes any record and prefers the last.
type newest struct{}

func (newest) Validate(_ string, value []byte) error { return json.Unmarshal(value, new(place)) }

func (newest) Select(_ string, values [][]byte) (int, error) {
	best, began := 0, int64(0)
	for i, v := range values {
		var at place
		if json.Unmarshal(v, &at) == nil && at.Began > began {
			best, began = i, at.Began
		}
	}
	return best, nil
}
