package stormlab

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	ds "github.com/ipfs/go-datastore"

	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/stormlab/memnet"
)

// ours is this project's node.
type ours struct{}

func (ours) learns() bool { return true }

func (ours) remember(*lab, *member) {}

func (ours) start(l *lab, m *member) (process, error) {
	role := node.RoleClient
	switch {
	case m.bootstrap:
		role = node.RoleServer
	case m.serves:
		role = node.RoleAuto
	}
	cfg := node.Config{
		Identity: m.id, Dir: m.dir, Role: role, RelayPort: -1,
		Listen:  []string{m.host.Multiaddr().String()},
		Network: m.host, Store: checked{m.store, m.host}, CPU: m.host.CPU, Log: slog.New(m.steps),
	}
	if l.restarted && m.index == l.set.Traced {
		cfg.Trace = l.set.Trace
	}
	for _, b := range l.boot {
		if b.ID != m.id.Device() {
			cfg.Bootstrap = append(cfg.Bootstrap, b.Addrs[0].String()+"/p2p/"+b.ID.String())
		}
	}
	n, err := node.Open(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	o := &ourNode{Node: n, done: make(chan struct{})}
	events, stop := n.Subscribe()
	go o.watch(events, stop, m.steps)
	return o, nil
}

// checked is a store in which each record costs what its signature and the disk do.
type checked struct {
	ds.Batching
	host *memnet.Host
}

func (c checked) Put(ctx context.Context, key ds.Key, value []byte) error {
	c.host.Record()
	return c.Batching.Put(ctx, key, value)
}

// ourNode is a running node of this project.
type ourNode struct {
	*node.Node
	kept atomic.Bool
	done chan struct{}
}

// watch waits until another node keeps the node's record, and for the first login.
func (o *ourNode) watch(events <-chan node.Event, stop func(), steps *journal) {
	defer close(o.done)
	defer stop()
	for e := range events {
		if e.Status != nil && e.Status.Login.Acks > 0 {
			o.kept.Store(true)
		}
		if e.Status != nil && e.Status.State == node.Online {
			steps.note("online by its own word")
			return
		}
	}
}

func (o *ourNode) callable() bool { return o.kept.Load() }

func (o *ourNode) published() bool { return o.kept.Load() }

func (o *ourNode) missing() string {
	s := o.Status()
	return fmt.Sprintf("%d members, %+v", s.Overlay.Peers, s.Login.Missing)
}

func (o *ourNode) reach(m *member) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkLimit)
	defer cancel()
	_, err := o.Connect(ctx, m.id.Link())
	return err
}

func (o *ourNode) close() {
	_ = o.Close()
	<-o.done
}
