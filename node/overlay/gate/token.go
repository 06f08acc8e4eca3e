package gate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// macBytes is how much of an HMAC-SHA256 a slot or ticket carries.
const macBytes = 16

// Keys make and check slots and tickets. Nothing is kept of those handed out.
type Keys struct {
	// Slots dies with the process, Tickets outlives it: a ticket is for after a
	// restart. Both are random, of 32 bytes.
	Slots, Tickets []byte
}

// What a MAC is for, so that no slot is a ticket.
const (
	forSlot   = 's'
	forTicket = 't'
)

// Slot makes the token by which an asker at ip may come first from due on, a moment
// on the issuer's own clock in whole milliseconds.
func (k Keys) Slot(id peer.ID, ip netip.Addr, due time.Duration) []byte {
	return makeToken(k.Slots, forSlot, due.Milliseconds(), id, ip)
}

// SlotDue returns the moment of a slot that this server gave to the asker, or 0.
func (k Keys) SlotDue(slot []byte, id peer.ID, ip netip.Addr) (due time.Duration) {
	ms, _ := readToken(k.Slots, slot, forSlot, id, ip)
	return time.Duration(ms) * time.Millisecond
}

// Ticket makes the token by which a node that was with this server may come back
// before others, until expires.
func (k Keys) Ticket(id peer.ID, expires time.Time) []byte {
	return makeToken(k.Tickets, forTicket, expires.UnixMilli(), id, netip.Addr{})
}

// TicketHolds says whether this server gave the ticket to id and it holds at now.
func (k Keys) TicketHolds(ticket []byte, id peer.ID, now time.Time) bool {
	expires, ok := readToken(k.Tickets, ticket, forTicket, id, netip.Addr{})
	return ok && now.Before(time.UnixMilli(expires))
}

func makeToken(key []byte, use byte, at int64, id peer.ID, ip netip.Addr) []byte {
	token := binary.BigEndian.AppendUint64(make([]byte, 0, tokenBytes), uint64(at))
	return append(token, mac(key, use, token, id, ip)...)
}

func readToken(key, token []byte, use byte, id peer.ID, ip netip.Addr) (at int64, ok bool) {
	if len(token) != tokenBytes || !hmac.Equal(token[8:], mac(key, use, token[:8], id, ip)) {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(token)), true
}

func mac(key []byte, use byte, at []byte, id peer.ID, ip netip.Addr) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte{use})
	h.Write(at)
	h.Write([]byte(id))
	addr := ip.As16()
	h.Write(addr[:])
	return h.Sum(nil)[:macBytes]
}
