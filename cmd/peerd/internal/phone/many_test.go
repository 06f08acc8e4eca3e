//go:build cgo

package phone

import (
	"fmt"
	"os"
	"runtime"
	"testing"
)

// many is large in the soak runs (PEERD_SOAK) and small otherwise.
func many(soak, quick int) int {
	if os.Getenv("PEERD_SOAK") != "" {
		return soak
	}
	return quick
}

// leftovers returns the goroutines and file descriptors of this process.
func leftovers(t *testing.T) (goroutines, files int) {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no list of open files here: %v", err)
	}
	return runtime.NumGoroutine(), len(dir)
}

// backTo waits until goroutines and files are not more than before. A few
// goroutines of the overlay come and go by themselves.
func backTo(t *testing.T, goroutines, files int) {
	t.Helper()
	const comeAndGo = 6
	var g, f int
	defer func() {
		if t.Failed() {
			stacks := make([]byte, 1<<20)
			t.Logf("%d goroutines (%d before), %d files (%d before)\n%s",
				g, goroutines, f, files, stacks[:runtime.Stack(stacks, true)])
		}
	}()
	eventually(t, fmt.Sprintf("%d goroutines and %d files as before", goroutines, files), func() bool {
		g, f = leftovers(t)
		return g <= goroutines+comeAndGo && f <= files
	})
}

func TestSoakCallsOneAfterAnother(t *testing.T) {
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	once := func() {
		mine, theirs := alice.talk(bob)
		must(t, bob.Hangup(theirs))
		alice.ended(mine, "hangup", "remote")
		bob.ended(theirs, "hangup", "local")
	}
	once()
	goroutines, files := leftovers(t)
	for range many(200, 20) {
		once()
	}
	backTo(t, goroutines, files)
	eventually(t, "no call left in memory", func() bool { return len(alice.present())+len(bob.present()) == 0 })
}

func TestSoakCallsAtOnceIntoAnEcho(t *testing.T) {
	all := tels(t, 2, func(i int, cfg *Config) {
		if i == 1 {
			cfg.Answer = AnswerEcho
		}
	})
	alice, echo := all[0], all[1]
	alice.ended(func() string {
		id := alice.calls(echo)
		alice.in(id, StateActive)
		must(t, alice.Hangup(id))
		return id
	}(), "hangup", "local")
	goroutines, files := leftovers(t)
	var ids []string
	for range many(50, 10) {
		ids = append(ids, alice.calls(echo))
	}
	for _, id := range ids {
		alice.in(id, StateActive)
	}
	for _, id := range ids {
		eventually(t, "every call hears itself", func() bool {
			c, err := alice.Call(id)
			return err == nil && c.Stats.PacketsReceived > 10 && c.AnswerToAudio > 0
		})
		must(t, alice.Hangup(id))
	}
	for _, id := range ids {
		alice.ended(id, "hangup", "local")
	}
	backTo(t, goroutines, files)
}

func TestCloseDuringCalls(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, func(i int, cfg *Config) {
		if i == 1 {
			cfg.Answer = AnswerAuto
		}
	})
	alice, bob := all[0], all[1]
	var ids []string
	for range 5 {
		ids = append(ids, alice.calls(bob))
	}
	alice.in(ids[0], StateActive)
	must(t, alice.Close()) // some are active, some ring, some are still dialled
	must(t, alice.Close())
	eventually(t, "bob has no live call", func() bool { return len(bob.liveOnes()) == 0 })
}

func TestSlowWatcherIsCutOff(t *testing.T) {
	t.Parallel()
	h := newHub()
	slow, _ := h.subscribe()
	quick, cancel := h.subscribe()
	for i := range watcherBacklog + 1 {
		h.publish(Event{Type: EventStatus})
		if _, more := <-quick; !more {
			t.Fatalf("the quick watcher was cut off at event %d", i)
		}
	}
	n := 0
	for range slow {
		n++
	}
	if n != watcherBacklog {
		t.Errorf("the slow watcher got %d events", n)
	}
	cancel()
	cancel()
	if _, more := <-quick; more {
		t.Error("the cancelled watcher goes on")
	}
	h.close()
	late, _ := h.subscribe()
	if _, more := <-late; more {
		t.Error("a closed hub takes watchers")
	}
}
