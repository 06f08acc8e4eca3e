package gate

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// A ping asks whether a process is there, a pong says which: a restarted one has
// another boot number, and knows nothing of the connections of the one before. The
// lowest 16 bits of it count the servers that came near: who pings a holder of its
// record so hears that others may be nearer to that now. Both have pingSize bytes.
const (
	kindPing = 3
	kindPong = 4
	pingSize = 3 + 8 + 8
	cameMask = 1<<16 - 1
)

func appendPing(buf []byte, kind byte, nonce, boot uint64) []byte {
	buf = append(buf, magic, version, kind)
	buf = binary.BigEndian.AppendUint64(buf, nonce)
	return binary.BigEndian.AppendUint64(buf, boot)
}

// parsePing reads a ping, whose boot number is 0, or a pong.
func parsePing(data []byte, kind byte) (nonce, boot uint64, err error) {
	r := reader{rest: data}
	r.header(kind)
	nonce, boot = r.uint64(), r.uint64()
	if r.failed || len(data) != pingSize {
		return 0, 0, fmt.Errorf("%w: ping of %d bytes", errMessage, len(data))
	}
	return nonce, boot, nil
}

// pong answers a ping.
func (p *Port) pong(data, out []byte) []byte {
	nonce, _, err := parsePing(data, kindPing)
	if err != nil {
		return nil
	}
	return appendPing(out, kindPong, nonce, p.boot&^cameMask|uint64(p.came.Load())&cameMask)
}

// Ping asks once whether a process is there and returns its boot number.
func (p *Port) Ping(ctx context.Context, addr netip.AddrPort) (boot uint64, err error) {
	h, err := p.exchange(ctx, addr, func(nonce uint64) ([]byte, error) {
		return appendPing(nil, kindPing, nonce, 0), nil
	})
	return h.boot, err
}

// Came counts a server that came near.
func (p *Port) Came() { p.came.Add(1) }

// SameBoot says that two boot numbers are of one process, and whether servers came near
// it between them.
func SameBoot(old, now uint64) (same, grown bool) {
	same = old&^cameMask == now&^cameMask
	return same, same && old != now
}

func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}
