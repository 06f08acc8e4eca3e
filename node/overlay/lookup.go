package overlay

import (
	"context"
	"errors"
	"fmt"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
)

const (
	// readFrom is how many of the servers nearest to a key are asked for a value: more than
	// are to keep it, as who keeps it changes while an overlay grows.
	readFrom = bucketSize
	// While this node is young the overlay may be, too, and then many servers have come
	// since a record was stored: where readFrom of them have none, so many are asked.
	readYoung = 3 * readFrom
	youngFor  = time.Minute
)

// getLimit bounds one GET_VALUE, the dial before it included.
const getLimit = 4 * time.Second

// Lookup returns a value stored under key, the best of quorum valid answers. It asks
// the servers nearest to the key, which it finds by questions: nobody is dialled who
// does not answer. Where that finds nothing, the library's walk is left.
func (o *Overlay) Lookup(ctx context.Context, key string, quorum int) (value []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	r := o.newReading(key, quorum, func([]byte) {})
	if r.read(ctx); r.best != nil {
		return r.best, nil
	}
	return o.walkFor(ctx, key, quorum)
}

// walkFor is the library's walk to a value, which connects to all on its way.
func (o *Overlay) walkFor(ctx context.Context, key string, quorum int) ([]byte, error) {
	value, err := o.dht.GetValue(ctx, key, dht.Quorum(quorum))
	switch {
	case len(value) > 0:
		return value, nil
	case err == nil, errors.Is(err, routing.ErrNotFound):
		return nil, ErrNoValue
	}
	return nil, fmt.Errorf("%w: %w", ErrNoValue, err)
}

// Follow is Lookup that takes whatever comes: found is told of each value that is better
// than those before it, until all servers that may have one were asked, or ctx ends.
func (o *Overlay) Follow(ctx context.Context, key string, found func(value []byte)) error {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	r := o.newReading(key, readFrom, found)
	if r.read(ctx); r.best != nil {
		return nil
	}
	value, err := o.walkFor(ctx, key, 1)
	if err == nil {
		found(value)
	}
	return err
}

// reading is one read under way.
type reading struct {
	o      *Overlay
	key    string
	quorum int
	better func(value []byte) // is told of the best value whenever that is another one
	asked  map[peer.ID]bool
	values int // valid ones so far
	best   []byte
}

func (o *Overlay) newReading(key string, quorum int, better func([]byte)) *reading {
	return &reading{o: o, key: key, quorum: quorum, better: better, asked: make(map[peer.ID]bool)}
}

// read asks the servers nearest to the key until quorum of them have given a valid value.
func (r *reading) read(ctx context.Context) {
	r.take(r.o.keptHere(ctx, r.key))
	r.from(ctx, readFrom)
	if r.values == 0 && len(r.asked) >= readFrom && r.o.door.moment() < youngFor {
		r.from(ctx, readYoung)
	}
}

// take takes a valid value, or nil.
func (r *reading) take(value []byte) {
	if value == nil {
		return
	}
	r.values++
	if r.best != nil {
		i, err := r.o.cfg.Validators.Select(r.key, [][]byte{r.best, value})
		if err != nil || i == 0 {
			return
		}
	}
	r.best = value
	r.better(value)
}

// from asks those of the n servers nearest to the key that were not asked yet, three at
// a time, until there are enough values. Who is among the nearest known so far is asked
// as soon as it is known to be there, while the search goes on.
func (r *reading) from(ctx context.Context, n int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	live := make(chan peer.ID, maxSteps+n)
	w := r.o.newWalk(kb.ConvertKey(r.key))
	w.live = live
	go func() {
		defer close(live)
		for _, p := range w.nearest(ctx, n) {
			live <- p
		}
	}()
	values := make(chan []byte, maxSteps+n)
	for running := 0; r.values < r.quorum && (live != nil || running > 0); {
		next := live
		if running == concurrency {
			next = nil
		}
		select {
		case p, ok := <-next:
			switch {
			case !ok:
				live = nil
			case !r.asked[p]:
				r.asked[p] = true
				running++
				go func() { values <- r.o.valueAt(ctx, p, r.key) }()
			}
		case v := <-values:
			running--
			r.take(v)
		}
	}
}

// keptHere is the valid value that this server itself keeps under a key, or nil.
func (o *Overlay) keptHere(ctx context.Context, key string) []byte {
	if !o.Serving() {
		return nil
	}
	rec, err := o.local.Get(ctx, key)
	if err != nil {
		return nil
	}
	return o.valid(key, rec.GetValue())
}

// valueAt asks one server for the value under a key; nil is none, or no valid one. It is
// asked on a connection only where it cannot be asked by a datagram, or is connected and
// does not answer.
func (o *Overlay) valueAt(ctx context.Context, from peer.ID, key string) []byte {
	if addrs := o.askAddrs(from); len(addrs) > 0 {
		limited, cancel := context.WithTimeout(ctx, stepLimit)
		defer cancel()
		value, err := o.asker.read(limited, addrs, key)
		if err == nil || (!o.mute(from, err) && !o.members.has(from)) {
			return o.valid(key, value)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, getLimit)
	defer cancel()
	o.reachable(from)
	answer, err := o.exchange(ctx, from, pb.NewMessage(pb.Message_GET_VALUE, []byte(key), 0))
	if err != nil {
		return nil
	}
	return o.valid(key, answer.GetRecord().GetValue())
}

func (o *Overlay) valid(key string, value []byte) []byte {
	if len(value) == 0 || o.cfg.Validators.Validate(key, value) != nil {
		return nil
	}
	return value
}
