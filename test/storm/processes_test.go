//go:build !race

package storm_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
)

// size is how large a storm of processes is.
type size struct {
	phones  int           // that restart, beside the two bootstrap nodes
	servers int           // of them
	calls   int           // that go on
	pairs   int           // of phones that set calls up
	setups  int           // in each storm, at least
	rounds  int           // storms
	horizon time.Duration // of each
	talk    time.Duration // the calls last no longer
}

func wanted() size {
	if soak() {
		return size{phones: 42, servers: 8, calls: 5, pairs: 2, setups: 20, rounds: storms(), horizon: 2 * time.Minute, talk: 6 * time.Minute}
	}
	return size{phones: 10, servers: 2, calls: 2, pairs: 1, setups: 5, rounds: 1, horizon: time.Minute, talk: 2 * time.Minute}
}

// storms is how many are asked for (make storm-processes STORMS=1).
func storms() int {
	if n, err := strconv.Atoi(os.Getenv("PEERD_STORMS")); err == nil && n > 0 {
		return n
	}
	return 5
}

// TestSoakProcessesComeBack kills all daemons but those that talk and those that set
// calls up, and starts them again at once: all come back, no call is dropped, and
// none fails to be set up. Half of those that restart are at another port then, as
// in the scenario "warm" of the laboratories. Beside it, the same calls while
// as many processes that have nothing to do with peerd use as much of the processors.
func TestSoakProcessesComeBack(t *testing.T) {
	s := &stage{t: t, size: wanted()}
	s.open()
	for i := range s.rounds {
		s.round(i)
	}
	if dropped := s.talk.finish(); dropped > 0 {
		t.Errorf("%d ends of calls were dropped", dropped)
	}
	s.tellGaps()
}

// stage is an overlay of processes with what goes on in it.
type stage struct {
	t *testing.T
	size
	free    ports
	fleet   *fleet
	callers *callers
	talk    *talk

	storm, load []span // of each round
}

// span is a piece of time.
type span struct{ from, to time.Time }

// open starts everybody, one after the other.
func (s *stage) open() {
	s.enrolAll()
	s.callers = callersOf(s.t, s.pairs, s.fleet.boots)
	s.talk = converse(s.t, s.calls, s.size.talk, s.fleet.boots)
	s.t.Logf("%d daemons restart, %d of them servers beside the 2 bootstrap nodes; %d set up calls, and %d talk, run by %q",
		len(s.fleet.members), s.servers, 2*s.pairs, 2*s.calls, ahead())
}

// enrolAll starts those that will restart.
func (s *stage) enrolAll() *fleet {
	s.t.Helper()
	s.t.Log(machine())
	s.fleet = &fleet{t: s.t, horizon: s.horizon}
	s.fleet.begin([2]harness.Options{{Name: "boot0", Port: s.free.take(s.t)}, {Name: "boot1", Port: s.free.take(s.t)}})
	for i := range s.phones {
		opt := harness.Options{Name: fmt.Sprint("phone", i), Bootstrap: s.fleet.boots, Port: s.free.take(s.t)}
		if i < s.servers {
			opt.Role = "server"
		}
		s.fleet.enrol(opt, false)
	}
	return s.fleet
}

// round is a storm, and a load of its size.
func (s *stage) round(i int) {
	s.fleet.settle()
	endSetups, endWatch, begun := s.callers.begin(s.setups), watch(s.fleet.boots), time.Now()
	s.fleet.kill()
	s.move(i)
	s.fleet.restart()
	allBack, spent, lasted := time.Now(), s.fleet.spent(), time.Since(begun)
	made := endSetups()
	s.storm = append(s.storm, span{begun, time.Now()})
	s.t.Logf("storm %d, %.1f s:\n%s", i+1, lasted.Seconds(), s.fleet.tells())
	for k, p := range endWatch() {
		s.t.Logf("bootstrap node %d: highest load %.2f, %d refusals, %.0f ms of a processor", k, p.load, p.refusals, millis(s.fleet.boots[k].ProcessorTime(s.t)))
	}
	for _, who := range s.fleet.left() {
		s.t.Errorf("not back: %s", who)
	}
	s.judge("the storm", made, made.before(allBack))

	s.fleet.settle()
	endSetups, begun = s.callers.begin(s.setups), time.Now()
	unrelated(s.t, len(s.fleet.members), spent)
	over := time.Now()
	made = endSetups()
	s.load = append(s.load, span{begun, time.Now()})
	s.t.Logf("a load of %d processes and %.1f s of processor time, %.1f s:", len(s.fleet.members), spent.Seconds(), over.Sub(begun).Seconds())
	s.judge("the load", made, made.before(over))
}

// move gives every second of the nodes another port, the one half in one storm and the
// other in the next: what others remember of them is dead. Bootstrap nodes stay.
func (s *stage) move(round int) {
	for k, m := range s.fleet.members {
		if !m.boot && k%2 == round%2 {
			m.Move(nil, s.free.take(s.t))
		}
	}
}

// judge tells what became of the calls that were set up during something.
func (s *stage) judge(what string, made *setups, during int) {
	s.t.Helper()
	s.t.Logf("%d calls set up, %d of them begun during %s, %d failed; dialling to first sound: median %.0f, p95 %.0f, most %.0f ms",
		len(made.begun), during, what, len(made.failed), millis(percentile(made.took, 0.5)), millis(percentile(made.took, 0.95)), millis(percentile(made.took, 1)))
	for _, err := range made.failed {
		s.t.Errorf("set up during %s: %v", what, err)
	}
}

// tellGaps tells what the calls lacked.
func (s *stage) tellGaps() {
	for _, of := range []struct {
		what  string
		spans []span
	}{{"in the storms", s.storm}, {"beside an unrelated load", s.load}} {
		var all []time.Duration
		for _, w := range of.spans {
			all = append(all, s.talk.gaps(w.from, w.to)...)
		}
		s.t.Logf("sound that a second lacked %s: p50 %.1f, p99 %.1f, most %.1f ms of %d seconds",
			of.what, millis(percentile(all, 0.5)), millis(percentile(all, 0.99)), millis(percentile(all, 1)), len(all))
	}
}
