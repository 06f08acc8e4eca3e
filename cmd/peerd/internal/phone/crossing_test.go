//go:build cgo

package phone

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const (
	lowID  = "00000000000000000000000000000001"
	highID = "ff000000000000000000000000000001"
)

// crossing is a call of bob's to alice that takes its steps when the test says so.
type crossing struct {
	*call
	t   *testing.T
	bob *tel
}

// dialAs is Dial with a call id of the test's choice, held before it is placed
// when held is set.
func (p *tel) dialAs(q *tel, id string, held bool) crossing {
	p.t.Helper()
	to, err := p.resolve(q.id.Name())
	must(p.t, err)
	c := p.newCall(id, Outgoing, Remote{Account: to.link.Account.String(), Name: to.name})
	c.link = to.link
	rival, err := p.register(c)
	must(p.t, err)
	if rival != nil {
		p.t.Fatalf("%s has call %s already", p.id.Name(), rival.id)
	}
	x := crossing{call: c, t: p.t, bob: p}
	go c.run(func() {
		if !held {
			c.reachBeside()
		}
	})
	return x
}

// reaches lets the call look the other end up and hold what it found.
func (x crossing) reaches() (place func()) {
	var found reached
	got := make(chan struct{})
	must(x.t, x.do(func() error {
		x.reachBeside()
		reaching := x.reaching
		x.reaching = nil
		go func() { found = <-reaching; close(got) }()
		return nil
	}))
	<-got
	return func() { x.place(found) }
}

// busyWith runs step in the call's goroutine once the other end's call waits
// there to take it over.
func (x crossing) busyWith(step func(), meanwhile func()) {
	x.t.Helper()
	ready, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- x.do(func() error { close(ready); <-goOn; step(); return nil })
	}()
	<-ready
	meanwhile()
	eventually(x.t, "the other end's call wants to take over", func() bool {
		stacks := make([]byte, 4<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return bytes.Contains(stacks, []byte("phone.(*call).takeOver("))
	})
	close(goOn)
	must(x.t, <-done)
}

// TestCallsCross brings two calls together in every order. Whatever it is, both
// users end in the same call, under the ids they have dialled. Not parallel: it
// looks at the stacks of the process.
func TestCallsCross(t *testing.T) {
	orders := map[string]func(alice, bob *tel, a, b string){
		"before the call is placed": func(alice, bob *tel, a, b string) {
			x := bob.dialAs(alice, b, true)
			place := x.reaches()
			alice.dialAs(bob, a, false)
			bob.in(b, StateActive)
			must(bob.t, x.do(func() error { place(); return nil }))
		},
		"while the call is being placed": func(alice, bob *tel, a, b string) {
			x := bob.dialAs(alice, b, true)
			place := x.reaches()
			x.busyWith(place, func() { alice.dialAs(bob, a, false) })
		},
		"both placed": func(alice, bob *tel, a, b string) {
			x, y := bob.dialAs(alice, b, true), alice.dialAs(bob, a, true)
			placed := make(chan error, 2)
			for _, c := range []crossing{x, y} {
				place := c.reaches()
				go func() { placed <- c.do(func() error { place(); return nil }) }()
			}
			must(bob.t, <-placed)
			must(bob.t, <-placed)
		},
		"after the call was refused": func(alice, bob *tel, a, b string) {
			if a > b {
				a, b, alice, bob = b, a, bob, alice // the loser waits for the winner
			}
			x, y := bob.dialAs(alice, b, true), alice.dialAs(bob, a, true)
			place, other := x.reaches(), y.reaches()
			must(bob.t, x.do(func() error { place(); x.onEndedByGlare(); return nil }))
			must(bob.t, y.do(func() error { other(); return nil }))
		},
	}
	for name, cross := range orders {
		for _, ids := range [][2]string{{lowID, highID}, {highID, lowID}} {
			t.Run(strings.ReplaceAll(name+", id "+ids[0][:2], " ", "-"), func(t *testing.T) {
				all := tels(t, 2, nil)
				alice, bob := all[0], all[1]
				cross(alice, bob, ids[0], ids[1])
				inOneCall(t, alice, bob, ids)
			})
		}
	}
}

// onEndedByGlare ends the placed call as the other end's refusal would.
func (x crossing) onEndedByGlare() {
	must(x.t, x.signal.End("glare"))
}

// inOneCall waits until both are in the same call, and ends it: nothing else may
// be left, at neither end.
func inOneCall(t *testing.T, alice, bob *tel, ids [2]string) {
	t.Helper()
	var a, b Call
	eventually(t, "both in one call, with words", func() bool {
		a, b = alice.in(ids[0], StateActive), bob.in(ids[1], StateActive)
		return len(a.SAS) == 4 && slices.Equal(a.SAS, b.SAS)
	})
	must(t, alice.Hangup(""))
	alice.ended(ids[0], "hangup", "local")
	bob.ended(ids[1], "hangup", "remote")
	for _, p := range []*tel{alice, bob} {
		if all := p.Calls(); len(all) != 1 {
			t.Errorf("%s remembers %d calls: %+v", p.id.Name(), len(all), all)
		}
	}
}

// TestDialAgainAfterGlare lets the call that should go on be cancelled before it
// arrives, and dialled again under a higher id: whoever waits for it takes that.
func TestDialAgainAfterGlare(t *testing.T) {
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	const middle = "77000000000000000000000000000001"
	x := bob.dialAs(alice, middle, true)
	place := x.reaches()
	must(t, x.do(func() error { place(); x.onEndedByGlare(); return nil }))
	eventually(t, "the call has come to alice and gone", func() bool {
		return len(alice.Calls()) == 1 && len(alice.liveOnes()) == 0
	})
	alice.dialAs(bob, highID, false)
	eventually(t, "bob is in alice's call", func() bool {
		c, err := bob.Call(middle)
		return err == nil && c.State == StateActive
	})
	alice.in(highID, StateActive)
}
