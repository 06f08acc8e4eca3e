// Package storm holds the policies that decide when a node asks again and whom
// it serves first. It is pure: no clock, no randomness, no network and no
// cryptography of its own; all of them are arguments, so that a node and a
// simulator drive the very same code.
package storm

import (
	"math"
	"time"
)

// Retry is the state of one thing that is tried again and again. The zero value
// with Policy filled in is ready. It is a value: methods return the next state.
type Retry struct {
	Policy Policy

	wait    time.Duration // the last delay handed out; 0 before the first failure
	upSince time.Time     // start of the present service; zero while down
	budget  float64       // tokens spent, drains with time
	spent   time.Time     // when budget was last brought up to date
}

// Policy are the constants of a retry.
type Policy struct {
	// Base is the shortest delay and Cap the longest.
	Base, Cap time.Duration
	// Stable is how long service must last before delays start from Base again.
	Stable time.Duration
	// Burst retries are free; beyond them at most one per Refill is granted.
	Burst  int
	Refill time.Duration
}

// DefaultPolicy is decorrelated jitter between 0.5 s and 60 s, forgotten after
// 30 s of stable service, with 10 free retries and one more every 10 s.
func DefaultPolicy() Policy {
	return Policy{
		Base: 500 * time.Millisecond, Cap: time.Minute, Stable: 30 * time.Second,
		Burst: 10, Refill: 10 * time.Second,
	}
}

// Up says that service began (or goes on) at now.
func (r Retry) Up(now time.Time) Retry {
	if r.upSince.IsZero() {
		r.upSince = now
	}
	if now.Sub(r.upSince) >= r.Policy.Stable {
		r.wait = 0
	}
	return r
}

// Fail says that an attempt failed or that service ended at now, and returns how
// long to wait before the next attempt. unit is a uniform random number in [0, 1).
//
// The delay is decorrelated jitter: uniform between Base and twice the
// last delay, at most Cap. A retry without budget waits Cap, jittered down by at
// most a quarter so that waiting nodes do not come back in step.
func (r Retry) Fail(now time.Time, unit float64) (Retry, time.Duration) {
	r = r.down(now)
	if !r.allowed(now) {
		r.wait = r.Policy.Cap
		return r.charge(now), r.Policy.Cap - time.Duration(unit*float64(r.Policy.Cap)/4)
	}
	high := max(2*r.wait, 2*r.Policy.Base)
	delay := r.Policy.Base + time.Duration(unit*float64(high-r.Policy.Base))
	r.wait = min(delay, r.Policy.Cap)
	return r.charge(now), r.wait
}

// down ends the present service at now; a stable one is rewarded by a fresh start.
func (r Retry) down(now time.Time) Retry {
	if !r.upSince.IsZero() && now.Sub(r.upSince) >= r.Policy.Stable {
		r.wait = 0
	}
	r.upSince = time.Time{}
	return r
}

func (r Retry) drained(now time.Time) float64 {
	if r.spent.IsZero() || r.Policy.Refill <= 0 {
		return r.budget
	}
	return max(0, r.budget-now.Sub(r.spent).Seconds()/r.Policy.Refill.Seconds())
}

func (r Retry) allowed(now time.Time) bool {
	return r.Policy.Burst <= 0 || r.drained(now)+1 <= float64(r.Policy.Burst)
}

func (r Retry) charge(now time.Time) Retry {
	r.budget = min(r.drained(now)+1, float64(max(r.Policy.Burst, 1)))
	r.spent = now
	return r
}

// Spread returns d changed by at most a quarter either way. unit is a uniform
// random number in [0, 1). Every period and expiry handed out passes through it,
// so that nodes which started together drift apart.
func Spread(d time.Duration, unit float64) time.Duration {
	return d - d/4 + time.Duration(unit*float64(d)/2)
}

// Phase returns how long the first of many periods of d, each spread as Spread does,
// lasts for somebody who joins in the middle of them. A crowd that begins together
// and waits Phase once, and Spread(d) from then on, is spread evenly for ever. u and
// v are uniform random numbers in [0, 1).
func Phase(d time.Duration, u, v float64) time.Duration {
	// Longer periods are likelier to be the one that is joined: the length has a
	// density in proportion to itself between 0.75 and 1.25.
	length := math.Sqrt(0.5625 + u)
	return time.Duration(v * length * float64(d))
}
