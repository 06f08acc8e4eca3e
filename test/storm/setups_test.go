//go:build !race

package storm_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
)

const (
	// setUpEvery is how often each caller begins a call, unless atOnce are on their way:
	// a set-up and its end take some 60 ms of a processor, and several times that where
	// page faults are dear, which the restart is to have.
	setUpEvery = time.Second
	atOnce     = 2
)

// callers are phones that stay up and set up calls, each with one that echoes.
type callers struct {
	t     *testing.T
	pairs [][2]*harness.Daemon
}

// setups is what became of calls that were set up.
type setups struct {
	mu     sync.Mutex
	took   []time.Duration // from dialling to the first sound
	begun  []time.Time
	failed []error
}

// callersOf starts pairs of phones that know each other.
func callersOf(t *testing.T, pairs int, boots []*harness.Daemon) *callers {
	t.Helper()
	c := &callers{t: t}
	for i := range pairs {
		var pair [2]*harness.Daemon
		for k, answer := range []string{"ask", "echo"} {
			pair[k] = harness.Start(t, harness.Options{
				Name: fmt.Sprint(answer, i), Bootstrap: boots, Answer: answer,
				Args: []string{"--audio", "tone", "--log-level", "debug"},
			})
			pair[k].AwaitLogin(t)
			pair[k].Link = linkOf(t, pair[k])
		}
		acquaint(t, pair[0], pair[1])
		c.pairs = append(c.pairs, pair)
	}
	return c
}

// begin has every caller begin calls at an even pace, until the returned function is
// called and there are so many.
func (c *callers) begin(least int) (end func() *setups) {
	s := new(setups)
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for _, pair := range c.pairs {
		wg.Go(func() {
			pace := time.NewTicker(setUpEvery)
			defer pace.Stop()
			room := make(chan struct{}, atOnce)
			for ; s.more(least, enough); <-pace.C {
				room <- struct{}{}
				wg.Go(func() {
					s.one(pair[0], pair[1])
					<-room
				})
			}
		})
	}
	return func() *setups {
		close(enough)
		wg.Wait()
		return s
	}
}

// more says whether another call is to be made, and counts it as begun.
func (s *setups) more(least int, enough <-chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-enough:
		if len(s.begun) >= least {
			return false
		}
	default:
	}
	s.begun = append(s.begun, time.Now())
	return true
}

// one sets up a call, waits until it is heard, and hangs up.
func (s *setups) one(from, to *harness.Daemon) {
	begun := time.Now()
	id, err := setUp(from, to)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = append(s.failed, fmt.Errorf("%w after %v\n%s\n%s", err, time.Since(begun), from.Said(id), to.Said(id)))
		return
	}
	s.took = append(s.took, time.Since(begun))
}

func setUp(from, to *harness.Daemon) (id string, err error) {
	const limit = 20 * time.Second
	var c harness.Call
	if err = from.Request(http.MethodPost, "/calls", map[string]string{"to": to.Name()}, &c); err != nil {
		return "", err
	}
	now, err := from.CallWithin(limit, func(now harness.Call) bool {
		return now.ID == c.ID && (now.State == "ended" || now.State == "active" && now.AudioMS != nil)
	})
	switch {
	case err != nil:
		return c.ID, err
	case now.State == "ended":
		return c.ID, fmt.Errorf("%s, %s: %s", now.Outcome, now.EndReason, now.Error)
	}
	return c.ID, from.Request(http.MethodPost, "/calls/"+c.ID+"/hangup", struct{}{}, nil)
}

// before counts the calls that were begun before a moment.
func (s *setups) before(at time.Time) (n int) {
	for _, b := range s.begun {
		if b.Before(at) {
			n++
		}
	}
	return n
}
