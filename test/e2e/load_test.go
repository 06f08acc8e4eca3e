package e2e_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
)

// soak says that the full load is asked for (make soak), on a machine that does
// nothing else. Otherwise these tests are small and judge no time.
func soak() bool { return os.Getenv("PEERD_SOAK") != "" }

func sized(full, small int) int {
	if soak() {
		return full
	}
	return small
}

// spare is how many goroutines and files more than before may be held after
// the load: connections of the overlay come and go meanwhile.
const spare = 4

// loadPhone is a phone of a small overlay of its own that speaks a tone. It is
// built without the race detector: its speed is what is looked at.
func loadPhone(name, answer string, join ...*harness.Daemon) harness.Options {
	opt := harness.Options{
		Name: name, Answer: answer, Plain: true, Bootstrap: join,
		Args: []string{"--audio", "tone", "--max-calls", "100", "--log-level", "info"},
	}
	if len(join) == 0 {
		opt.First, opt.Role = true, "server"
	}
	return opt
}

// office starts a callee and callers who have it in their contacts, and has
// each call it once, so that everything is there that the first call makes.
func office(t *testing.T, answer string, callers int) (callee *harness.Daemon, phones []*harness.Daemon) {
	t.Helper()
	callee = harness.Start(t, loadPhone("bob", answer))
	callee.AwaitOnline(t)
	for i := range callers {
		phones = append(phones, harness.Start(t, loadPhone(fmt.Sprint("caller", i), "ask", callee)))
	}
	for _, p := range phones {
		p.AwaitOnline(t)
		acquaint(t, p, callee)
		id := p.Dial(t, "bob")
		awaitSound(t, p, id)
		p.Hangup(t, id)
		p.AwaitEnd(t, id)
		callee.AwaitEnd(t, id)
	}
	return callee, phones
}

// holdings are what daemons hold before a load.
func holdings(t *testing.T, phones []*harness.Daemon) []harness.Held {
	t.Helper()
	var all []harness.Held
	for _, p := range phones {
		all = append(all, p.AwaitSteady(t))
	}
	return all
}

// nothingLeft waits until each holds again what it did.
func nothingLeft(t *testing.T, phones []*harness.Daemon, before []harness.Held) {
	t.Helper()
	for i, p := range phones {
		after := p.AwaitHolds(t, before[i], spare)
		t.Logf("%s: goroutines %d before, %d after; files %d before, %d after",
			p.Name(), before[i].Goroutines, after.Goroutines, before[i].Files, after.Files)
	}
}

func TestSoakCallsOneAfterAnotherLeaveNothingBehind(t *testing.T) {
	calls := sized(200, 20)
	callee, phones := office(t, "auto", 1)
	a, both := phones[0], []*harness.Daemon{phones[0], callee}
	before := holdings(t, both)
	begun := time.Now()
	var ring, sound []float64
	for range calls {
		id := a.Dial(t, "bob")
		awaitSound(t, callee, id)
		c := awaitSound(t, a, id)
		ring, sound = append(ring, *c.RingMS), append(sound, *c.AudioMS)
		a.Hangup(t, id)
		ended(t, a, id, "answered", "hangup", "local")
		ended(t, callee, id, "answered", "hangup", "remote")
	}
	t.Logf("%d calls in %.1f s: dial to ringing %s ms, answer to first sound %s ms",
		calls, time.Since(begun).Seconds(), spread(ring), spread(sound))
	nothingLeft(t, both, before)
}

func TestSoakManyCallsAtOnceIntoAnEchoNode(t *testing.T) {
	atOnce(t, "echo", sized(50, 20), 2)
}

func TestSoakManyCallsAtOnceWithTranscoding(t *testing.T) {
	atOnce(t, "auto", sized(10, 5), 1)
}

// atOnce has all callers together make so many calls to one callee, which all
// talk at the same time.
func atOnce(t *testing.T, answer string, calls, callers int) {
	t.Helper()
	callee, phones := office(t, answer, callers)
	everybody := append([]*harness.Daemon{callee}, phones...)
	before := holdings(t, everybody)
	by := make(map[string]*harness.Daemon)
	begun := time.Now()
	for i := range calls {
		p := phones[i%len(phones)]
		by[p.Dial(t, "bob")] = p
	}
	var set, ring []float64
	for id, p := range by {
		c := awaitSound(t, p, id)
		set, ring = append(set, *c.RingMS+*c.AudioMS), append(ring, *c.RingMS)
	}
	t.Logf("%d calls stand %.2f s after the first was dialled; dial to ringing %s ms, and to first sound %s ms",
		calls, time.Since(begun).Seconds(), spread(ring), spread(set))
	t.Logf("%d frames late while the calls were set up", lateFrames(t, by, callee))
	used := processorTime(t, everybody)
	began, watched := time.Now(), harness.WatchMachine()
	talked := talkTogether(t, by)
	for i, now := range processorTime(t, everybody) {
		t.Logf("%s used %.0f %% of a core", everybody[i].Name(), 100*(now-used[i]).Seconds()/time.Since(began).Seconds())
	}
	report(t, by, callee, talked, watched())
	for id, p := range by {
		p.Hangup(t, id)
	}
	for id, p := range by {
		ended(t, p, id, "answered", "hangup", "local")
		ended(t, callee, id, "answered", "hangup", "remote")
	}
	nothingLeft(t, everybody, before)
}

func processorTime(t *testing.T, phones []*harness.Daemon) []time.Duration {
	t.Helper()
	var all []time.Duration
	for _, p := range phones {
		all = append(all, p.ProcessorTime(t))
	}
	return all
}

// talkTogether waits until every call has sent for ten seconds, or for two
// where only the set-up is looked at.
func talkTogether(t *testing.T, by map[string]*harness.Daemon) time.Duration {
	t.Helper()
	length := time.Duration(sized(10, 2)) * time.Second
	frames := uint64(length / (20 * time.Millisecond))
	for id, p := range by {
		p.AwaitShown(t, id, "has talked for "+length.String(), func(c harness.Call) bool { return c.Stats.PacketsSent >= frames })
	}
	return length
}

// report adds up the figures of both ends while all calls are live. What is late on a
// machine that was slow for so long meanwhile is not judged.
func report(t *testing.T, by map[string]*harness.Daemon, callee *harness.Daemon, talked, slow time.Duration) {
	t.Helper()
	late := lateFrames(t, by, callee)
	var sent, back, lost uint64
	for id, p := range by {
		here, there := p.Show(t, id), callee.Show(t, id)
		sent += here.Stats.PacketsSent
		back += here.Stats.PacketsReceived
		lost += here.Stats.PacketsLost + there.Stats.PacketsLost
		if here.State != "active" || there.State != "active" {
			t.Errorf("after %v of talk call %s is %s here and %s there", talked, id, here.State, there.State)
		}
	}
	t.Logf("%d calls talked for %v at the same time: %d packets sent, %d came back, %d lost, %d frames late",
		len(by), talked, sent, back, lost, late)
	if back < sent*9/10 {
		t.Errorf("of %d packets sent, the callee sent back %d", sent, back)
	}
	switch {
	case late == 0 || !soak():
	case slow > 20*time.Millisecond:
		t.Logf("not judged: the machine's own processors ran at less than a quarter of their speed for %v", slow.Round(time.Millisecond))
	default:
		t.Errorf("%d frames were late for lack of CPU", late)
	}
}

// lateFrames adds up the frames of both ends that left late so far.
func lateFrames(t *testing.T, by map[string]*harness.Daemon, callee *harness.Daemon) (late uint64) {
	t.Helper()
	for id, p := range by {
		late += p.Show(t, id).Stats.LateFrames + callee.Show(t, id).Stats.LateFrames
	}
	return late
}

// spread is the median and the highest of some figures, as text.
func spread(figures []float64) string {
	slices.Sort(figures)
	return fmt.Sprintf("median %.0f, most %.0f", figures[len(figures)/2], figures[len(figures)-1])
}
