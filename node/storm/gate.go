package storm

import (
	"slices"
	"time"
)

// GateConfig is what a server gives. Many gates may share one.
type GateConfig struct {
	// Capacity is the share of one core that goes to serving others.
	Capacity float64
	// Burst is the work let in at once at most; it bounds the queue behind the gate.
	Burst time.Duration
	// Cost is the guess of what one piece of work of each class takes of the server's
	// CPU, before any was measured.
	Cost [Classes]time.Duration
	// Refusal is what one answer takes.
	Refusal time.Duration
	// Unread is what a datagram takes that is read and not answered.
	Unread time.Duration
	// Read is what reading a record for somebody takes on top of a look-up.
	Read time.Duration
	Off  Options
}

// DefaultGateConfig gives half a core. The costs are measured on the real node.
func DefaultGateConfig() GateConfig {
	return GateConfig{
		Capacity: 0.5,
		Burst:    5 * time.Millisecond,
		Cost: [Classes]time.Duration{
			InCall: 500 * time.Microsecond, SetUp: 500 * time.Microsecond,
			Presence: 200 * time.Microsecond, LogIn: 2 * time.Millisecond,
			LookUp: 15 * time.Microsecond, Refresh: 1200 * time.Microsecond,
		},
		Refusal: 12 * time.Microsecond,
		Unread:  time.Microsecond,
		Read:    40 * time.Microsecond,
	}
}

const (
	// refusalShare of the capacity is for answers, so that refusing never eats what
	// serving needs: beyond it questions are not answered.
	refusalShare = 0.01
	// slotShare of the capacity is promised by slots; the rest serves who comes anew.
	slotShare = 0.5
	// slotGrace is how long after its moment a slot still has priority.
	slotGrace = 5 * time.Second
	// slotNear and slotFar bound how far ahead slots are promised. Nobody waits longer:
	// an overlay that comes back has grown until then, and a question is cheap.
	slotNear, slotFar = 250 * time.Millisecond, 8 * time.Second
	// slotSoon takes the place of slotFar while new servers come in, or are yet to
	// come: there is more room any moment.
	slotSoon = 2 * time.Second
	// bookShare of the capacity goes to those who were given a place ahead, and bookFar
	// is how far ahead: who asks beyond that has to wait or to go elsewhere.
	bookShare = 0.3
	bookFar   = time.Second
	// freshFor is how long a server that came in through this one counts as new: while
	// there are such, there is room elsewhere.
	freshFor = 5 * time.Second
	// known is how many peers a gate can refer to.
	known = 16
	// enoughFresh referrals make naming others better than serving.
	enoughFresh = 4
	busyFor     = time.Second      // over which the load is averaged
	refusedFor  = 10 * time.Second // over which refusals are counted
)

// Gate is the server side: it decides for each question in constant time, in
// constant memory, whether the asker may come. It is not safe for use by several
// goroutines at once.
type Gate[P comparable] struct {
	cfg  *GateConfig
	rate float64 // of filling the budgets
	born Moment
	at   Moment // up to which the budgets are filled

	own     [Classes]time.Duration // work let in for this class alone; may be in debt
	pool    time.Duration          // for everybody; may be in debt
	answers time.Duration          // for answers
	cost    [Classes]time.Duration // measured

	booked  Moment        // up to when places ahead are given away
	line    Moment        // the next slot to promise
	busy    time.Duration // work of the last busyFor, decayed
	refused float64       // refusals of the last refusedFor, decayed
	asked   float64       // questions of the last refusedFor, decayed

	peers  [known]referral[P]
	newest int // index of the newest in peers
	paces  *paces
}

type referral[P comparable] struct {
	peer P
	from Moment
	ok   bool
}

// NewGate opens the gate of a server that starts now. cfg is shared, not copied.
func NewGate[P comparable](now Moment, cfg *GateConfig) *Gate[P] {
	g := &Gate[P]{}
	g.Open(now, cfg)
	return g
}

// Open makes g the gate of a server that starts now.
func (g *Gate[P]) Open(now Moment, cfg *GateConfig) {
	*g = Gate[P]{cfg: cfg, born: now, at: now, cost: cfg.Cost, pool: cfg.Burst, line: now}
	saved := cfg.Burst
	for c, share := range shares() {
		g.own[c] = time.Duration(share * float64(cfg.Burst))
		saved += g.own[c]
	}
	g.answers = g.answerDepth()
	// What can be saved up, and a piece of work over at either end, is taken off the
	// rate: so no second has more work than the capacity of a second.
	saved += g.answers + 2*slices.Max(cfg.Cost[:])
	g.rate = max(cfg.Capacity-saved.Seconds(), cfg.Capacity/2)
}

// answerDepth is how much of the time for answers can be saved up.
func (g *Gate[P]) answerDepth() time.Duration {
	return time.Duration(refusalShare * g.cfg.Capacity * float64(50*time.Millisecond))
}

// fill brings the budgets up to now.
func (g *Gate[P]) fill(now Moment) {
	dt := now - g.at
	if dt <= 0 {
		return
	}
	g.busy = g.busyAt(now)
	dt = min(dt, time.Second) // nothing can be saved up for longer
	given := bookShare * g.rate * float64(min(dt, max(0, g.booked-g.at)))
	g.at = now
	work := g.rate * float64(dt)
	forAnswers := time.Duration(refusalShare * work)
	g.answers += forAnswers
	rest := time.Duration(work-given) - forAnswers
	if over := g.answers - g.answerDepth(); over > 0 {
		g.answers -= over
		rest += over
	}
	if g.cfg.Off.Has(Reserved) {
		rest -= g.fillOwn(work)
	}
	g.pool = min(g.pool+rest, g.cfg.Burst)
	fade := 1 - float64(min(dt, refusedFor))/float64(refusedFor)
	g.refused *= fade
	g.asked *= fade
}

// fillOwn gives each class its share and returns how much of it found room.
func (g *Gate[P]) fillOwn(work float64) time.Duration {
	var used time.Duration
	for c, share := range shares() {
		depth := max(time.Duration(share*float64(g.cfg.Burst)), 1)
		add := min(time.Duration(share*work), max(0, depth-g.own[c]))
		g.own[c] += add
		used += add
	}
	return used
}

// Ask decides about one question at now and writes the answer. unit is a uniform
// random number in [0, 1).
func (g *Gate[P]) Ask(now Moment, q *Question[P], unit float64, a *Answer[P]) {
	g.fill(now)
	g.asked++
	a.Verdict, a.N, a.Slot, a.Delay = Silent, 0, 0, 0
	if g.admit(now, q) {
		g.pay()
		a.Verdict = Come
		g.describe(now, a)
		return
	}
	if g.book(now, q, a) {
		g.pay()
		g.describe(now, a)
		return
	}
	if q.Quiet {
		g.unread()
		return
	}
	g.refused++
	if !g.mayRefuse(now) {
		g.unread()
		return
	}
	g.describe(now, a)
	a.Verdict = Wait
	if q.Gift { // it is brought again when there may be room, in no line
		a.Delay = slotNear + time.Duration(unit*float64(slotNear))
	} else {
		g.promise(now, unit, a)
	}
	if g.cfg.Off.Has(Referrals) {
		g.refer(q.From, unit, a)
	}
}

// unread pays for a datagram that is read and not answered.
func (g *Gate[P]) unread() { g.pool = max(g.pool-g.cfg.Unread, -4*g.cfg.Burst) }

// describe fills in what every answer tells of the server.
func (g *Gate[P]) describe(now Moment, a *Answer[P]) {
	a.Uptime, a.Load = now-g.born, g.Load(now)
}

// pay takes the cost of an answer from the first budget that has it.
func (g *Gate[P]) pay() {
	if g.answers > 0 {
		g.answers -= g.cfg.Refusal
	} else {
		g.pool -= g.cfg.Refusal
	}
}

// mayRefuse pays for a refusal. Refusing has a small budget of its own; only a
// server that can name new ones spends more on it than that, and less on serving.
func (g *Gate[P]) mayRefuse(now Moment) bool {
	refers := g.refersFirst(now) && g.pool > g.keep(keeps()[Presence])
	if g.answers <= 0 && !refers && g.cfg.Off.Has(Budget) {
		return false
	}
	g.pay()
	return true
}

// keep is a share of what the pool can hold.
func (g *Gate[P]) keep(share float64) time.Duration {
	if !g.cfg.Off.Has(Reserved) {
		return 0
	}
	return time.Duration(share * float64(g.cfg.Burst))
}

// admit lets the asker in if there is work left to give for it.
func (g *Gate[P]) admit(now Moment, q *Question[P]) bool {
	c := min(q.Class, Refresh)
	keep := g.keep(keeps()[c])
	due := q.Slot != 0 && now >= q.Slot && now < q.Slot+slotGrace
	first := q.Serves && g.cfg.Off.Has(ServersFirst) && !g.refersFirst(now)
	switch {
	case c == LogIn && due:
		keep = g.keep(keeps()[Presence])
	case c == LogIn && (q.Ticket || first):
		keep = g.keep(keepEarly)
	}
	heavy := g.heaviness(now, q.Prefix)
	own := g.cfg.Off.Has(Reserved) && g.own[c] > 0 && heavy < 0.5
	if c == LogIn && !due && g.refersFirst(now) {
		own = false // there is room elsewhere
	}
	cost := g.cost[q.Pays()]
	switch {
	case own:
		g.own[c] -= cost
	case float64(g.pool) > float64(keep)+heavy*float64(g.cfg.Burst-keep)*0.9:
		g.pool -= cost
	default:
		return false
	}
	g.busy += cost
	g.count(now, q.Prefix)
	return true
}

// book keeps a place in the near future for a log-in that finds no room now: the
// asker comes when it is due, and need not ask again.
func (g *Gate[P]) book(now Moment, q *Question[P], a *Answer[P]) bool {
	at := max(g.booked, now)
	if q.Class != LogIn || !g.cfg.Off.Has(Slots) || at > now+bookFar || g.pool <= 0 ||
		g.refersFirst(now) || g.heaviness(now, q.Prefix) >= 0.5 {
		return false
	}
	cost := g.cost[LogIn]
	g.booked = at + time.Duration(float64(cost)/(g.rate*bookShare))
	a.Verdict, a.Delay = Come, at-now
	g.busy += cost
	g.count(now, q.Prefix)
	return true
}

// promise hands out the next slot. Slots follow each other as fast as the server
// could serve them; the first to ask gets the first.
func (g *Gate[P]) promise(now Moment, unit float64, a *Answer[P]) {
	if !g.cfg.Off.Has(Slots) {
		return
	}
	g.line = max(g.line, now+slotNear)
	far := slotFar
	if g.growing(now) {
		far = slotSoon
	}
	if g.line > now+far { // a line nobody should stand in: ask again, without a promise
		a.Delay = far/2 + time.Duration(unit*float64(far)/2)
		return
	}
	a.Slot, a.Delay = g.line, g.line-now
	g.line += time.Duration(float64(g.cost[LogIn]) / (g.cfg.Capacity * slotShare))
}

// refer names peers that are in and serve, the newest among them, from a random
// place on so that the load spreads.
func (g *Gate[P]) refer(asker P, unit float64, a *Answer[P]) {
	start := int(unit * known)
	for i := range known {
		r := &g.peers[(start+i)%known]
		if r.ok && r.peer != asker {
			a.Referrals[a.N] = r.peer
			if a.N++; a.N == MaxReferrals {
				return
			}
		}
	}
}

// growing says that the overlay is young: servers came in lately, or none ever did.
func (g *Gate[P]) growing(now Moment) bool {
	r := &g.peers[g.newest]
	return !r.ok || now-r.from < freshFor
}

// refersFirst says that naming others is worth more than serving: enough of them
// are new, and so is this server. To one that was up before, servers that lost their
// neighbours look new, too.
func (g *Gate[P]) refersFirst(now Moment) bool {
	// The newest enoughFresh entries lie together.
	r := &g.peers[(g.newest+known-enoughFresh+1)%known]
	return g.cfg.Off.Has(ReferFirst) && r.ok && now-r.from < freshFor && now-g.born < stormUptime
}

// Joined says that a peer came in through this server. One that serves is named to
// others.
func (g *Gate[P]) Joined(now Moment, peer P, serves bool) {
	if !serves {
		return
	}
	for i := range g.peers {
		if g.peers[i].ok && g.peers[i].peer == peer {
			return
		}
	}
	g.newest = (g.newest + 1) % known
	g.peers[g.newest] = referral[P]{peer: peer, from: now, ok: true}
}

// Left says that a peer is gone or serves no longer.
func (g *Gate[P]) Left(peer P) {
	for i := range g.peers {
		if g.peers[i].ok && g.peers[i].peer == peer {
			g.peers[i].ok = false
		}
	}
}

// Finished says that work let in by Come took cost of CPU time.
func (g *Gate[P]) Finished(now Moment, c Class, cost time.Duration) {
	g.fill(now)
	c = min(c, Refresh)
	g.pool = max(g.pool+g.cost[c]-cost, -4*g.cfg.Burst)
	g.cost[c] += (cost - g.cost[c]) / 16
	g.cost[c] = max(g.cost[c], g.cfg.Cost[c]/8, 1)
}

// Missed says that somebody told to come did not.
func (g *Gate[P]) Missed(now Moment, c Class) {
	g.fill(now)
	g.pool = min(g.pool+g.cost[min(c, Refresh)], g.cfg.Burst)
}

// Spent says that work nobody asked about took cost of CPU time: calls, streams on
// old connections, strangers who never ask.
func (g *Gate[P]) Spent(now Moment, c Class, cost time.Duration) {
	g.fill(now)
	g.busy += cost
	if c = min(c, Refresh); g.cfg.Off.Has(Reserved) && g.own[c] > 0 {
		g.own[c] -= cost
		return
	}
	g.pool = max(g.pool-cost, -4*g.cfg.Burst)
}

// Load is the work let in over the last second as a share of the capacity.
func (g *Gate[P]) Load(now Moment) float32 {
	busy := g.busyAt(now)
	return float32(float64(busy) / (g.cfg.Capacity * float64(busyFor)))
}

// busyAt is what is left at now of the work let in lately.
func (g *Gate[P]) busyAt(now Moment) time.Duration {
	return g.busy - g.busy*min(max(now-g.at, 0), busyFor)/busyFor
}

// Scarcity is the share of recent questions that were refused.
func (g *Gate[P]) Scarcity() float64 {
	if g.asked < 1 {
		return 0
	}
	return min(1, g.refused/g.asked)
}
