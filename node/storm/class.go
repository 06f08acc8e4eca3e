package storm

import "time"

// Moment is a point in time: what has passed since an epoch of the driver's
// choosing, and more than nothing. It never runs backwards.
type Moment = time.Duration

// Class says what a piece of work is for. A lower number comes first.
type Class uint8

// The classes, the most important first.
const (
	InCall   Class = iota // keeps a call in progress alive
	SetUp                 // a call being set up
	Presence              // publishing a record, resuming after a short absence
	LogIn                 // coming in
	LookUp                // finding somebody
	Refresh               // filling tables, more neighbours: nobody waits for it
	Classes  = 6
)

// String names the class.
func (c Class) String() string {
	return [...]string{"in-call", "set-up", "presence", "log-in", "look-up", "refresh", "none"}[min(c, Classes)]
}

// shares are the parts of a server's capacity that belong to one class alone; the
// rest, and what a class does not use, is for everybody, the most important first.
func shares() [Classes]float64 { return [Classes]float64{0.10, 0.10, 0.10, 0.10, 0.05, 0.05} }

// keepEarly is what those log-ins leave that go before others: who has a
// ticket, or will serve. Whose slot is due, and who had been in and lost all servers, goes
// before them.
const keepEarly = 0.25

// keeps says how much of the common pool a class leaves to those above it.
func keeps() [Classes]float64 { return [Classes]float64{0, 0.05, 0.10, 0.50, 0.70, 0.85} }
