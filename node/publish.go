package node

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peerd/peerd/node/overlay"
	"github.com/peerd/peerd/node/presence"
	"github.com/peerd/peerd/node/storm"
)

const (
	// recordLife is the mean life of a record; spread by a quarter it stays under
	// presence.MaxLife.
	recordLife = 90 * time.Minute
	// nextDayEarly is how long before midnight UTC records are also published under
	// the keys of the next day, where readers will look next.
	nextDayEarly = time.Hour
)

// ownRecords are this device's records and what became of them.
type ownRecords struct {
	mu       sync.Mutex
	current  sealed
	tomorrow sealed // the same under the next day's keys, when midnight is near
	presence publication
	account  publication
	asked    string // which records the overlay was last asked to store
}

// sealed is a pair of records for one day's keys, as others get them.
type sealed struct {
	seq      uint64
	addrs    []string
	roster   string // of the account record
	day      int64
	expires  time.Time
	account  []byte // nil on a device that does not hold the account key
	presence []byte
}

func (r *ownRecords) published(now time.Time, addrs []string) (presence, account publication) {
	r.mu.Lock()
	defer r.mu.Unlock()
	presence, account = r.presence, r.account
	alive := now.Before(r.current.expires)
	presence.valid, account.valid = presence.valid && alive, account.valid && alive
	presence.stale = !sameSet(presence.addrs, addrs)
	return presence, account
}

// own returns the records to tell others now: the current ones, or new ones when
// our addresses or the account's devices have changed or the records have aged.
func (n *Node) own() (sealed, error) {
	addrs := n.plainAddresses()
	r := &n.records
	r.mu.Lock()
	defer r.mu.Unlock()
	now := n.now()
	fresh := r.current.presence != nil && r.current.expires.Sub(now) > recordLife/4 &&
		r.current.day == presence.Day(now) && sameSet(r.current.addrs, addrs) && r.current.roster == n.roster()
	if fresh {
		return r.current, nil
	}
	s, err := n.seal(addrs, presence.Day(now), max(uint64(now.UnixMilli()), r.current.seq+1))
	if err != nil {
		return sealed{}, err
	}
	r.current = s
	return s, nil
}

func (n *Node) plainAddresses() []string {
	var out []string
	for _, a := range n.over.Addresses() {
		out = append(out, a.String())
	}
	return out
}

// roster tells one list of the account's devices and withdrawals from another.
func (n *Node) roster() string {
	var b strings.Builder
	for _, c := range n.id.Devices() {
		fmt.Fprintf(&b, "%s/%d ", c.Device, c.Serial)
	}
	for _, d := range n.id.Revoked() {
		fmt.Fprintf(&b, "-%s ", d)
	}
	return b.String()
}

// seal makes this device's records for the keys of a day.
func (n *Node) seal(addrs []string, day int64, seq uint64) (s sealed, err error) {
	now := n.now()
	s = sealed{seq: seq, addrs: addrs, roster: n.roster(), day: day, expires: now.Add(storm.Spread(recordLife, unit()))}
	s.presence, err = presence.SealPresence(n.id, presence.Presence{
		Seq: seq, Issued: now, Expires: s.expires, Device: n.id.Device(),
		Addrs: addrs, Capabilities: []string{"call/1"}, Name: n.id.Name(),
	}, day)
	if err != nil {
		return s, fmt.Errorf("seal the presence record: %w", err)
	}
	if !n.id.HasAccountKey() {
		return s, nil
	}
	s.account, err = presence.SealAccount(n.id, presence.Account{
		Seq: seq, Issued: now, Expires: s.expires,
		Devices: n.id.Devices(), Revoked: n.id.Revoked(),
	}, day)
	if err != nil {
		return s, fmt.Errorf("seal the account record: %w", err)
	}
	return s, nil
}

func sameSet(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x string) bool { return !slices.Contains(b, x) })
}

// recordList lists what others are to keep for this device now. Behind a router that is
// nothing until the first proof: addresses without a relay would only mislead callers.
func (n *Node) recordList() []overlay.Record {
	if n.over.ProofPending() {
		return nil
	}
	s, err := n.own()
	if err != nil {
		n.cfg.Log.Error("own records", "err", err)
		return nil
	}
	return append(n.keyed(s), n.nextDay(s)...)
}

// keyed names the records of s by the keys of their day.
func (n *Node) keyed(s sealed) []overlay.Record {
	list := []overlay.Record{{Key: presence.PresenceKey(n.id.Device(), s.day), Value: s.presence}}
	if s.account != nil {
		list = append(list, overlay.Record{Key: presence.AccountKey(n.id.Account(), s.day), Value: s.account})
	}
	return list
}

// nextDay lists the same records under the next day's keys when midnight UTC is near.
func (n *Node) nextDay(s sealed) []overlay.Record {
	next := presence.Day(n.now().Add(nextDayEarly))
	if next == s.day {
		return nil
	}
	r := &n.records
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tomorrow.seq != s.seq || r.tomorrow.day != next {
		t, err := n.seal(s.addrs, next, s.seq)
		if err != nil {
			n.cfg.Log.Error("own records of the next day", "err", err)
			return nil
		}
		r.tomorrow = t
	}
	return n.keyed(r.tomorrow)
}

// maybePublish has new records stored: those that have changed or aged, and the
// first ones there may be.
func (n *Node) maybePublish() {
	list := n.recordList()
	if len(list) == 0 {
		return
	}
	n.records.mu.Lock()
	asked := fmt.Sprint(n.records.current.seq, " ", len(list))
	news := asked != n.records.asked
	n.records.asked = asked
	n.records.mu.Unlock()
	if news {
		n.over.Republish()
	}
}

// stored keeps the state of the publication current while acknowledgements come in,
// so that the login does not wait for the slowest node.
func (n *Node) stored(rec overlay.Record, receipt overlay.Receipt) {
	p := publication{valid: receipt.Acks > 0 || receipt.Local, local: receipt.Local, acks: receipt.Acks}
	if receipt.Err != nil && receipt.Acks == 0 {
		p.why = receipt.Err.Error()
	}
	r := &n.records
	r.mu.Lock()
	p.addrs = r.current.addrs
	var state *publication
	switch {
	case bytes.Equal(rec.Value, r.current.presence):
		state = &r.presence
	case bytes.Equal(rec.Value, r.current.account):
		state = &r.account
	}
	if state != nil && (p.valid || !state.valid) {
		*state = p
	}
	r.mu.Unlock()
	n.poke()
}
