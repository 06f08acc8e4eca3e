package stormlab

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/peerd/peerd/node/stormlab/memnet"
)

const (
	// calmStart is over how long the nodes of the overlay that is going to be
	// restarted start, and calm how long it runs then.
	calmStart = 20 * time.Second
	calm      = 2 * time.Minute
	// lookEvery is how often is looked whether a node may be found, and checkEvery how
	// often it is called from then on.
	lookEvery  = 20 * time.Millisecond
	checkEvery = 100 * time.Millisecond
	// checkLimit is how long a call may take to ring.
	checkLimit = 5 * time.Second
)

// policy is a way of coming back.
type policy interface {
	// start begins a process of m. It does not wait for it to be back.
	start(l *lab, m *member) (process, error)
	// remember gives a member what an overlay that ran before would have left it, if
	// the policy does not keep that by itself.
	remember(l *lab, m *member)
	// learns says whether the overlay has to run before for anybody to remember it.
	learns() bool
}

// lab is one run.
type lab struct {
	set     Setting
	policy  policy
	net     *memnet.Network
	members []*member
	boot    []peer.AddrInfo
	rng     *rand.Rand

	outBefore int  // nodes that were not in before the restart
	restarted bool // what is started now counts

	mu  sync.Mutex // guards the members' processes and what became of them
	wg  sync.WaitGroup
	end chan struct{} // closed when the run is over
}

// Run restarts an overlay as the setting says, and measures.
func Run(t *testing.T, s Setting) Result {
	t.Helper()
	if shared := inMemory(); shared != "" {
		t.Setenv("TMPDIR", shared)
	}
	dir := t.TempDir()
	var result Result
	begun := time.Now()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour) // the bubble's clock begins at midnight, when records change
		var err error
		if result, err = run(s, dir); err != nil {
			t.Fatal(err)
		}
	})
	result.RealS = time.Since(begun).Seconds()
	return result
}

// inMemory is a directory in memory where there is one: a hundred nodes that write
// their caches wait for a disk in real time.
func inMemory() string {
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err == nil && info.IsDir() {
		return shared
	}
	return ""
}

func run(s Setting, dir string) (Result, error) {
	p, err := policyNamed(s.Policy)
	if err != nil {
		return Result{}, err
	}
	l := &lab{
		set: s, policy: p, net: memnet.New(s.Costs, s.Links),
		rng: rand.New(rand.NewPCG(s.Seed, uint64(s.Nodes))), end: make(chan struct{}),
	}
	l.members, err = population(s, l.rng, func(name string) (string, error) {
		home := filepath.Join(dir, name)
		return home, os.Mkdir(home, 0o700)
	})
	if err != nil {
		return Result{}, err
	}
	for _, m := range l.members[:s.Bootstrap] {
		l.boot = append(l.boot, m.info())
	}
	if s.remembers() {
		if err := l.before(); err != nil {
			l.kill()
			return Result{}, err
		}
	}
	upheaval(s, l.rng, l.members)
	l.restarted = true
	return l.restart()
}

// before runs the overlay that is going to be restarted, if that matters.
func (l *lab) before() error {
	if !l.policy.learns() {
		for _, m := range l.members {
			l.policy.remember(l, m)
		}
		return nil
	}
	for _, m := range l.members {
		if !m.bootstrap {
			time.Sleep(calmStart / time.Duration(l.set.Nodes))
		}
		if err := l.start(m, m.machine(calmly(l.set))); err != nil {
			return err
		}
	}
	time.Sleep(calm)
	for _, m := range l.members {
		if !m.process.published() {
			l.outBefore++
		}
	}
	l.kill()
	return nil
}

// start begins a member's next incarnation.
func (l *lab) start(m *member, machine memnet.Machine) error {
	host := l.net.Start(m.addr, machine)
	l.mu.Lock()
	m.host, m.began, m.back, m.failed = host, time.Now(), -1, nil
	m.steps = newJournal(m.began)
	l.mu.Unlock()
	p, err := l.policy.start(l, m)
	if err != nil {
		return fmt.Errorf("start node %d: %w", m.index, err)
	}
	l.mu.Lock()
	m.process = p
	l.mu.Unlock()
	return nil
}

// kill ends all processes without a word, and waits until nothing is left of them.
func (l *lab) kill() {
	for _, m := range l.members {
		if m.host != nil {
			m.host.Kill()
		}
	}
	var wg sync.WaitGroup
	for _, m := range l.members {
		if m.process != nil {
			wg.Go(m.process.close)
		}
	}
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.members {
		m.host, m.process = nil, nil
	}
}

// restart starts all members as the scenario has it and waits until all are back or
// the horizon is reached.
func (l *lab) restart() (Result, error) {
	errs := make(chan error, len(l.members))
	done := make(chan struct{})
	var back sync.WaitGroup
	for _, m := range l.members {
		if !m.bootstrap {
			back.Add(1)
		}
		l.wg.Go(func() {
			if !m.bootstrap {
				defer back.Done()
			}
			errs <- l.live(m)
		})
	}
	go func() {
		back.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(l.set.Horizon):
	}
	close(l.end)
	r := l.result()
	l.kill()
	l.wg.Wait()
	<-done
	for range l.members {
		if err := <-errs; err != nil {
			return r, err
		}
	}
	return r, nil
}

// live starts a member and, if it is not a bootstrap node, follows it until it is back.
func (l *lab) live(m *member) error {
	if !l.sleep(m.delay) {
		return nil
	}
	if err := l.start(m, m.machine(l.set)); err != nil || m.bootstrap {
		return err
	}
	for !m.process.callable() {
		if !l.sleep(lookEvery) {
			return nil
		}
	}
	l.check(m)
	return nil
}

// sleep waits; it reports false when the run is over.
func (l *lab) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.end:
		return false
	}
}

// check has other nodes, chosen by chance, read the member's record and call it,
// again and again until one succeeds. A member is back at the moment at which the
// first call that rang was begun.
func (l *lab) check(m *member) {
	rang := make(chan time.Duration, 1+int(l.set.Horizon/checkEvery))
	var checks sync.WaitGroup
	defer checks.Wait()
	for {
		if third := l.third(m); third != nil {
			at := time.Since(m.began)
			checks.Go(func() {
				defer third.host.Uncharged()()
				err := third.process.reach(m)
				if err == nil {
					rang <- at
					return
				}
				l.mu.Lock()
				waits := m.back < 0
				if waits {
					m.failed = err
				}
				l.mu.Unlock()
				if waits {
					m.steps.vain()
				}
			})
		}
		t := time.NewTimer(checkEvery)
		select {
		case at := <-rang:
			t.Stop()
			l.mu.Lock()
			m.back = at
			l.mu.Unlock()
			m.steps.noteAt("found by a third node", at)
			return
		case <-t.C:
		case <-l.end:
			t.Stop()
			return
		}
	}
}

// caller is a member as it was when it was chosen.
type caller struct {
	host    *memnet.Host
	process process
}

// third chooses who calls m: one of the nodes that have given their record to anybody,
// or, while there is no other, a bootstrap node.
func (l *lab) third(m *member) *caller {
	l.mu.Lock()
	defer l.mu.Unlock()
	var in, boot []*caller
	for _, other := range l.members {
		switch {
		case other == m || other.process == nil:
		case other.bootstrap:
			boot = append(boot, &caller{other.host, other.process})
		case other.process.published():
			in = append(in, &caller{other.host, other.process})
		}
	}
	if len(in) == 0 {
		in = boot
	}
	if len(in) == 0 {
		return nil
	}
	return in[l.rng.IntN(len(in))]
}
