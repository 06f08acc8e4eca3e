package overlay

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// SnapshotProtocol asks a server for a snapshot of the servers it knows, in place
// of the walks by which a table is filled otherwise. One request, one answer.
const SnapshotProtocol protocol.ID = "/peerd/snapshot/1"

const (
	snapshotVersion  = 1
	maxSnapshotBytes = 32 << 10
	maxSnapshotPeers = 32
	maxSnapshotAddrs = 4
	maxSnapshotKeys  = 4
	maxKeyBytes      = 256
)

// errSnapshot: the other end sent something that is no message of the protocol.
var errSnapshot = errors.New("bad snapshot message")

// snapshotRequest names the keys under which the asker publishes.
type snapshotRequest struct {
	Version int      `json:"v"`
	Keys    [][]byte `json:"keys,omitempty"`
}

// snapshotAnswer is what a joining node needs to know.
type snapshotAnswer struct {
	Version int            `json:"v"`
	Peers   []snapshotPeer `json:"peers"`
	Ticket  []byte         `json:"ticket,omitempty"`
	Size    int            `json:"size,omitempty"`
}

type snapshotPeer struct {
	ID    string   `json:"id"`
	Addrs [][]byte `json:"addrs"`
}

// snapshot is an answer that has been read.
type snapshot struct {
	peers  []peer.AddrInfo
	ticket []byte
	size   int // servers in the overlay, estimated; 0 is unknown
}

func parseSnapshotRequest(msg []byte) ([]string, error) {
	var req snapshotRequest
	if err := unmarshalSnapshot(msg, &req, &req.Version); err != nil {
		return nil, err
	}
	if len(req.Keys) > maxSnapshotKeys {
		return nil, fmt.Errorf("%w: %d keys, at most %d", errSnapshot, len(req.Keys), maxSnapshotKeys)
	}
	var keys []string
	for _, k := range req.Keys {
		if len(k) > maxKeyBytes {
			return nil, fmt.Errorf("%w: key of %d bytes", errSnapshot, len(k))
		}
		keys = append(keys, string(k))
	}
	return keys, nil
}

// parseSnapshot reads an answer. Peers that make no sense are left out.
func parseSnapshot(msg []byte) (snapshot, error) {
	var in snapshotAnswer
	if err := unmarshalSnapshot(msg, &in, &in.Version); err != nil {
		return snapshot{}, err
	}
	s := snapshot{size: max(in.Size, 0)}
	if len(in.Ticket) <= maxTicketBytes {
		s.ticket = in.Ticket
	}
	for _, p := range in.Peers[:min(len(in.Peers), maxSnapshotPeers)] {
		if info, ok := p.info(); ok {
			s.peers = append(s.peers, info)
		}
	}
	return s, nil
}

func (p snapshotPeer) info() (peer.AddrInfo, bool) {
	id, err := peer.Decode(p.ID)
	info := peer.AddrInfo{ID: id}
	for _, b := range p.Addrs[:min(len(p.Addrs), maxSnapshotAddrs)] {
		if a, bad := ma.NewMultiaddrBytes(b); bad == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	return info, err == nil && len(info.Addrs) > 0
}

func unmarshalSnapshot(msg []byte, into any, version *int) error {
	if len(msg) > maxSnapshotBytes {
		return fmt.Errorf("%w: %d bytes", errSnapshot, len(msg))
	}
	if err := json.Unmarshal(msg, into); err != nil {
		return fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if *version != snapshotVersion {
		return fmt.Errorf("%w: version %d, this peerd speaks %d", errSnapshot, *version, snapshotVersion)
	}
	return nil
}
