package overlay

import (
	"encoding/binary"
	"math"
	"syscall"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"

	"github.com/peerd/peerd/node/storm"
)

const (
	// fewServers in the whole overlay make a reachable member serve, whether anybody is
	// refused or not: everybody remembers that many, and some are left when most are gone.
	fewServers = maxCached
	// saveAfter is how long news for the peer cache wait to be written, at most.
	saveAfter = 5 * time.Second
	// A measured cost counts from this many log-ins on, and up to this many times the
	// guess: what else the process did meanwhile is in it.
	costSamples = 4
	costCeiling = 24
)

// everySecond looks after what changes with time alone.
func (o *Overlay) everySecond() {
	m := meter{cpu: o.cfg.CPU}
	if m.cpu == nil {
		m.cpu = processCPU
	}
	saved := o.now()
	for o.sleep(time.Second) {
		if o.cache.changed() && o.now().Sub(saved) > saveAfter {
			saved = o.now()
			o.saveCache()
		}
		if o.Serving() {
			o.measure(&m)
		} else if o.reach.mayServe() && (o.estimate() < fewServers || o.door.wanted()) {
			o.promote()
		}
		o.weather()
	}
}

// promote becomes a server, or says why not.
func (o *Overlay) promote() {
	if err := o.Promote(); err != nil {
		o.log.Warn("cannot become a server", "err", err)
		return
	}
	if proven, _ := o.reach.addresses(); len(proven) > 0 {
		o.cache.proved(proven, o.now())
	}
}

// meter tells the processor time of log-ins from that of everything else.
type meter struct {
	cpu   func() time.Duration
	last  time.Duration
	idle  float64 // processor time of a second without log-ins, in seconds, averaged
	count uint64  // connections let in until the last look
	given uint64  // records checked until then, which have a cost of their own
}

// measure tells the gate what the log-ins of the last second have cost. The start of this
// process and its own log-in are no part of that: they took up to 16 ms for each log-in of
// the first second, of processes that all start at once, where the log-ins took two.
func (o *Overlay) measure(m *meter) {
	if o.busyJoining() {
		m.last = 0
		return
	}
	count, given, now := o.door.admitted.Count(), o.shelf.count.Load(), m.cpu()
	n, spent := int(count-m.count), now-m.last
	spent -= time.Duration(given-m.given) * o.door.cfg.Cost[storm.Presence]
	first := m.last == 0
	m.count, m.given, m.last = count, given, now
	switch {
	case first:
	case n == 0:
		m.idle += (max(spent, 0).Seconds() - m.idle) / 8
	case n >= costSamples:
		each := (spent - time.Duration(m.idle*float64(time.Second))) / time.Duration(n)
		most := costCeiling * o.door.cfg.Cost[storm.LogIn]
		o.door.finished(storm.LogIn, min(max(each, 0), most), n)
	}
}

// processCPU is the processor time that this process has used, user and system.
func processCPU() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// estimate guesses how many servers the overlay has from how near the nearest are.
func (o *Overlay) estimate() int {
	self := kb.ConvertPeerID(o.host.ID())
	near := o.dht.RoutingTable().NearestPeers(self, bucketSize)
	servers := len(near)
	if len(near) == bucketSize {
		far := binary.BigEndian.Uint64(xor(self, kb.ConvertPeerID(near[bucketSize-1])))
		servers = int(float64(bucketSize) / max(float64(far)/math.MaxUint64, 1e-9))
	}
	return servers + btoi(o.Serving())
}
