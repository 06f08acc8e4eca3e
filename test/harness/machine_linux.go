package harness

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// WatchMachine measures until it is stopped for how long the processors of this machine
// were much slower than they can be, as those of a virtual machine are whose share is used
// up: what is late then says nothing about the program. It takes some 1 % of each processor,
// before all others (with the right to it), and tells the time of the slowest one.
func WatchMachine() (stop func() (slow time.Duration)) {
	const every, slowness = 5 * time.Millisecond, 4
	end := make(chan struct{})
	each := make([]time.Duration, runtime.NumCPU())
	var wg sync.WaitGroup
	for i := range each {
		wg.Go(func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with its priority
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), -20)
			tick := time.NewTicker(every)
			defer tick.Stop()
			least := time.Hour
			for last := time.Now(); ; {
				select {
				case <-end:
					return
				case <-tick.C:
				}
				took := work()
				now := time.Now()
				if least = min(least, took); took > slowness*least {
					each[i] += now.Sub(last)
				}
				last = now
			}
		})
	}
	return func() (slow time.Duration) {
		close(end)
		wg.Wait()
		for _, s := range each {
			slow = max(slow, s)
		}
		return slow
	}
}

// work takes some 50 us of a processor, and says how long it took.
func work() time.Duration {
	begun := time.Now()
	x := uint64(1)
	for range 50_000 {
		x = x*6364136223846793005 + 1442695040888963407
	}
	runtime.KeepAlive(x)
	return time.Since(begun)
}
