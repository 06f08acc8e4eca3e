package overlay

import (
	"io"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"

	"github.com/peerd/peerd/node/storm"
)

// mdnsService is the name under which peerd is announced on the local network.
const mdnsService = "_peerd._udp"

const maxLAN = 64

// lanPeers are hosts announced on the local network, newest last.
type lanPeers struct {
	mu    sync.Mutex
	peers []peer.AddrInfo
}

func (l *lanPeers) add(p peer.AddrInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers = slices.DeleteFunc(l.peers, func(q peer.AddrInfo) bool { return q.ID == p.ID })
	l.peers = append(l.peers, p)
	l.peers = l.peers[max(0, len(l.peers)-maxLAN):]
}

func (l *lanPeers) list() []peer.AddrInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.peers)
}

// HandlePeerFound takes an announcement; it implements mdns.Notifee.
func (o *Overlay) HandlePeerFound(p peer.AddrInfo) {
	if p.ID == o.host.ID() || o.connected(p.ID) {
		return
	}
	o.lan.add(p)
	o.tell(storm.Event[peer.ID]{Kind: storm.Met, Peer: p.ID})
}

// startMDNS announces this host on the local network. A machine without multicast
// goes on without.
func startMDNS(o *Overlay) io.Closer {
	s := mdns.NewMdnsService(o.host, mdnsService, o)
	if err := s.Start(); err != nil {
		o.log.Info("no announcement on the local network", "err", err)
	}
	return s
}
