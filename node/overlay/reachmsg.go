package overlay

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// ReachProtocol asks a server to dial the asker back. The asker sends one request;
// the server answers with one result per address it tried, as they come in, and
// closes the stream.
const ReachProtocol protocol.ID = "/peerd/reach/1"

const (
	reachVersion  = 1
	maxReachBytes = 4 << 10
	maxClaims     = 8
)

// errReachMessage: the other end sent something that is no message of the protocol.
var errReachMessage = errors.New("bad reach message")

// reachRequest lists the addresses the asker believes to have.
type reachRequest struct {
	Version int      `json:"v"`
	Addrs   []string `json:"addrs"`
}

// reachResult tells what became of one address.
type reachResult struct {
	Version int    `json:"v"`
	Addr    string `json:"addr"`
	OK      bool   `json:"ok"`
	Why     string `json:"why,omitempty"`
}

// parseReachRequest returns the claimed addresses; those that are no multiaddrs
// are left out.
func parseReachRequest(msg []byte) ([]ma.Multiaddr, error) {
	var req reachRequest
	if err := unmarshalReach(msg, &req, &req.Version); err != nil {
		return nil, err
	}
	if len(req.Addrs) > maxClaims {
		return nil, fmt.Errorf("%w: %d addresses, at most %d", errReachMessage, len(req.Addrs), maxClaims)
	}
	var addrs []ma.Multiaddr
	for _, text := range req.Addrs {
		if a, err := ma.NewMultiaddr(text); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs, nil
}

// parseReachResult returns a result and its address.
func parseReachResult(msg []byte) (reachResult, ma.Multiaddr, error) {
	var res reachResult
	if err := unmarshalReach(msg, &res, &res.Version); err != nil {
		return res, nil, err
	}
	addr, err := ma.NewMultiaddr(res.Addr)
	if err != nil {
		return res, nil, fmt.Errorf("%w: address: %w", errReachMessage, err)
	}
	return res, addr, nil
}

func unmarshalReach(msg []byte, into any, version *int) error {
	if len(msg) > maxReachBytes {
		return fmt.Errorf("%w: %d bytes", errReachMessage, len(msg))
	}
	if err := json.Unmarshal(msg, into); err != nil {
		return fmt.Errorf("%w: %w", errReachMessage, err)
	}
	if *version != reachVersion {
		return fmt.Errorf("%w: version %d, this peerd speaks %d", errReachMessage, *version, reachVersion)
	}
	return nil
}
