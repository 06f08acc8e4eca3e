package overlay

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	leveldb "github.com/ipfs/go-ds-leveldb"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/routing"
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
	refreshEvery = 5 * time.Minute
	lookupLimit  = 10 * time.Second
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
	o.msgs, err = pb.NewProtocolMessenger(o.dht.MessageSender())
	return err
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

// Lookup returns a value stored under key, the best of quorum valid answers.
func (o *Overlay) Lookup(ctx context.Context, key string, quorum int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	value, err := o.dht.GetValue(ctx, key, dht.Quorum(quorum))
	switch {
	case len(value) > 0:
		return value, nil
	case err == nil, errors.Is(err, routing.ErrNotFound):
		return nil, ErrNoValue
	}
	return nil, fmt.Errorf("%w: %w", ErrNoValue, err)
}

// Receipt tells what became of a publication.
type Receipt struct {
	Asked int   // nodes asked to store the value
	Acks  int   // nodes that acknowledged it
	Local bool  // this node, a server, keeps it too
	Err   error // the last refusal, nil when there was none
}

// Publish stores value with the nodes closest to key and counts who acknowledged.
// enough, when not nil, is called with every new count.
func (o *Overlay) Publish(ctx context.Context, key string, value []byte, enough func(Receipt)) Receipt {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	rec := record.MakePutRecord(key, value)
	var receipt Receipt
	if o.Serving() {
		err := o.local.Put(ctx, key, rec)
		receipt.Local, receipt.Err = err == nil, err
	}
	closest, err := o.closest(ctx, key)
	if err != nil && receipt.Err == nil && !receipt.Local {
		receipt.Err = err
	}
	receipt.Asked = len(closest)
	answers := make(chan error, len(closest))
	for _, p := range closest {
		go func() { answers <- o.msgs.PutValue(ctx, p, rec) }()
	}
	for range closest {
		if err := <-answers; err != nil {
			receipt.Err = err
			continue
		}
		receipt.Acks++
		if enough != nil {
			enough(receipt)
		}
	}
	return receipt
}

// closest walks to the nodes nearest to key. When time runs out, what was found by
// then is the answer.
func (o *Overlay) closest(ctx context.Context, key string) ([]peer.ID, error) {
	if o.dht.RoutingTable().Size() == 0 {
		return nil, nil
	}
	walk, cancel := context.WithTimeout(ctx, walkLimit)
	defer cancel()
	found, err := o.dht.GetClosestPeers(walk, key)
	if len(found) > 0 && ctx.Err() == nil {
		return found, nil
	}
	return found, err
}

// refreshLoop looks the own neighbourhood up again now and then; with it, the
// peer cache is written.
func (o *Overlay) refreshLoop() {
	for o.sleep(storm.Spread(refreshEvery, unit())) {
		ctx, cancel := context.WithTimeout(o.ctx, time.Minute)
		_, _ = o.closest(ctx, string(o.host.ID()))
		if far, err := o.dht.RoutingTable().GenRandPeerID(0); err == nil {
			_, _ = o.closest(ctx, string(far))
		}
		cancel()
		o.saveCache()
	}
}

func (o *Overlay) saveCache() {
	o.cache.touch(o.Servers(), o.now())
	if err := o.cache.save(); err != nil {
		o.log.Warn("peer cache not written", "err", err)
	}
}
