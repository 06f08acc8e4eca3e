package phone

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func calmAlways(time.Duration) bool { return false }

func TestAFewCallsAtATimeAreSetUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stile := turnstile{make(chan struct{}, 2), calmAlways}
		var inside, most, done atomic.Int32
		for range 10 {
			go func() {
				leave := stile.enter(t.Context())
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(30 * time.Millisecond) // what a call takes to get its path
				inside.Add(-1)
				leave()
				leave() // the end of the call gives it back once more
				done.Add(1)
			}()
		}
		begun := time.Now()
		for done.Load() < 10 {
			time.Sleep(time.Millisecond)
		}
		if most.Load() != 2 || time.Since(begun) < 150*time.Millisecond {
			t.Errorf("%d calls were set up at a time, all ten in %v", most.Load(), time.Since(begun))
		}
		time.Sleep(turnLimit)
		synctest.Wait() // the timers are through
	})
}

func TestACallThatRingsGivesItsTurnBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stile := turnstile{make(chan struct{}, 1), calmAlways}
		ringing := stile.enter(t.Context())
		begun := time.Now()
		leave := stile.enter(t.Context())
		if waited := time.Since(begun); waited != turnLimit {
			t.Errorf("the next call waited %v for one that rings, want %v", waited, turnLimit)
		}
		ringing() // late, and not the other's turn
		if len(stile.room) != 1 {
			t.Error("a turn was given back twice")
		}
		leave()
		time.Sleep(turnLimit)
	})
}

func TestACallIsSetUpWhenThoseThatTalkAreNotStrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		strainedUntil := time.Now().Add(100 * time.Millisecond)
		stile := turnstile{make(chan struct{}, 1), func(time.Duration) bool { return time.Now().Before(strainedUntil) }}
		begun := time.Now()
		stile.enter(t.Context())()
		if waited := time.Since(begun); waited != 100*time.Millisecond {
			t.Errorf("waited %v for calm, want 100 ms", waited)
		}
		strainedUntil = time.Now().Add(time.Hour)
		begun = time.Now()
		stile.enter(t.Context())()
		if waited := time.Since(begun); waited != calmLimit {
			t.Errorf("waited %v where calm never comes, want %v", waited, calmLimit)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begun = time.Now()
		stile.enter(ctx)()
		if waited := time.Since(begun); waited != 50*time.Millisecond {
			t.Errorf("a call that was given up waited %v", waited)
		}
		time.Sleep(turnLimit)
	})
}
