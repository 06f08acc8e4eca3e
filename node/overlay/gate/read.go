package gate

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// A read asks a server for the value of a record that it keeps, a value is the answer:
// empty where it keeps none. Every read has ReadSize bytes, and no value is longer.
const (
	kindRead  = 6
	kindValue = 7
	// ReadSize is the length of every read in bytes.
	ReadSize = 3 + 8 + 2 + MaxValue
)

// Read decides on a read from an address; if there is to be an answer, it is given by
// later, once, from any goroutine. It must not block.
type Read func(from netip.AddrPort, name string, later func(value []byte))

func appendRead(buf []byte, nonce uint64, name string) ([]byte, error) {
	if !isName([]byte(name)) {
		return buf, fmt.Errorf("%w: name of %d bytes", errMessage, len(name))
	}
	begin := len(buf)
	buf = append(buf, magic, version, kindRead)
	buf = binary.BigEndian.AppendUint64(buf, nonce)
	buf = appendBytes(buf, []byte(name))
	return append(buf, make([]byte, ReadSize-(len(buf)-begin))...), nil
}

func parseRead(data []byte) (nonce uint64, name string, err error) {
	r := reader{rest: data}
	r.header(kindRead)
	nonce, name = r.uint64(), string(r.field(isName))
	if r.failed || len(data) != ReadSize {
		return 0, "", fmt.Errorf("%w: read of %d bytes", errMessage, len(data))
	}
	return nonce, name, nil
}

// valueDatagram leaves out a value that is too long.
func valueDatagram(nonce uint64, value []byte) []byte {
	if len(value) > MaxValue {
		value = nil
	}
	buf := append(make([]byte, 0, ReadSize), magic, version, kindValue)
	buf = binary.BigEndian.AppendUint64(buf, nonce)
	buf = binary.BigEndian.AppendUint16(buf, uint16(len(value)))
	return append(buf, value...)
}

// parseValue reads a value, which shares the memory of data.
func parseValue(data []byte) (nonce uint64, value []byte, err error) {
	r := reader{rest: data}
	r.header(kindValue)
	nonce, value = r.uint64(), r.value()
	if r.failed || len(r.rest) > 0 {
		return 0, nil, fmt.Errorf("%w: value of %d bytes", errMessage, len(data))
	}
	return nonce, value, nil
}

// readFor hands a read on.
func (p *Port) readFor(conn Conn, from netip.AddrPort, data []byte) {
	nonce, name, err := parseRead(data)
	if err != nil || p.read == nil {
		return
	}
	p.read(from, name, func(value []byte) {
		_, _ = conn.WriteTo(valueDatagram(nonce, value), net.UDPAddrFromAddrPort(from))
	})
}

// Read asks the server at addr once for the value of a record, and waits until ctx ends.
// Empty is none. What comes is not checked.
func (p *Port) Read(ctx context.Context, addr netip.AddrPort, name string) ([]byte, error) {
	h, err := p.exchange(ctx, addr, func(nonce uint64) ([]byte, error) { return appendRead(nil, nonce, name) })
	return h.value, err
}
