package node

import (
	"context"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/relay"
)

// Node is a running member of the overlay. All methods are safe for concurrent use.
type Node struct{}

// Open starts a node and returns as soon as its host listens; logging in goes on
// in the background (see Status and Subscribe). ctx bounds the opening only.
func Open(ctx context.Context, cfg Config) (*Node, error) { return nil, ErrClosed }

// Close tells the contacts goodbye, persists what was learned, closes the host
// and waits for every goroutine of the node. It may be called twice.
func (n *Node) Close() error { return nil }

// Status returns a snapshot.
func (n *Node) Status() Status { return Status{} }

// Subscribe returns a channel of changes and a function that ends it. A slow
// reader loses events, it never stalls the node.
func (n *Node) Subscribe() (<-chan Event, func()) { return nil, func() {} }

// SetContacts replaces the list of accounts whose presence we keep and whom we tell ours.
func (n *Node) SetContacts(links []identity.Link) {}

// Presence returns what is known about an account.
func (n *Node) Presence(a identity.AccountID) ContactPresence { return ContactPresence{State: Unknown} }

// Connect finds a device of the link's account and connects to it. It races the
// last known addresses with the DHT; the first verified device wins.
func (n *Node) Connect(ctx context.Context, link identity.Link) (Peer, error) {
	return Peer{}, ErrClosed
}

// Stream opens a stream to a device, also over a circuit relay.
func (n *Node) Stream(ctx context.Context, device identity.DeviceID, protocol string) (Stream, error) {
	return nil, ErrClosed
}

// Handle serves a protocol; f runs in a goroutine of its own and owns the stream.
func (n *Node) Handle(protocol string, f func(Stream)) {}

// Relays returns what relays grant us now: cached, refreshed in the background,
// empty when there is none; never blocks longer than ctx.
func (n *Node) Relays(ctx context.Context) ([]relay.Grant, error) { return nil, nil }
