package overlay

import (
	"fmt"

	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
)

// Promote makes a client that may serve a server. It is not undone while the
// overlay is open.
func (o *Overlay) Promote() error {
	if o.Serving() {
		return nil
	}
	if err := o.setDHTServer(); err != nil {
		return fmt.Errorf("serve the DHT: %w", err)
	}
	if err := o.serve(); err != nil {
		return err
	}
	o.log.Info("became a server")
	o.storeLocally(o.refreshRecords())
	select {
	case o.promoted <- struct{}{}:
	default:
	}
	o.changed()
	return nil
}

// serve offers circuits and dial-back to others.
func (o *Overlay) serve() error {
	o.serveMu.Lock()
	defer o.serveMu.Unlock()
	if o.circuits != nil || o.ctx.Err() != nil {
		return nil
	}
	circuits, err := relay.New(o.host, relay.WithResources(circuitResources()))
	if err != nil {
		return fmt.Errorf("offer circuits: %w", err)
	}
	o.circuits = circuits
	o.host.SetStreamHandler(ReachProtocol, o.dialback.serve)
	o.host.SetStreamHandler(SnapshotProtocol, o.serveSnapshot)
	o.server.Store(true)
	return nil
}

func (o *Overlay) stopServing() {
	o.serveMu.Lock()
	defer o.serveMu.Unlock()
	if o.circuits != nil {
		o.host.RemoveStreamHandler(ReachProtocol)
		o.host.RemoveStreamHandler(SnapshotProtocol)
		_ = o.circuits.Close()
		o.circuits = nil
	}
}
