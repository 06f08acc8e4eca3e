package node

import (
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
	// republishEvery is the mean period of publishing again.
	republishEvery = 30 * time.Minute
	// nextDayEarly is how long before midnight UTC records are also published under
	// the keys of the next day, where readers will look next.
	nextDayEarly = time.Hour
)

// ownRecords are this device's records and what became of them.
type ownRecords struct {
	mu       sync.Mutex
	kick     chan struct{} // the publisher should look again
	current  sealed
	presence publication
	account  publication
	next     time.Time // publish again
	asked    uint64    // sequence of the records last published
	askedOf  int       // servers connected then
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

// publishLoop keeps this device's records where others look for them.
func (n *Node) publishLoop() {
	retry := storm.Retry{Policy: storm.DefaultPolicy()}
	for {
		wait := time.Hour
		if n.canPublish() {
			if n.publishDue() {
				if n.publish() {
					retry = retry.Up(n.now())
					n.publishAgainIn(storm.Spread(republishEvery, unit()))
				} else {
					retry, wait = retry.Fail(n.now(), unit())
					n.publishAgainIn(wait)
				}
			}
			wait = n.untilPublish()
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-n.records.kick:
		case <-n.ctx.Done():
			t.Stop()
			return
		}
		t.Stop()
	}
}

// canPublish says that there is a node to publish to. Behind a router it waits for
// the first proof: addresses without a relay would only mislead callers.
func (n *Node) canPublish() bool {
	if n.over.ProofPending() {
		return false
	}
	return len(n.over.Servers()) > 0 || (n.over.Serving() && n.first())
}

// publishDue says that the records are new, that it is time, or that more servers
// are alive than when too few acknowledged.
func (n *Node) publishDue() bool {
	s, err := n.own()
	if err != nil {
		return true // publish says why
	}
	alive := len(n.over.Servers())
	r := &n.records
	r.mu.Lock()
	defer r.mu.Unlock()
	short := r.presence.acks < overlay.Neighbours && alive > r.askedOf
	return s.seq != r.asked || short || !n.now().Before(r.next)
}

func (n *Node) publishAgainIn(d time.Duration) {
	n.records.mu.Lock()
	defer n.records.mu.Unlock()
	n.records.next = n.now().Add(d)
}

func (n *Node) untilPublish() time.Duration {
	n.records.mu.Lock()
	defer n.records.mu.Unlock()
	return max(n.records.next.Sub(n.now()), 10*time.Millisecond)
}

// publish stores both records with the nodes closest to their keys. It reports
// whether enough of those known to be alive acknowledged.
func (n *Node) publish() bool {
	s, err := n.own()
	if err != nil {
		n.cfg.Log.Error("own records", "err", err)
		return false
	}
	alive := len(n.over.Servers())
	n.records.mu.Lock()
	n.records.asked, n.records.askedOf = s.seq, alive
	n.records.mu.Unlock()
	done := make(chan publication, 1)
	go func() {
		if s.account == nil {
			done <- publication{valid: true}
			return
		}
		key := presence.AccountKey(n.id.Account(), s.day)
		done <- n.store(key, s.account, s.addrs, &n.records.account)
	}()
	p := n.store(presence.PresenceKey(n.id.Device(), s.day), s.presence, s.addrs, &n.records.presence)
	a := <-done
	n.publishNextDay(s)
	want := min(overlay.Neighbours, alive)
	enough := p.acks >= want && (s.account == nil || a.acks >= want)
	n.cfg.Log.Debug("records published", "acks", p.acks, "of", alive, "enough", enough)
	return enough
}

// store publishes one record and keeps its state current while acknowledgements
// come in, so that the login does not wait for the slowest node.
func (n *Node) store(key string, value []byte, addrs []string, state *publication) publication {
	note := func(r overlay.Receipt) publication {
		p := publication{valid: r.Acks > 0 || r.Local, local: r.Local, acks: r.Acks, addrs: addrs}
		if r.Err != nil && r.Acks == 0 {
			p.why = r.Err.Error()
		}
		n.records.mu.Lock()
		if r.Acks > 0 || r.Local || !state.valid {
			*state = p
		}
		n.records.mu.Unlock()
		n.poke()
		return p
	}
	return note(n.over.Publish(n.ctx, key, value, func(r overlay.Receipt) { note(r) }))
}

// publishNextDay stores the records also under the next day's keys when midnight
// UTC is near.
func (n *Node) publishNextDay(s sealed) {
	next := presence.Day(n.now().Add(nextDayEarly))
	if next == s.day {
		return
	}
	t, err := n.seal(s.addrs, next, s.seq)
	if err != nil {
		n.cfg.Log.Error("own records of the next day", "err", err)
		return
	}
	if t.account != nil {
		n.over.Publish(n.ctx, presence.AccountKey(n.id.Account(), next), t.account, nil)
	}
	n.over.Publish(n.ctx, presence.PresenceKey(n.id.Device(), next), t.presence, nil)
}
