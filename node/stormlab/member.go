package stormlab

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"net/netip"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/stormlab/memnet"
)

// member is a node of the overlay with what survives its restarts.
type member struct {
	index     int
	bootstrap bool
	serves    bool // can be a server
	id        *identity.Identity
	dir       string
	store     ds.Batching
	saved     []peer.AddrInfo // the baseline's peer store

	addr  netip.Addr
	delay time.Duration // its start after the restart
	slow  bool

	// Of the present incarnation:
	host    *memnet.Host
	process process
	began   time.Time
	steps   *journal
	back    time.Duration // since began; negative: not back
	failed  error         // the last check that failed
}

// process is a running node under one of the policies. reach and published may be
// called at any time.
type process interface {
	// callable reports whether it is worth calling the node: its record may be found.
	callable() bool
	// published reports whether the node has given its record to others.
	published() bool
	// missing says what the node itself thinks it lacks.
	missing() string
	// reach has this node read the record of another one and call it.
	reach(m *member) error
	// close ends it; the network has killed its host before.
	close()
}

func (m *member) info() peer.AddrInfo {
	return peer.AddrInfo{ID: m.id.Device(), Addrs: []ma.Multiaddr{memnet.Multiaddr(m.addr)}}
}

// population makes the bootstrap nodes, first, and the nodes. A fixed number of
// them, chosen by chance, can serve.
func population(s Setting, rng *mrand.Rand, dir func(name string) (string, error)) ([]*member, error) {
	all := make([]*member, s.Bootstrap+s.Nodes)
	servers := int(s.Serve*float64(s.Nodes) + 0.5)
	order := rng.Perm(s.Nodes)
	for i := range all {
		name := fmt.Sprintf("n%d", i)
		id, _, err := identity.New(name, rand.Reader)
		if err != nil {
			return nil, err
		}
		home, err := dir(name)
		if err != nil {
			return nil, err
		}
		m := &member{
			index: i, bootstrap: i < s.Bootstrap, id: id, dir: home,
			store: dssync.MutexWrap(ds.NewMapDatastore()), addr: address(0, i), back: -1,
		}
		m.serves = m.bootstrap || order[i-s.Bootstrap] < servers
		all[i] = m
	}
	return all, nil
}

// address gives every node an address of its own, in a network of its own, at every
// move. They are public to libp2p.
func address(move, index int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(20 + move), byte(index >> 8), byte(index), 1})
}

// upheaval says what the restart does to each member: who has moved, who is late.
func upheaval(s Setting, rng *mrand.Rand, all []*member) {
	nodes := all[s.Bootstrap:]
	for _, m := range nodes {
		m.delay = time.Duration(rng.Float64() * float64(s.StartIn))
	}
	for n, i := range rng.Perm(len(nodes)) {
		nodes[i].slow = float64(n) < s.Slow*float64(len(nodes))
	}
	if s.remembers() {
		for _, group := range split(nodes) {
			for n, i := range rng.Perm(len(group)) {
				if n < len(group)/2 {
					group[i].addr = address(1, group[i].index)
				}
			}
		}
	}
	if s.Scenario == Skype2007 {
		servers := split(nodes)[0]
		for n, i := range rng.Perm(len(servers)) {
			if n >= len(servers)/5 {
				servers[i].delay = lateFirst + time.Duration(rng.Float64()*float64(lateLast-lateFirst))
			}
		}
		for _, m := range all[:s.Bootstrap] {
			m.delay = lateFirst + time.Duration(rng.Float64()*float64(lateLast-lateFirst))
		}
	}
	if s.Boot == Late {
		for _, m := range all[:s.Bootstrap] {
			m.delay = max(m.delay, lateBy)
		}
	}
}

// split returns those who can serve and those who cannot.
func split(members []*member) (groups [2][]*member) {
	for _, m := range members {
		i := 1
		if m.serves {
			i = 0
		}
		groups[i] = append(groups[i], m)
	}
	return groups
}

// machine is what a member runs on after the restart.
func (m *member) machine(s Setting) memnet.Machine {
	var machine memnet.Machine
	if m.bootstrap && s.Boot == Slow {
		machine.Connection = slowConnection
	}
	if s.Scenario == Skype2007 {
		machine.Load = callLoad
	}
	if m.slow {
		machine.Slow = s.SlowFactor
	}
	return machine
}
