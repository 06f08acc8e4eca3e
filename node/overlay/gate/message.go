// Package gate is the door of a server: one datagram asks whether to come, one
// answers, on the UDP port that QUIC listens on; who was told to come may open a
// connection for some seconds, and who was not is refused before the handshake
// while the server is under load. What is answered is decided elsewhere.
package gate

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// magic is the first byte of every datagram of ours. QUIC's have the bit 0x40
	// set, STUN's first byte is 0x00 to 0x03, DTLS's 0x14 to 0x3f.
	magic   = 0x0a
	version = 2 // 1 had two fields more in an answer

	kindQuestion = 1
	kindAnswer   = 2
	kindGive     = 5 // a question with a record; 3 and 4 are pings and pongs

	flagServes = 1
	flagIfNear = 2

	// QuestionSize is the length of every question in bytes, but of one with a record,
	// which may be longer: no answer is longer, so nobody gains by asking in another's name.
	QuestionSize = 840
	// MaxSize bounds every datagram: what is sent without being taken apart over any path
	// that IPv6 has (RFC 8200, 5).
	MaxSize = 1280 - 40 - 8
	// MaxName and MaxValue bound a record in bytes.
	MaxName, MaxValue = 64, 1024
	// MaxReferrals bounds the peers named in an answer, and maxReferralAddrs the
	// addresses of each.
	MaxReferrals     = 8
	maxReferralAddrs = 2

	maxIDBytes   = 64
	maxAddrBytes = 64
	tokenBytes   = 8 + macBytes // of a slot or ticket: a time and a MAC

	// KeyBytes is the length of a place in key space, a SHA-256.
	KeyBytes = 32
)

// errMessage: a datagram is none of ours, or none that this version understands.
var errMessage = errors.New("bad question or answer")

// Question is what a node asks a server before it connects. Nothing in it is
// authenticated but slot and ticket, which are the server's own.
type Question struct {
	Nonce  uint64 // the answer carries it again
	From   peer.ID
	Class  uint8
	Serves bool   // the asker will be a server
	Slot   []byte // of an earlier answer of this server, or nil
	Ticket []byte // from an earlier stay with this server, or nil
	// Key, of KeyBytes, asks for the servers nearest to it in key space; nil does not.
	// The answer names them as referrals.
	Key []byte
	// Record, if not nil, is to be stored, with IfNear by who knows of few servers nearer to
	// its key; the answer says whether it is. Class is that of publishing, Key the hash of its name then.
	Record *Record
	IfNear bool // others are not to store it
}

// Record is a value and the name under which it is stored.
type Record struct {
	Name  string
	Value []byte
}

// Answer is a server's answer.
type Answer struct {
	Nonce     uint64
	Come      bool
	Load      float64       // 0 to 1, in steps of 1/255
	Uptime    time.Duration // of the server, whole seconds
	Wait      time.Duration // until the slot, whole milliseconds
	Slot      []byte        // to be shown when it is due, or nil
	Referrals []peer.AddrInfo
	// Named are more referrals, after those, as ReferralOf has made them. Only a
	// server that answers has any: what is read are Referrals.
	Named []Referral
}

// Referral is a peer as it stands in an answer; nil is one that cannot be named, having
// no address. Who is named again and again is so at the cost of a copy.
type Referral []byte

// ReferralOf makes a peer ready to be named.
func ReferralOf(p peer.AddrInfo) Referral {
	r, ok := appendReferral(nil, p)
	if !ok {
		return nil
	}
	return r
}

// AppendQuestion appends the datagram of q to buf; ids, slots, tickets and records that
// are too long are an error.
func AppendQuestion(buf []byte, q Question) ([]byte, error) {
	if len(q.From) > maxIDBytes || !isToken(q.Slot) || !isToken(q.Ticket) || !isKey(q.Key) {
		return buf, fmt.Errorf("%w: peer id of %d bytes, slot of %d, ticket of %d, key of %d",
			errMessage, len(q.From), len(q.Slot), len(q.Ticket), len(q.Key))
	}
	begin := len(buf)
	kind, flags := byte(kindQuestion), byte(0)
	if q.Record != nil {
		kind = kindGive
	}
	if q.Serves {
		flags = flagServes
	}
	if q.IfNear {
		flags |= flagIfNear
	}
	buf = append(buf, magic, version, kind, q.Class, flags)
	buf = binary.BigEndian.AppendUint64(buf, q.Nonce)
	buf = appendBytes(buf, []byte(q.From))
	buf = appendBytes(buf, q.Slot)
	buf = appendBytes(buf, q.Ticket)
	if r := q.Record; r == nil {
		buf = appendBytes(buf, q.Key)
	} else {
		if !isName([]byte(r.Name)) || len(r.Value) > MaxValue {
			return buf, fmt.Errorf("%w: record of %d bytes, its name of %d", errMessage, len(r.Value), len(r.Name))
		}
		buf = appendBytes(buf, []byte(r.Name))
		buf = binary.BigEndian.AppendUint16(buf, uint16(len(r.Value)))
		buf = append(buf, r.Value...)
	}
	return append(buf, make([]byte, max(0, QuestionSize-(len(buf)-begin)))...), nil
}

// isToken says whether b is absent or has the length of a slot or ticket.
func isToken(b []byte) bool { return len(b) == 0 || len(b) == tokenBytes }

func isKey(b []byte) bool  { return len(b) == 0 || len(b) == KeyBytes }
func isName(b []byte) bool { return len(b) > 0 && len(b) <= MaxName }

// ParseQuestion reads a question. Slot, ticket, key and value share the memory of data.
func ParseQuestion(data []byte) (Question, error) {
	r := reader{rest: data}
	gives := len(data) > 2 && data[2] == kindGive
	if gives {
		r.header(kindGive)
		r.failed = r.failed || len(data) < QuestionSize || len(data) > MaxSize
	} else {
		r.header(kindQuestion)
		r.failed = r.failed || len(data) != QuestionSize
	}
	q := Question{Class: r.byte()}
	flags := r.byte()
	q.Serves, q.IfNear = flags&flagServes != 0, gives && flags&flagIfNear != 0
	q.Nonce = r.uint64()
	q.From = r.id()
	q.Slot, q.Ticket = r.field(isToken), r.field(isToken)
	if gives {
		q.Record = &Record{Name: string(r.field(isName)), Value: r.value()}
		key := sha256.Sum256([]byte(q.Record.Name))
		q.Key = key[:]
	} else {
		q.Key = r.field(isKey)
	}
	if r.failed {
		return Question{}, fmt.Errorf("%w: question of %d bytes", errMessage, len(data))
	}
	return q, nil
}

// AppendAnswer appends the datagram of a to buf. Referrals for which there is no
// room, and addresses too long to be of use, are left out.
func AppendAnswer(buf []byte, a Answer) []byte {
	begin := len(buf)
	come := byte(0)
	if a.Come {
		come = 1
	}
	load := byte(min(max(a.Load, 0), 1) * 255)
	buf = append(buf, magic, version, kindAnswer, come, load)
	buf = binary.BigEndian.AppendUint32(buf, uint32(min(max(a.Uptime/time.Second, 0), 1<<32-1)))
	buf = binary.BigEndian.AppendUint64(buf, a.Nonce)
	buf = appendMillis(buf, a.Wait)
	if !isToken(a.Slot) {
		a.Slot = nil
	}
	buf = appendBytes(buf, a.Slot)
	count := len(buf)
	buf = append(buf, 0)
	for _, r := range a.Referrals {
		with, ok := appendReferral(buf, r)
		if ok && buf[count] < MaxReferrals && len(with)-begin <= QuestionSize {
			buf = with
			buf[count]++
		}
	}
	for _, r := range a.Named {
		if len(r) > 0 && buf[count] < MaxReferrals && len(buf)+len(r)-begin <= QuestionSize {
			buf = append(buf, r...)
			buf[count]++
		}
	}
	return buf
}

// appendReferral reports whether the peer can be named: it has an address.
func appendReferral(buf []byte, r peer.AddrInfo) ([]byte, bool) {
	if len(r.ID) == 0 || len(r.ID) > maxIDBytes {
		return buf, false
	}
	buf = appendBytes(buf, []byte(r.ID))
	count := len(buf)
	buf = append(buf, 0)
	for _, a := range r.Addrs {
		if b := a.Bytes(); len(b) > 0 && len(b) <= maxAddrBytes && buf[count] < maxReferralAddrs {
			buf = appendBytes(buf, b)
			buf[count]++
		}
	}
	return buf, buf[count] > 0
}

// ParseAnswer reads an answer. Referrals that make no sense are left out.
func ParseAnswer(data []byte) (Answer, error) {
	r := reader{rest: data}
	r.header(kindAnswer)
	a := Answer{Come: r.byte() == 1, Load: float64(r.byte()) / 255}
	a.Uptime = time.Duration(r.uint32()) * time.Second
	a.Nonce = r.uint64()
	a.Wait = r.millis()
	a.Slot = append([]byte(nil), r.field(isToken)...)
	for range min(r.byte(), MaxReferrals) {
		if p, ok := r.referral(); ok {
			a.Referrals = append(a.Referrals, p)
		}
	}
	if r.failed || len(data) > QuestionSize {
		return Answer{}, fmt.Errorf("%w: answer of %d bytes", errMessage, len(data))
	}
	return a, nil
}

func appendMillis(buf []byte, d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(buf, uint32(min(max(d.Milliseconds(), 0), 1<<32-1)))
}

func appendBytes(buf, b []byte) []byte { return append(append(buf, byte(len(b))), b...) }

// reader takes a datagram apart; after a failure everything it returns is zero.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || len(r.rest) < n {
		r.failed = true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) header(kind byte) {
	if h := r.take(3); h[0] != magic || h[1] != version || h[2] != kind {
		r.failed = true
	}
}

func (r *reader) byte() byte            { return r.take(1)[0] }
func (r *reader) uint32() uint32        { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) uint64() uint64        { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) millis() time.Duration { return time.Duration(r.uint32()) * time.Millisecond }
func (r *reader) bytes() []byte         { return r.take(int(r.byte())) }

func (r *reader) value() []byte {
	n := int(binary.BigEndian.Uint16(r.take(2)))
	if n > MaxValue {
		r.failed = true
	}
	return r.take(min(n, MaxValue))
}

func (r *reader) id() peer.ID {
	id, err := peer.IDFromBytes(r.bytes())
	if err != nil || len(id) > maxIDBytes {
		r.failed = true
	}
	return id
}

// field is nil where nothing is given.
func (r *reader) field(ok func([]byte) bool) []byte {
	b := r.bytes()
	if !ok(b) {
		r.failed = true
	}
	if len(b) == 0 {
		return nil
	}
	return b
}

func (r *reader) referral() (peer.AddrInfo, bool) {
	id, err := peer.IDFromBytes(r.bytes())
	info := peer.AddrInfo{ID: id}
	for range r.byte() {
		addr, bad := ma.NewMultiaddrBytes(append([]byte(nil), r.bytes()...))
		if bad == nil && len(info.Addrs) < maxReferralAddrs {
			info.Addrs = append(info.Addrs, addr)
		}
	}
	return info, err == nil && !r.failed && len(info.Addrs) > 0
}
