package overlay

import (
	"io"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// mdnsService is the name under which peerd is announced on the local network.
const mdnsService = "_peerd._udp"

const maxLAN = 64

// lanPeers are hosts announced on the local network, newest last.
type lanPeers struct {
	mu    sync.Mutex
	peers []peer.AddrInfo
	fresh bool // one came since the last call of takeFresh
}

func (l *lanPeers) add(p peer.AddrInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers = slices.DeleteFunc(l.peers, func(q peer.AddrInfo) bool { return q.ID == p.ID })
	l.peers = append(l.peers, p)
	l.peers = l.peers[max(0, len(l.peers)-maxLAN):]
	l.fresh = true
}

func (l *lanPeers) list() []peer.AddrInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.peers)
}

func (l *lanPeers) takeFresh() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := l.fresh
	l.fresh = false
	return fresh
}

// HandlePeerFound takes an announcement; it implements mdns.Notifee.
func (o *Overlay) HandlePeerFound(p peer.AddrInfo) {
	if p.ID == o.host.ID() || o.connected(p.ID) {
		return
	}
	o.lan.add(p)
	o.poke()
}

// fresh says that somebody was announced on the local network since last asked.
func (o *Overlay) fresh() bool { return o.lan.takeFresh() }

// startMDNS announces this host on the local network. A machine without multicast
// goes on without.
func startMDNS(o *Overlay) io.Closer {
	s := mdns.NewMdnsService(o.host, mdnsService, o)
	if err := s.Start(); err != nil {
		o.log.Info("no announcement on the local network", "err", err)
	}
	return s
}
