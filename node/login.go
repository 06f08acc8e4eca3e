package node

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/peerd/peerd/node/overlay"
)

// What can be missing to a login (Missing.What).
const (
	MissingNeighbours = "neighbours"
	MissingPresence   = "presence record"
	MissingAccount    = "account record"
	MissingReach      = "reachability"
)

// facts are all that decides whether a node is logged in.
type facts struct {
	wasOnline bool
	serving   bool
	first     bool // told nobody to begin with, knows no other server
	members   int  // connected members of the overlay
	servers   int  // those of them that are servers
	joinWhy   string

	presence   publication
	account    publication
	hasAccount bool // this device holds the account key and must publish the account record

	reach      Reachability
	reachAsked bool // a witness has been asked
	witnesses  int  // connected servers that can dial us back
	reachWhy   string
}

// publication is what became of the last publication of a record.
type publication struct {
	valid bool // published at all, and not expired
	local bool // kept by this node, a server
	stale bool // our addresses have changed since
	acks  int
	addrs []string // in the record
	why   string
}

// verdict is the login state that follows from facts.
type verdict struct {
	online  bool
	alone   bool
	missing []Missing // Since not yet filled in
}

// judge is the login rule:
//   - a live neighbour, and up to three where more are known to be alive; alive are
//     the servers we are connected to. A server that begins an overlay needs none;
//   - own records acknowledged by as many;
//   - proven reachability, unless nobody can tell.
//
// To stay online less is enough, while the rest is sought: one acknowledgement or the copy a server keeps itself, and a proof not yet asked for.
func judge(f facts) verdict {
	want := max(1, min(overlay.Neighbours, f.servers))
	if f.wasOnline {
		want = 1
	}
	v := verdict{alone: f.serving && f.first && f.members == 0}
	miss := func(what, why string) { v.missing = append(v.missing, Missing{What: what, Why: why}) }
	begins := f.serving && f.first
	if f.servers == 0 && !begins {
		miss(MissingNeighbours, neighboursWhy(f))
	}
	keeps := begins || f.wasOnline
	if why := f.presence.lacks(want, keeps); why != "" {
		miss(MissingPresence, why)
	}
	if why := f.account.lacks(want, keeps); f.hasAccount && why != "" {
		miss(MissingAccount, why)
	}
	if f.reach == ReachUnknown && f.witnesses > 0 && (f.reachAsked || !f.wasOnline) {
		miss(MissingReach, f.reachWhy)
	}
	v.online = len(v.missing) == 0
	return v
}

func neighboursWhy(f facts) string {
	if f.joinWhy != "" {
		return "no server answers: " + f.joinWhy
	}
	return "no server is connected"
}

// lacks says what a publication lacks, "" for nothing. lenient: a record that only
// this node, a server, keeps is enough, and one with older addresses too.
func (p publication) lacks(want int, lenient bool) string {
	switch {
	case p.valid && p.stale && !lenient:
		return "published with addresses that have changed since"
	case p.valid && (p.acks >= want || (lenient && p.local)):
		return ""
	case p.why != "":
		return p.why
	case p.valid:
		return fmt.Sprintf("acknowledged by %d of %d nodes", p.acks, want)
	}
	return "not published yet"
}

// login is the present login state.
type login struct {
	mu       sync.Mutex
	opened   time.Time
	state    State
	alone    bool
	took     time.Duration // until online for the first time
	everOn   bool
	missing  []Missing
	presence publication
	account  publication
	last     Status // as last announced
}

// evaluate judges the facts of now and announces a changed status.
func (n *Node) evaluate() {
	f := n.facts()
	n.login.mu.Lock()
	n.login.apply(f, judge(f), n.now())
	state, since := n.login.state, n.login.took
	was := n.login.last.State
	n.login.mu.Unlock()

	s := n.Status()
	n.login.mu.Lock()
	changed := !sameStatus(s, n.login.last)
	n.login.last = s
	n.login.mu.Unlock()
	if !changed {
		return
	}
	if state != was {
		n.cfg.Log.Info("login state", "state", state, "took", since, "missing", describe(s.Login.Missing))
	}
	n.hub.publish(Event{Status: &s})
}

// apply moves the login state; what was missing before keeps its time.
func (l *login) apply(f facts, v verdict, now time.Time) {
	for i := range v.missing {
		v.missing[i].Since = now
		if l.missing == nil {
			v.missing[i].Since = l.opened
		}
		for _, old := range l.missing {
			if old.What == v.missing[i].What {
				v.missing[i].Since = old.Since
			}
		}
	}
	if l.missing = v.missing; l.missing == nil {
		l.missing = []Missing{}
	}
	l.alone = v.alone
	switch {
	case v.online && !l.everOn:
		l.state, l.everOn, l.took = Online, true, now.Sub(l.opened)
	case v.online:
		l.state = Online
	case l.everOn:
		l.state = Offline
	default:
		l.state = Starting
	}
	l.presence, l.account = f.presence, f.account
}

func (n *Node) facts() facts {
	reach, asked, why := n.over.Reach()
	f := facts{
		serving: n.over.Serving(), first: n.first(),
		members: len(n.over.Members()), servers: len(n.over.Servers()),
		joinWhy:    n.over.Joining().Why,
		hasAccount: n.id.HasAccountKey(),
		reach:      Reachability(reach), reachAsked: asked, reachWhy: why, witnesses: n.over.Witnesses(),
	}
	f.presence, f.account = n.records.published(n.now(), n.plainAddresses())
	n.login.mu.Lock()
	f.wasOnline = n.login.state == Online
	n.login.mu.Unlock()
	return f
}

func describe(missing []Missing) string {
	var parts []string
	for _, m := range missing {
		parts = append(parts, m.What+" ("+m.Why+")")
	}
	return strings.Join(parts, "; ")
}
