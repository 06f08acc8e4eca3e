package overlay

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

const (
	snapshotLimit = 3 * time.Second
	// Of a snapshot's peers so many are near the asker and near each of its keys; the
	// rest are anywhere.
	snapshotNear   = 12
	snapshotPerKey = Neighbours
	// ticketLife is how long after an exchange of snapshots a node may come back
	// before others.
	ticketLife = 7 * 24 * time.Hour
)

// takeSnapshot asks a connected server for its neighbours, and enters them in the
// routing table as far as there is room: they have not been asked yet, and the
// first that fails to answer is put out again.
func (o *Overlay) takeSnapshot(ctx context.Context, server peer.ID) error {
	s, err := o.askSnapshot(ctx, server)
	if err != nil {
		return err
	}
	for _, p := range s.peers {
		if p.ID != o.host.ID() {
			o.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.RecentlyConnectedAddrTTL)
			_, _ = o.dht.RoutingTable().TryAddPeer(p.ID, false, true)
		}
	}
	o.log.Debug("snapshot taken", "server", server, "peers", len(s.peers))
	o.cache.heardOf(s.peers)
	o.cache.keepTicket(server, s.ticket)
	o.cache.learn(s.size)
	return nil
}

func (o *Overlay) askSnapshot(ctx context.Context, server peer.ID) (snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotLimit)
	defer cancel()
	s, err := o.host.NewStream(ctx, server, SnapshotProtocol)
	if err != nil {
		return snapshot{}, err
	}
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(time.Now().Add(snapshotLimit))
	req := snapshotRequest{Version: snapshotVersion}
	for _, r := range o.refreshRecords() {
		if len(req.Keys) < maxSnapshotKeys {
			req.Keys = append(req.Keys, []byte(r.Key))
		}
	}
	msg, err := json.Marshal(req)
	if err == nil {
		err = WriteFrame(s, msg)
	}
	if err == nil {
		msg, err = ReadFrame(s, maxSnapshotBytes)
	}
	if err != nil {
		return snapshot{}, err
	}
	return parseSnapshot(msg)
}

// serveSnapshot answers one request.
func (o *Overlay) serveSnapshot(s network.Stream) {
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(snapshotLimit))
	asker := s.Conn().RemotePeer()
	msg, err := ReadFrame(s, maxReachBytes)
	var keys []string
	if err == nil {
		keys, err = parseSnapshotRequest(msg)
	}
	if err == nil {
		msg, err = json.Marshal(o.snapshotFor(asker, keys))
	}
	if err == nil {
		err = WriteFrame(s, msg)
	}
	if err != nil {
		o.log.Debug("no snapshot given", "peer", asker, "err", err)
		_ = s.Reset()
	}
}

func (o *Overlay) snapshotFor(asker peer.ID, keys []string) snapshotAnswer {
	out := snapshotAnswer{
		Version: snapshotVersion, Peers: []snapshotPeer{}, Size: o.cache.learned(),
		Ticket: o.door.keys.Ticket(asker, o.now().Add(ticketLife)),
	}
	table := o.dht.RoutingTable()
	ids := table.NearestPeers(kb.ConvertPeerID(asker), snapshotNear)
	for _, key := range keys {
		ids = append(ids, table.NearestPeers(kb.ConvertKey(key), snapshotPerKey)...)
	}
	ids = append(ids, table.ListPeers()...)
	for i, id := range ids {
		if len(out.Peers) < maxSnapshotPeers && id != asker && !slices.Contains(ids[:i], id) {
			out.add(id, o)
		}
	}
	return out
}

func (s *snapshotAnswer) add(id peer.ID, o *Overlay) {
	p := snapshotPeer{ID: id.String()}
	addrs := o.dialable(id)
	for _, a := range addrs[:min(len(addrs), maxSnapshotAddrs)] {
		p.Addrs = append(p.Addrs, a.Bytes())
	}
	if len(p.Addrs) > 0 {
		s.Peers = append(s.Peers, p)
	}
}
