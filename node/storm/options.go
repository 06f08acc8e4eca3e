package storm

import (
	"fmt"
	"slices"
	"strings"
)

// Mechanism is one part of the policy that can be switched off, to see what it is
// good for.
type Mechanism uint8

// The mechanisms. docs/storm.md says what each is good for, and how much.
const (
	CacheFirst    Mechanism = iota // ask the peers remembered; without: bootstrap nodes only
	AskFirst                       // a question before the log-in; without: dial and see
	Races                          // several at a time, staggered; without: one after another
	BootstrapLast                  // without: bootstrap nodes first
	Slots                          // a refusal says when to come; without: only "not now"
	Referrals                      // a refusal says who else serves
	ReferFirst                     // a crowded server with others to name rather names them
	ServersFirst                   // who will serve comes in first
	Reserved                       // classes, with shares of their own; without: all are alike
	NewestFirst                    // newest first with deadlines; without: first come, first served
	ServeFirst                     // serve before one's own log-in is over
	Promotion                      // who can serve does so where servers are scarce
	PrefixPacing                   // networks share, however many ask from each
	SpreadPeriods                  // periods and expiries vary by a quarter
	Budget                         // the time for refusing is limited; without: all are answered
	Backoff                        // retries wait longer and longer; without: one second
	Notice                         // neighbours tell when servers came near them: who holds the record may have changed
	mechanisms
)

var mechanismNames = [mechanisms]string{
	"cache", "ask-first", "races", "bootstrap-last", "slots", "referrals", "refer-first", "servers-first", "classes",
	"newest-first", "serve-first", "promotion", "prefix-pacing", "spread", "budget", "backoff", "notice",
}

// String names the mechanism as Without takes it.
func (m Mechanism) String() string { return mechanismNames[m] }

// Mechanisms lists the names that Without takes.
func Mechanisms() []string { return slices.Clone(mechanismNames[:]) }

// Options says which mechanisms are off. The zero value has all of them on.
type Options uint32

// Without switches off the mechanisms named.
func Without(names ...string) (Options, error) {
	var o Options
	for _, name := range names {
		i := slices.Index(mechanismNames[:], name)
		if i < 0 {
			return 0, fmt.Errorf("no mechanism is called %q: there are %s", name, strings.Join(mechanismNames[:], ", "))
		}
		o |= 1 << i
	}
	return o, nil
}

// Has says that m is on.
func (o Options) Has(m Mechanism) bool { return o&(1<<m) == 0 }
