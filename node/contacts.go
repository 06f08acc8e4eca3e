package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/storm"
)

// seekPolicy paces looking for a contact that is not connected: soon after both
// came, as it may publish only now, and rarely when it stays away.
func seekPolicy() storm.Policy {
	return storm.Policy{Base: time.Second, Cap: 5 * time.Minute, Stable: 30 * time.Second}
}

const (
	// seekers is how many contacts are looked for at the same time.
	seekers   = 4
	seekLimit = 15 * time.Second
	// bookEvery is how often a changed book is written.
	bookEvery = 10 * time.Second
)

// contactTag protects the connections to contacts from being trimmed.
const contactTag = "contact"

// contacts is the state of the contact loop.
type contacts struct {
	kick chan struct{}
	mu   sync.Mutex
	seek map[identity.AccountID]seek            // when to look for it
	busy map[identity.AccountID]bool            // being looked for
	pace map[identity.AccountID]pace            // bounds what is done for it
	told map[identity.DeviceID]uint64           // sequence of our record that the device has
	last map[identity.AccountID]ContactPresence // as last announced
	// looked is when an account record was last looked for because of a device that it did not list.
	looked map[identity.AccountID]time.Time
	left   map[identity.DeviceID]time.Time // when it said goodbye, by the clock of connections
}

// seek is when to look for a contact.
type seek struct {
	retry storm.Retry
	next  time.Time
}

// pace bounds the visits to one contact: paceBurst at once, then one a second. A
// visit ends with a look at what is next, so one that changes nothing, as to a
// device whose connections break, would be made again without a pause.
type pace struct {
	left float64
	at   time.Time
}

const paceBurst = 5

// take allows one more visit at now, or not yet.
func (p pace) take(now time.Time) (pace, bool) {
	if p.at.IsZero() {
		p = pace{paceBurst, now}
	}
	p = pace{min(paceBurst, p.left+max(0, now.Sub(p.at).Seconds())), now}
	if p.left < 1 {
		return p, false
	}
	p.left--
	return p, true
}

func (c *contacts) init() {
	c.kick = make(chan struct{}, 1)
	c.seek = make(map[identity.AccountID]seek)
	c.busy = make(map[identity.AccountID]bool)
	c.pace = make(map[identity.AccountID]pace)
	c.told = make(map[identity.DeviceID]uint64)
	c.last = make(map[identity.AccountID]ContactPresence)
	c.looked = make(map[identity.AccountID]time.Time)
	c.left = make(map[identity.DeviceID]time.Time)
}

// SetContacts replaces the list of accounts whose presence we keep and whom we
// tell ours. What is known about others is forgotten.
func (n *Node) SetContacts(links []identity.Link) {
	before := n.contactDevices()
	added := n.book.setContacts(links)
	after := n.contactDevices()
	for device := range before {
		if !after[device] {
			n.over.Host().ConnManager().Unprotect(device, contactTag)
		}
	}
	n.contacts.mu.Lock()
	for _, l := range added {
		delete(n.contacts.seek, l.Account)
	}
	n.contacts.mu.Unlock()
	n.poke()
}

func (n *Node) contactDevices() map[identity.DeviceID]bool {
	set := make(map[identity.DeviceID]bool)
	for _, l := range n.book.contacts() {
		for _, d := range n.book.devices(l.Account, n.now()) {
			set[d.Cert.Device] = true
		}
	}
	return set
}

// contactLoop tells contacts where we are, and looks for those not connected.
func (n *Node) contactLoop() {
	slots := make(chan struct{}, seekers)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	saved := n.now()
	for {
		for _, link := range n.book.contacts() {
			n.attend(link, slots)
		}
		if n.now().Sub(saved) >= bookEvery {
			saved = n.now()
			if err := n.book.save(); err != nil {
				n.cfg.Log.Warn("contacts book", "err", err)
			}
		}
		select {
		case <-n.contacts.kick:
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// attend does what a contact needs now: its connected devices are told our newest
// record, one that is not connected is looked for when its time has come.
func (n *Node) attend(link identity.Link, slots chan struct{}) {
	connected, untold := n.devicesOf(link.Account)
	c := &n.contacts
	c.mu.Lock()
	defer c.mu.Unlock()
	due := !connected && !n.now().Before(c.seek[link.Account].next) && n.canSeek(link)
	if c.busy[link.Account] || (!due && len(untold) == 0) {
		return
	}
	if next, ok := c.pace[link.Account].take(n.now()); !ok {
		c.pace[link.Account] = next
		return
	}
	select {
	case slots <- struct{}{}:
	default:
		return
	}
	c.pace[link.Account], _ = c.pace[link.Account].take(n.now())
	c.busy[link.Account] = true
	n.wg.Go(func() {
		defer func() {
			c.mu.Lock()
			delete(c.busy, link.Account)
			c.mu.Unlock()
			<-slots
			kick(c.kick)
		}()
		n.visit(link, due, untold)
	})
}

// canSeek says that there is a way to look for a contact: an address, or a server.
func (n *Node) canSeek(link identity.Link) bool {
	return len(n.over.Servers()) > 0 || len(n.book.devices(link.Account, n.now())) > 0
}

// devicesOf says whether a device of the account is connected, and which connected
// ones have not got our newest record.
func (n *Node) devicesOf(account identity.AccountID) (connected bool, untold []identity.DeviceID) {
	s, err := n.own()
	for _, d := range n.book.devices(account, n.now()) {
		if d.revoked || !n.isConnected(d.Cert.Device) {
			continue
		}
		connected = true
		n.contacts.mu.Lock()
		if err == nil && n.contacts.told[d.Cert.Device] != s.seq {
			untold = append(untold, d.Cert.Device)
		}
		n.contacts.mu.Unlock()
	}
	return connected, untold
}

func (n *Node) visit(link identity.Link, due bool, untold []identity.DeviceID) {
	ctx, cancel := context.WithTimeout(n.ctx, seekLimit)
	defer cancel()
	if due {
		p, err := n.Connect(ctx, link)
		n.contacts.sought(link.Account, err == nil, n.now())
		if err != nil {
			n.notFound(link, err)
			return
		}
		untold = append(untold, p.Device)
	}
	for _, device := range untold {
		if err := n.tell(ctx, device); err != nil {
			n.cfg.Log.Debug("contact not told", "device", device, "err", err)
		}
	}
}

// sought sets when to look for a contact again.
func (c *contacts) sought(account identity.AccountID, found bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.seek[account]
	s.retry.Policy = seekPolicy()
	var wait time.Duration
	if found {
		s.retry = s.retry.Up(now)
	} else {
		s.retry, wait = s.retry.Fail(now, unit())
	}
	s.next = now.Add(wait)
	c.seek[account] = s
}

// notFound notes that the known devices of a contact do not answer.
func (n *Node) notFound(link identity.Link, err error) {
	if n.ctx.Err() != nil || !errors.Is(err, ErrUnreachable) {
		return
	}
	for _, d := range n.book.devices(link.Account, n.now()) {
		n.book.note(link.Account, d.Cert.Device, func(d *contactedDevice) {
			d.Gone = d.Gone || !n.isConnected(d.Cert.Device) // it may have come to us meanwhile
		})
	}
	n.poke()
}

// met notes a connection to a contact's device. After a goodbye it takes a new one:
// what a device said before it left may be read after that.
func (n *Node) met(p Peer) {
	if _, ok := n.book.link(p.Certificate.Account); !ok || !n.isBack(p.Device) {
		return
	}
	n.over.Host().ConnManager().Protect(p.Device, contactTag)
	n.book.note(p.Certificate.Account, p.Device, func(d *contactedDevice) {
		d.Evidence, d.Gone, d.Left = n.now(), false, false
	})
	n.poke()
}

// parted notes a goodbye.
func (n *Node) parted(account identity.AccountID, device identity.DeviceID) {
	n.contacts.mu.Lock()
	n.contacts.left[device] = time.Now()
	n.contacts.mu.Unlock()
	n.book.note(account, device, func(d *contactedDevice) { d.Evidence, d.Gone, d.Left = n.now(), true, true })
	n.over.Host().ConnManager().Unprotect(device, contactTag)
	n.poke()
}

// isBack says that a device has not said goodbye, or has connected since.
func (n *Node) isBack(device identity.DeviceID) bool {
	n.contacts.mu.Lock()
	defer n.contacts.mu.Unlock()
	at, left := n.contacts.left[device]
	for _, c := range n.over.Host().Network().ConnsToPeer(device) {
		left = left && !c.Stat().Opened.After(at)
	}
	if !left {
		delete(n.contacts.left, device)
	}
	return !left
}

func (n *Node) isConnected(device identity.DeviceID) bool {
	c := n.over.Host().Network().Connectedness(device)
	return c == network.Connected || c == network.Limited
}

// Presence returns what is known about an account.
func (n *Node) Presence(account identity.AccountID) ContactPresence {
	p := ContactPresence{State: Unknown, Devices: []DevicePresence{}, Listed: n.book.hasRecord(account)}
	for _, d := range n.book.devices(account, n.now()) {
		if d.revoked {
			continue
		}
		dp := DevicePresence{Device: d.Cert.Device, Name: d.Cert.Name, State: n.stateOf(d), Evidence: d.Evidence}
		p.Devices = append(p.Devices, dp)
		if rank(dp.State) > rank(p.State) {
			p.State = dp.State
		}
		if dp.Evidence.After(p.Evidence) {
			p.Evidence, p.SignedOff = dp.Evidence, d.Left
		}
	}
	p.SignedOff = p.SignedOff && p.State == Gone
	return p
}

// Revoked reports whether a contact's account is known to have withdrawn the
// certificate of a device. Where its account record cannot be refreshed, those
// seen so far count. Of accounts that are no contacts nothing is known.
func (n *Node) Revoked(account identity.AccountID, device identity.DeviceID) bool {
	return n.book.isRevoked(account, device)
}

// Knows reports whether a device is one of a contact's. It does not wait.
func (n *Node) Knows(device identity.DeviceID) bool { return n.book.knows(device) }

func (n *Node) stateOf(d known) PresenceState {
	switch {
	case d.Gone:
		return Gone
	case n.isConnected(d.Cert.Device):
		return Connected
	case n.now().Before(d.Expires):
		return Announced
	}
	return Unknown
}

func rank(s PresenceState) int {
	switch s {
	case Connected:
		return 3
	case Announced:
		return 2
	case Gone:
		return 1
	default:
		return 0
	}
}

// announcePresence tells subscribers which contacts' presence has changed, and has
// a contact whose connection was lost looked for at once.
func (n *Node) announcePresence() {
	for _, link := range n.book.contacts() {
		now := n.Presence(link.Account)
		c := &n.contacts
		c.mu.Lock()
		was, known := c.last[link.Account]
		c.last[link.Account] = now
		if was.State == Connected && now.State == Announced {
			delete(c.seek, link.Account)
		}
		c.mu.Unlock()
		if !known || !samePresence(was, now) {
			n.hub.publish(Event{Presence: &PresenceChange{Account: link.Account, Presence: now}})
		}
	}
}

// samePresence ignores the time of the evidence: it changes with every message.
func samePresence(a, b ContactPresence) bool {
	if a.State != b.State || len(a.Devices) != len(b.Devices) {
		return false
	}
	states := make(map[identity.DeviceID]PresenceState)
	for _, d := range a.Devices {
		states[d.Device] = d.State
	}
	for _, d := range b.Devices {
		if states[d.Device] != d.State {
			return false
		}
	}
	return true
}
