package overlay

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

const (
	// Strangers, who connect without asking, are let in at this rate while the server
	// is crowded, and freely while it is not.
	strangersPerSecond = 2.0
	strangersBurst     = 4.0
	// crowdedFor is how long after a refusal a server is crowded.
	crowdedFor = 2 * time.Second
	// expectedFor is how long connections of a witness are awaited.
	expectedFor = 10 * time.Second
	// stormFor is how long after the last refusal, seen or heard of, a storm is over.
	stormFor = 10 * time.Second
)

// Load tells what this member sees of the crowd.
type Load struct {
	// Load is the work let in over the last second as a share of what this server
	// gives; 0 on a client.
	Load float64
	// Storm: this member refused others, or was refused, within the last 10 s.
	Storm bool
	// Refusals counts questions and connections refused since Open.
	Refusals uint64
}

// door decides who may come in: the storm room's gate with what it needs of the
// real world. The gate's moments count from born.
type door struct {
	o        *Overlay
	born     time.Time
	cfg      storm.GateConfig
	keys     gate.Keys
	admitted gate.Admitted

	mu        sync.Mutex
	port      *gate.Port // tells who pings us of new servers; nil until it is open
	gate      storm.Gate[peer.ID]
	answer    storm.Answer[peer.ID]    // of the question in hand
	named     map[peer.ID]nameable     // who may be referred to
	expected  map[netip.Addr]time.Time // witnesses, until when
	strangers float64                  // how many may come in now
	filled    storm.Moment             // when strangers was brought up to date
	role      storm.Role
	refusals  uint64
	refused   storm.Moment // when somebody was last refused here
	waved     storm.Moment // when we were last told to wait elsewhere
	storm     bool         // as last told to the log
}

// nameable is a peer that others may be referred to.
type nameable struct {
	peer.AddrInfo
	referral gate.Referral
}

func newDoor(o *Overlay) *door {
	d := &door{
		o: o, born: time.Now(), cfg: storm.DefaultGateConfig(), strangers: strangersBurst,
		named: make(map[peer.ID]nameable), expected: make(map[netip.Addr]time.Time),
	}
	d.cfg.Off = o.cfg.Off
	o.trace.Open(d.moment(), &d.gate, &d.cfg)
	d.keys = gate.Keys{Slots: randomKey(), Tickets: o.cache.ticketKey}
	return d
}

// moment is now as the gate counts, never 0.
func (d *door) moment() storm.Moment { return time.Since(d.born) + time.Millisecond }

// serve answers one question.
// Who asks for the servers near a key with a log-in asks to come as well; anybody else who
// asks for them only looks up, but for one who brings a record that this server is to hold.
func (d *door) serve(from netip.AddrPort, q gate.Question, later func(gate.Answer)) (gate.Answer, bool) {
	if !d.o.Serving() {
		return d.direct(q)
	}
	class := storm.Class(q.Class)
	holds := q.Record != nil && class == storm.Presence && d.o.amongNearest(kb.ID(q.Key), q.From, holdersFor(q))
	comes := len(q.Key) == 0 || (class == storm.LogIn && q.Record == nil)
	stored := false
	switch {
	case holds:
		var came bool
		if came, stored = d.o.shelf.knows(q.Record); came && !stored {
			return gate.Answer{}, false // it will be answered when it is
		}
		if stored {
			class, holds = storm.LookUp, false
		}
	case !comes:
		class = storm.LookUp
	case d.admitted.Repeated(from, d.o.now()):
		return d.again(q), true
	}
	ask := storm.Question[peer.ID]{
		From: q.From, Class: class, Prefix: prefix(from.Addr()), Serves: q.Serves,
		Ticket: len(q.Ticket) > 0 && d.keys.TicketHolds(q.Ticket, q.From, d.o.now()), Gift: holds,
	}
	if len(q.Slot) > 0 {
		ask.Slot = d.keys.SlotDue(q.Slot, q.From, from.Addr())
	}
	out, verdict := d.decide(&ask)
	switch verdict {
	case storm.Silent:
		return out, false
	case storm.Wait:
		due := d.moment() + out.Wait
		out.Slot = d.keys.Slot(q.From, from.Addr(), due)
	case storm.Come:
		out.Referrals = d.near(q)
		switch out.Come = comes || stored; {
		case holds:
			d.o.shelf.put(q.Record, out, later)
			return out, false
		case comes:
			d.await(from, ask.Pays())
		}
	}
	return out, true
}

// near lists whom an answer names that does not refuse: the servers nearest to the key
// asked about.
func (d *door) near(q gate.Question) []peer.AddrInfo {
	if len(q.Key) == 0 {
		return nil
	}
	return d.o.nearestKnown(kb.ID(q.Key), q.From)
}

// holdersFor is how many servers may keep a record that comes with a question: who gives it
// may know that nearer ones are gone.
func holdersFor(q gate.Question) int {
	if q.IfNear {
		return Neighbours
	}
	return bucketSize
}

// read has the value of a record be told to who looks for it.
func (d *door) read(from netip.AddrPort, name string, later func(value []byte)) {
	if !d.o.Serving() {
		return
	}
	ask := storm.Question[peer.ID]{Class: storm.LookUp, Prefix: prefix(from.Addr()), Quiet: true}
	if _, verdict := d.decide(&ask); verdict == storm.Come && d.o.shelf.get(name, later) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.o.trace.Spent(d.moment(), &d.gate, storm.LookUp, d.cfg.Read)
	}
}

// again answers who was told to come and asks once more: a server that has little of
// its processor hears the question and its repetition together, and is to let one in.
func (d *door) again(q gate.Question) gate.Answer {
	near := d.near(q)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.moment()
	d.o.trace.Spent(now, &d.gate, storm.LookUp, d.cfg.Refusal)
	return gate.Answer{Come: true, Load: float64(d.gate.Load(now)), Uptime: now, Referrals: near}
}

// direct is a client's answer: a caller may come, and who wants to join is told of the
// servers that we are connected to. It has no other.
func (d *door) direct(q gate.Question) (gate.Answer, bool) {
	class := storm.Class(q.Class)
	out := gate.Answer{Come: class <= storm.SetUp, Uptime: d.moment()}
	if out.Come || (len(q.Key) > 0 && class != storm.LogIn) {
		return out, out.Come
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, server := range d.named {
		if id != q.From && len(out.Referrals) < gate.MaxReferrals {
			out.Referrals = append(out.Referrals, server.AddrInfo)
		}
	}
	return out, len(out.Referrals) > 0
}

func (d *door) decide(ask *storm.Question[peer.ID]) (gate.Answer, storm.Verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, a := d.moment(), &d.answer
	d.o.trace.Ask(now, &d.gate, ask, rand.Float64(), a)
	if a.Verdict != storm.Come && !ask.Quiet {
		d.refusedLocked(now)
	}
	out := gate.Answer{
		Come: a.Verdict == storm.Come, Load: float64(a.Load),
		Uptime: a.Uptime, Wait: a.Delay,
	}
	if a.N > 0 {
		out.Named = make([]gate.Referral, 0, a.N)
	}
	for _, id := range a.Referrals[:a.N] {
		out.Named = append(out.Named, d.named[id].referral)
	}
	return out, a.Verdict
}

func (d *door) refusedLocked(now storm.Moment) {
	d.refusals++
	d.refused = now
}

// await expects a connection of who was just told to come.
func (d *door) await(from netip.AddrPort, class storm.Class) {
	missed := d.admitted.Add(from, uint8(class), d.o.now())
	if len(missed) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range missed {
		d.o.trace.Missed(d.moment(), &d.gate, storm.Class(c))
	}
}

// prefix names the network of an address, for pacing; loopback is none.
func prefix(ip netip.Addr) uint64 {
	bits := 24
	if ip.Is6() {
		bits = 48
	}
	p, err := ip.Prefix(bits)
	if err != nil || ip.IsLoopback() {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint16(p.Addr().AsSlice(), uint16(bits)))
	return h.Sum64() | 1
}

// admit decides on a connection that comes in, before its handshake.
func (d *door) admit(from netip.AddrPort, udp bool) bool {
	if !d.o.Serving() {
		return true
	}
	now := d.o.now()
	if (udp && d.admitted.Take(from, now)) || (!udp && d.admitted.TakeTCP(from)) {
		return true // its cost was taken when it asked
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.moment()
	ok := now.Before(d.expected[from.Addr()]) || !d.crowdedLocked(at) || d.strangerLocked(at)
	if ok {
		d.o.trace.Spent(at, &d.gate, storm.LogIn, d.cfg.Cost[storm.LogIn])
	} else {
		d.refusedLocked(at)
	}
	return ok
}

// crowdedLocked says that who did not ask has to stand back.
func (d *door) crowdedLocked(now storm.Moment) bool {
	return d.gate.Load(now) >= 1 || (d.refused != 0 && now-d.refused < crowdedFor)
}

// strangerLocked takes one of the places that a crowded server keeps for strangers.
func (d *door) strangerLocked(now storm.Moment) bool {
	d.strangers = min(strangersBurst, d.strangers+strangersPerSecond*(now-d.filled).Seconds())
	d.filled = now
	if d.strangers < 1 {
		return false
	}
	d.strangers--
	return true
}

// expect awaits a witness, who was asked to connect to us.
func (d *door) expect(witness netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.o.now()
	for ip, until := range d.expected {
		if now.After(until) {
			delete(d.expected, ip)
		}
	}
	d.expected[witness] = now.Add(expectedFor)
}

// tellOf has the pongs of a port tell of servers that join from now on.
func (d *door) tellOf(port *gate.Port) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.port = port
}

// joined notes a connected server, to which others may be referred at the addresses
// given, and left one that is gone.
func (d *door) joined(server peer.AddrInfo) {
	if len(server.Addrs) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.named[server.ID]; !known && d.port != nil {
		d.port.Came()
	}
	d.named[server.ID] = nameable{server, gate.ReferralOf(server)}
	d.o.trace.Joined(d.moment(), &d.gate, server.ID, true)
}

func (d *door) left(server peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.named, server)
	d.o.trace.Left(d.moment(), &d.gate, server)
}

// finished tells the gate what work that it let in has cost.
func (d *door) finished(class storm.Class, cost time.Duration, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range n {
		d.o.trace.Finished(d.moment(), &d.gate, class, cost)
	}
}

// heard notes what another server answered to us.
func (d *door) heard(come bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.moment()
	d.o.trace.Saw(now, &d.role, !come)
	if !come {
		d.waved = now
	}
}

// wanted says, once a second, whether a reachable client should begin to serve.
func (d *door) wanted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.o.trace.Promote(d.moment(), &d.role, rand.Float64(), d.cfg.Off)
}

// Load tells what this member sees of the crowd.
func (o *Overlay) Load() Load {
	d := o.door
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.moment()
	recent := func(at storm.Moment) bool { return at != 0 && now-at < stormFor }
	return Load{
		Load: float64(d.gate.Load(now)), Refusals: d.refusals,
		Storm: recent(d.refused) || recent(d.waved),
	}
}

// weather tells the log when a storm begins and ends.
func (o *Overlay) weather() {
	l := o.Load()
	d := o.door
	d.mu.Lock()
	news := l.Storm != d.storm
	d.storm = l.Storm
	d.mu.Unlock()
	if !news {
		return
	}
	if l.Storm {
		o.log.Info("a storm begins: more want to join than are let in", "load", l.Load, "refusals", l.Refusals)
	} else {
		o.log.Info("the storm is over", "refusals", l.Refusals)
	}
	o.changed()
}
