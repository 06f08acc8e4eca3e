package overlay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	leveldb "github.com/ipfs/go-ds-leveldb"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/peerd/peerd/node/storm"
)

// Protocol ids of the overlay.
const (
	dhtPrefix   protocol.ID = "/peerd"
	dhtProtocol protocol.ID = "/peerd/kad/1.0.0"
)

const (
	bucketSize  = 8
	concurrency = 3
	// recordAge bounds how long a value is kept; the signed expiry inside, at most
	// two hours ahead, is what readers go by.
	recordAge = 3 * time.Hour
	// refreshEvery is the mean period of looking one's own neighbourhood up again.
	refreshEvery = 20 * time.Minute
	lookupLimit  = 10 * time.Second
	// introduceAfter is the mean time after which a new server makes itself known, and
	// widenAfter that after which a node asks again who there is: an overlay that grows
	// was a part of what it is when the node came.
	introduceAfter = 2 * time.Second
	widenAfter     = 30 * time.Second
	// walkLimit bounds the search for the nodes closest to a key: dead nodes on the
	// way must not keep a record from those that live.
	walkLimit = 3 * time.Second
)

// ErrNoValue: no node that was asked has a valid value under the key.
var ErrNoValue = errors.New("no valid value in the DHT")

func (o *Overlay) openDHT() error {
	var err error
	if o.store, err = openStore(o.cfg); err != nil {
		return err
	}
	mode := dht.ModeClient
	switch {
	case o.cfg.Server:
		mode = dht.ModeServer
	case o.cfg.MayServe:
		mode = dht.ModeAuto
	}
	o.dht, err = dht.New(o.host,
		dht.ProtocolPrefix(dhtPrefix),
		dht.Mode(mode),
		dht.Datastore(o.store),
		dht.Validator(o.cfg.Validators),
		dht.DisableProviders(),
		dht.BucketSize(bucketSize),
		dht.Concurrency(concurrency),
		dht.LookupCheckConcurrency(32),
		dht.DisableAutoRefresh(),
		dht.RoutingTableRefreshPeriod(refreshEvery),
		dht.MaxRecordAge(recordAge),
		dht.ValueGCInterval(time.Hour),
	)
	if err != nil {
		return err
	}
	o.local = records.NewValueStore(o.store, o.cfg.Validators, recordAge)
	return nil
}

func openStore(cfg Config) (ds.Batching, error) {
	if cfg.Store != nil {
		return cfg.Store, nil
	}
	if cfg.Memory {
		return dssync.MutexWrap(ds.NewMapDatastore()), nil
	}
	store, err := leveldb.NewDatastore(filepath.Join(cfg.Dir, "dht"), nil)
	if err != nil {
		return nil, fmt.Errorf("open the record store in %s: %w", cfg.Dir, err)
	}
	return store, nil
}

// setDHTServer turns a DHT in auto mode into a server.
func (o *Overlay) setDHTServer() error {
	emitter, err := o.host.EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful)
	if err != nil {
		return err
	}
	defer emitter.Close()
	return emitter.Emit(event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic})
}

// closest walks to the nodes nearest to key, and connects to them. When time runs
// out, what was found by then is the answer.
func (o *Overlay) closest(ctx context.Context, key string) {
	if o.dht.RoutingTable().Size() == 0 {
		return
	}
	walk, cancel := context.WithTimeout(ctx, walkLimit)
	defer cancel()
	_, _ = o.dht.GetClosestPeers(walk, key)
}

// refreshLoop looks the own neighbourhood up now and then. A server does so soon after it
// began to serve, so that those nearest to it know of it, but not while a storm lasts: they
// have others to serve. A client only asks a neighbour again whom there is.
func (o *Overlay) refreshLoop() {
	wait, begun := storm.Spread(introduceAfter, unit()), o.Serving()
	if !begun {
		wait = storm.Spread(widenAfter, unit())
	}
	for {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-o.promoted:
			wait, begun = storm.Spread(introduceAfter, unit()), true
			t.Stop()
			continue
		case <-o.ctx.Done():
			t.Stop()
			return
		}
		wait = storm.Spread(refreshEvery, unit())
		switch {
		case !begun:
			o.widen()
			begun = true
		case o.Load().Storm:
			wait = storm.Spread(stormFor, unit())
		default:
			o.refresh()
		}
	}
}

// refresh asks a neighbour whom there is, looks the own neighbourhood up and some other
// place, and writes the peer cache.
func (o *Overlay) refresh() {
	o.widen()
	if o.Serving() {
		o.closest(o.ctx, string(o.host.ID()))
	} else {
		o.lookRound(o.host.ID(), bucketSize)
	}
	if far, err := o.dht.RoutingTable().GenRandPeerID(0); err == nil {
		o.lookRound(far, Neighbours)
	}
	o.saveCache()
}

// lookRound asks for the n nearest to a place, and enters those that answer in the
// routing table. It connects to nobody: each connection costs both ends as long as it
// is open.
func (o *Overlay) lookRound(place peer.ID, n int) {
	for _, p := range o.nearest(o.ctx, kb.ConvertPeerID(place), n) {
		_, _ = o.dht.RoutingTable().TryAddPeer(p, true, true)
	}
}

// widen asks a neighbour, any one, for a snapshot of those it knows.
func (o *Overlay) widen() {
	near := o.neighbours()
	if len(near) == 0 {
		return
	}
	if err := o.takeSnapshot(o.ctx, near[rand.IntN(len(near))]); err != nil {
		o.log.Debug("no snapshot", "err", err)
	}
}

func (o *Overlay) saveCache() {
	o.cache.learn(o.estimate())
	o.cache.touch(o.Servers(), o.now())
	if err := o.cache.save(); err != nil {
		o.log.Warn("peer cache not written", "err", err)
	}
}
