// Package overlay keeps a host in the overlay: it listens, joins, serves its part
// of the DHT when it is a server, finds and stores signed values, proves by
// others' dial-back how it can be reached, and reserves a place on a circuit
// relay when it cannot be reached directly. It knows hosts and values, no people.
package overlay

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	ds "github.com/ipfs/go-datastore"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"

	"github.com/peerd/peerd/node/storm"
	"github.com/peerd/peerd/node/storm/trace"
)

// Config is what an overlay member needs. Key, Dir, Validators and Log are required.
type Config struct {
	Key crypto.PrivKey
	// Dir holds the datastore (dht/) and the peer cache (peers.json).
	Dir string
	// Listen are multiaddrs; empty is the default port with a free one as second choice.
	Listen []string
	// Bootstrap are servers asked after the known peers.
	Bootstrap []peer.AddrInfo
	// Server serves the DHT, circuits and dial-back from the start. May may become
	// a server later, by Promote.
	Server bool
	// MayServe lets a client be promoted later.
	MayServe bool
	MDNS     bool
	// Keeps says that Keep will be called at once. Joining waits for it: the first
	// question names the place of a record.
	Keeps bool
	// Memory keeps the DHT's values in memory instead of Dir/dht.
	Memory bool
	// Network and Store stand in for this machine's network and for Dir/dht; they
	// are for labs, and remain the caller's. Nil: the machine's own.
	Network Network
	Store   Store
	// Validators check values by the namespace of their key.
	Validators record.NamespacedValidator
	// Handlers are served from before the host listens; MemberProtocol must be among them.
	Handlers map[protocol.ID]network.StreamHandler
	Log      *slog.Logger
	Now      func() time.Time
	// CPU is the processor time spent until now; nil is the process's.
	CPU func() time.Duration
	// Off switches mechanisms of the storm policy off, for measurements.
	Off storm.Options
	// Trace takes a trace of the storm policy (node/storm/trace), a line with each
	// Write; nil takes none. It must outlive the overlay.
	Trace io.Writer
	// Changed is called, never concurrently with itself, when a fact may have
	// changed; it must not block.
	Changed func()
}

// Overlay is a running member. All methods are safe for concurrent use.
type Overlay struct {
	cfg  Config
	log  *slog.Logger
	now  func() time.Time
	host host.Host

	store  ds.Batching
	dht    *dht.IpfsDHT
	local  *records.ValueStore
	server atomic.Bool
	// promoted has the server that this member has become make itself known.
	promoted chan struct{}

	cache    *cache
	members  *members
	lan      lanPeers
	join     joinState
	outages  outages
	keeping  keeping
	sockets  sockets
	door     *door
	shelf    *shelf
	asker    asker
	watched  watched
	reach    *reach
	dialback *dialback
	mdns     io.Closer
	trace    *trace.Recorder[peer.ID]

	serveMu  sync.Mutex // guards becoming a server, and circuits
	circuits *relay.Relay

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
}

// Open starts a member: when it returns, the host listens; joining goes on in the
// background.
func Open(cfg Config) (*Overlay, error) {
	ctx, cancel := context.WithCancel(context.Background())
	o := &Overlay{
		cfg: cfg, log: cfg.Log, now: cfg.Now, ctx: ctx, cancel: cancel, members: newMembers(),
	}
	if cfg.Trace != nil {
		o.trace = trace.NewRecorder[peer.ID](cfg.Trace)
	}
	o.join.events = make(chan storm.Event[peer.ID], happenings)
	o.keeping.begun, o.promoted = make(chan struct{}), make(chan struct{}, 1)
	o.asker.o = o
	if err := o.open(); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

func (o *Overlay) open() (err error) {
	self, err := peer.IDFromPrivateKey(o.cfg.Key)
	if err != nil {
		return fmt.Errorf("device key: %w", err)
	}
	if o.cache, err = loadCache(o.cfg.Dir, self, o.log); err != nil {
		return err
	}
	o.reach, o.door, o.shelf = newReach(o), newDoor(o), newShelf(o)
	ask := hooks{advertise: o.reach.advertise, admit: o.door.admit, rank: o.asker.rank}
	if o.host, err = newHost(o.cfg, &o.sockets, ask); err != nil {
		return err
	}
	if err := o.openDHT(); err != nil {
		return fmt.Errorf("start the DHT: %w", err)
	}
	o.dialback = newDialback(o)
	if err := o.watchMembers(); err != nil {
		return err
	}
	for id, handler := range o.cfg.Handlers {
		o.host.SetStreamHandler(id, handler)
	}
	if o.cfg.Server {
		if err := o.serve(); err != nil {
			return err
		}
	}
	if err := listen(o.host, o.cfg.Listen); err != nil {
		return err
	}
	if o.cfg.Network != nil {
		o.sockets.use(o.cfg.Network)
	}
	o.openPort()
	o.serveAgain()
	if o.cfg.MDNS {
		o.mdns = startMDNS(o)
	}
	o.wg.Go(o.joinLoop)
	o.wg.Go(o.refreshLoop)
	o.wg.Go(o.everySecond)
	o.wg.Go(o.watchLoop)
	o.wg.Go(func() { o.shelf.loop(o.shelf.puts) })
	o.wg.Go(func() { o.shelf.loop(o.shelf.gets) })
	o.wg.Go(o.reach.loop)
	return nil
}

// Close leaves the overlay, saves the peer cache and waits for everything it
// started. It may be called twice.
func (o *Overlay) Close() error {
	var err error
	o.once.Do(func() {
		o.cancel()
		if o.mdns != nil {
			_ = o.mdns.Close()
		}
		o.wg.Wait()
		if o.asker.port != nil {
			o.asker.port.Close()
		}
		if o.cache != nil {
			err = o.cache.save()
		}
		o.stopServing()
		if o.dialback != nil {
			o.dialback.close()
		}
		if o.dht != nil {
			_ = o.dht.Close()
		}
		if o.host != nil {
			_ = o.host.Close()
		}
		if o.sockets.close != nil {
			_ = o.sockets.close()
		}
		if o.store != nil && o.cfg.Store == nil {
			_ = o.store.Close()
		}
		if lost := o.trace.Err(); lost != nil {
			o.log.Warn("the storm trace is not whole", "err", lost)
		}
	})
	return err
}

// Host returns the libp2p host; its owner is the overlay.
func (o *Overlay) Host() host.Host { return o.host }

// Serving says whether this member is a server now.
func (o *Overlay) Serving() bool { return o.server.Load() }

func (o *Overlay) changed() {
	if o.cfg.Changed != nil {
		o.cfg.Changed()
	}
}

// sleep waits d or until the overlay closes; it reports whether it is still open.
func (o *Overlay) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-o.ctx.Done():
		return false
	}
}

func unit() float64 { return rand.Float64() }
