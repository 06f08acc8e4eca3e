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

	"github.com/peerd/peerd/node/storm"
)

// readFrom is how many of the servers nearest to a key are asked for a value: more than
// are to keep it, as who keeps it changes while an overlay grows.
const readFrom = bucketSize

// getLimit bounds one GET_VALUE, the dial before it included.
const getLimit = 4 * time.Second

// Lookup returns a value stored under key, the best of quorum valid answers. It asks
// the servers nearest to the key, which it finds by questions: nobody is dialled who
// does not answer. Where that finds nothing, the library's walk is left.
func (o *Overlay) Lookup(ctx context.Context, key string, quorum int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	if value := o.read(ctx, key, quorum); value != nil {
		return value, nil
	}
	value, err := o.dht.GetValue(ctx, key, dht.Quorum(quorum))
	switch {
	case len(value) > 0:
		return value, nil
	case err == nil, errors.Is(err, routing.ErrNotFound):
		return nil, ErrNoValue
	}
	return nil, fmt.Errorf("%w: %w", ErrNoValue, err)
}

// read asks the servers nearest to a key, three at a time, until quorum of them have
// given a valid value, and returns the best, or nil.
func (o *Overlay) read(ctx context.Context, key string, quorum int) []byte {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var values [][]byte
	if own := o.keptHere(ctx, key); own != nil {
		values = append(values, own)
	}
	near := o.nearest(ctx, kb.ConvertKey(key), readFrom, storm.LookUp)
	answers := make(chan []byte, len(near))
	for asked, answered := 0, 0; len(values) < quorum; answered++ {
		for ; asked < len(near) && asked-answered < concurrency; asked++ {
			from := near[asked]
			go func() { answers <- o.valueAt(ctx, from, key) }()
		}
		if answered == asked {
			break
		}
		if value := <-answers; value != nil {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		return nil
	}
	best, err := o.cfg.Validators.Select(key, values)
	if err != nil {
		return nil
	}
	return values[best]
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

// valueAt asks one server for the value under a key; nil is none, or no valid one.
func (o *Overlay) valueAt(ctx context.Context, from peer.ID, key string) []byte {
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
