package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio/pbio"
	"github.com/multiformats/go-multistream"
)

// errNotStored: a server answered PUT_VALUE with something else than the record.
var errNotStored = errors.New("the record was not stored as it is")

// send has a server store a record, on a stream of its own. It does not wait until the
// library has asked what is at the other end: that costs a round trip, and who does
// not speak the protocol says so as well.
func (o *Overlay) send(ctx context.Context, to peer.ID, r Record) error {
	msg := pb.NewMessage(pb.Message_PUT_VALUE, []byte(r.Key), 0)
	msg.Record = record.MakePutRecord(r.Key, r.Value)
	answer, err := o.exchange(ctx, to, msg)
	switch {
	case err != nil:
		return fmt.Errorf("give %s a record: %w", tail(to), err)
	case !bytes.Equal(answer.GetRecord().GetValue(), r.Value):
		return fmt.Errorf("give %s a record: %w", tail(to), errNotStored)
	}
	return nil
}

// exchange sends a message of the DHT and waits for the answer. It connects where
// there is no connection; the protocol is settled with the message itself.
func (o *Overlay) exchange(ctx context.Context, to peer.ID, msg *pb.Message) (*pb.Message, error) {
	var out bytes.Buffer
	if err := pbio.NewDelimitedWriter(&out).WriteMsg(msg); err != nil {
		return nil, err
	}
	s, err := o.host.Network().NewStream(ctx, to)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	if err = s.SetProtocol(dhtProtocol); err != nil {
		return nil, err
	}
	rw := multistream.NewMSSelect(s, dhtProtocol)
	if _, err = rw.Write(out.Bytes()); err != nil {
		return nil, err
	}
	answer := new(pb.Message)
	if err = pbio.NewDelimitedReader(rw, network.MessageSizeMax).ReadMsg(answer); err != nil {
		_ = s.Reset()
		return nil, err
	}
	return answer, nil
}
