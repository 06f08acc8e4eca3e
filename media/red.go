package media

import (
	"errors"
	"strconv"
	"strings"
)

// RFC 2198: a packet carries earlier frames beside its own, so that a lost one
// comes again with the next packets.
const (
	maxDepth     = 2         // earlier frames in one packet
	maxBlocks    = 16        // blocks of one packet that are read
	maxOffset    = 1<<14 - 1 // samples between a block and the packet's own frame
	maxBlock     = 1<<10 - 1 // bytes of an earlier frame
	maxRedundant = 1100      // bytes of a payload with earlier frames; without them it may be longer
)

var errBadRED = errors.New("malformed RED payload")

// redBlock is one frame of a RED payload.
type redBlock struct {
	payloadType uint8
	offset      uint32 // samples before the packet's timestamp
	data        []byte
}

// readRED splits a payload into its blocks, in their order: the packet's own
// frame is the last one. The blocks lie in payload.
func readRED(payload []byte, blocks *[maxBlocks]redBlock) (n int, err error) {
	var sizes [maxBlocks]int
	at := 0
	for ; ; at += 4 {
		if at >= len(payload) || n == maxBlocks {
			return 0, errBadRED
		}
		blocks[n] = redBlock{payloadType: payload[at] & 0x7f}
		if payload[at]&0x80 == 0 {
			break
		}
		if at+4 > len(payload) {
			return 0, errBadRED
		}
		bits := uint32(payload[at+1])<<16 | uint32(payload[at+2])<<8 | uint32(payload[at+3])
		blocks[n].offset, sizes[n] = bits>>10, int(bits&maxBlock)
		n++
	}
	rest := payload[at+1:]
	for i := range n {
		if sizes[i] > len(rest) {
			return 0, errBadRED
		}
		blocks[i].data, rest = rest[:sizes[i]], rest[sizes[i]:]
	}
	blocks[n].data = rest
	return n + 1, nil
}

// redBuilder keeps the last frames and puts them beside the next one.
type redBuilder struct {
	past [maxDepth]pastFrame // the newest first
	out  [maxRTP]byte
}

type pastFrame struct {
	timestamp uint32
	size      int // 0: none
	data      [maxBlock]byte
}

// build makes the payload of a frame with up to depth earlier ones of the same
// payload type; ok is false where there are none. It is valid until the next
// build or again.
func (b *redBuilder) build(payloadType uint8, timestamp uint32, frame []byte, depth int) (out []byte, ok bool) {
	room := maxRedundant - 1 - len(frame)
	used := 0
	for ; used < min(depth, maxDepth); used++ {
		p := &b.past[used]
		if room -= 4 + p.size; p.size == 0 || room < 0 || timestamp-p.timestamp > maxOffset {
			break
		}
	}
	out = b.out[:0]
	for i := used - 1; i >= 0; i-- {
		p := &b.past[i]
		bits := (timestamp-p.timestamp)<<10 | uint32(p.size)
		out = append(out, 0x80|payloadType, byte(bits>>16), byte(bits>>8), byte(bits))
	}
	out = append(out, payloadType)
	for i := used - 1; i >= 0; i-- {
		out = append(out, b.past[i].data[:b.past[i].size]...)
	}
	return append(out, frame...), used > 0
}

// again is the payload of a packet that repeats the last frame: one block and no
// earlier ones, as build never makes it.
func (b *redBuilder) again(payloadType uint8) []byte {
	last := &b.past[0]
	return append(append(b.out[:0], payloadType), last.data[:last.size]...)
}

// remember keeps a frame that was sent, for those after it.
func (b *redBuilder) remember(timestamp uint32, frame []byte) {
	b.past[1] = b.past[0]
	b.past[0].timestamp, b.past[0].size = timestamp, 0
	if len(frame) <= maxBlock {
		b.past[0].size = copy(b.past[0].data[:], frame)
	}
}

// redOf reads the format parameters of RED: the payload types of its blocks,
// "111/111". It reports whether all of them are opus, which is what we send.
// pion does not look at it.
func redOf(fmtp string, opus uint8) bool {
	for _, part := range strings.Split(fmtp, "/") {
		if n, err := strconv.ParseUint(strings.TrimSpace(part), 10, 7); err != nil || uint8(n) != opus {
			return false
		}
	}
	return true
}
