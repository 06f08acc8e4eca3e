//go:build !race

package storm_test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/analysis"
	"github.com/peerd/peerd/test/harness"
)

// ahead is the command that runs those who talk: in life each has a processor of its
// own, which the restart of others does not touch. It is nil, which is as good as
// this user may, where it is not allowed.
var ahead = sync.OnceValue(func() []string {
	line := []string{"chrt", "--rr", "10"}
	if exec.Command(line[0], append(line[1:], "true")...).Run() != nil {
		return nil
	}
	return line
})

// end is one end of a call that goes on.
type end struct {
	*harness.Daemon
	call    string
	samples []sample
	heard   harness.Recording
}

// sample is what an end tells of its sound at a moment.
type sample struct {
	at     time.Time
	madeUp time.Duration // of what was played since the call began
}

// talk is calls that go on while things happen.
type talk struct {
	t    *testing.T
	ends []*end // two of each call, one after the other
	stop context.CancelFunc
	done sync.WaitGroup
}

// voices are what callers and callees say again and again: no moment of it is silent.
var voices = sync.OnceValue(func() [2][]int16 { return [2][]int16{harness.Voice(10, 1), harness.Voice(10, 2)} })

// converse starts so many pairs of phones, which speak for so long at most, and
// connects them.
func converse(t *testing.T, pairs int, most time.Duration, boots []*harness.Daemon) *talk {
	t.Helper()
	talk := &talk{t: t}
	for i := range 2 * pairs {
		d := harness.Start(t, harness.Options{
			Name: fmt.Sprint("talker", i), Bootstrap: boots, Under: ahead(), Answer: "auto", Record: true,
			Speak: slices.Repeat(voices()[i%2], 1+int(most/(10*time.Second))), Args: []string{"--log-level", "info"},
		})
		d.AwaitLogin(t)
		d.Link = linkOf(t, d)
		talk.ends = append(talk.ends, &end{Daemon: d})
	}
	for i := 0; i < len(talk.ends); i += 2 {
		a, b := talk.ends[i], talk.ends[i+1]
		acquaint(t, a.Daemon, b.Daemon)
		a.call = a.Dial(t, b.Name())
		b.call = b.AwaitCall(t, "the call is answered", func(c harness.Call) bool { return c.State == "active" }).ID
	}
	for _, e := range talk.ends {
		e.AwaitCall(t, "the other is heard", func(c harness.Call) bool { return c.ID == e.call && c.AudioMS != nil })
	}
	ctx, stop := context.WithCancel(context.Background())
	talk.stop = stop
	for _, e := range talk.ends {
		talk.done.Go(func() { e.follow(ctx) })
	}
	t.Cleanup(talk.rest)
	return talk
}

// acquaint has two people exchange their contact links.
func acquaint(t *testing.T, a, b *harness.Daemon) {
	t.Helper()
	for _, p := range [][2]*harness.Daemon{{a, b}, {b, a}} {
		p[0].API(t, http.MethodPost, "/contacts", map[string]string{"name": p[1].Name(), "link": p[1].Link}, nil)
	}
}

// follow takes a sample each second.
func (e *end) follow(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var c harness.Call
		if e.Request(http.MethodGet, "/calls/"+e.call, nil, &c) == nil {
			e.samples = append(e.samples, sample{time.Now(), time.Duration(c.Stats.ConcealedRatio * c.DurationS * float64(time.Second))})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// rest ends the sampling.
func (talk *talk) rest() {
	talk.stop()
	talk.done.Wait()
}

// finish counts the ends of calls that are not what they were, and takes the
// recordings. The phones have ended then.
func (talk *talk) finish() (dropped int) {
	talk.t.Helper()
	talk.rest()
	until := time.Now()
	for _, e := range talk.ends {
		if c := e.Show(talk.t, e.call); c.State != "active" {
			talk.t.Errorf("%s: the call is %s: %s %s", e.Name(), c.State, c.EndReason, c.Error)
			dropped++
		}
	}
	for _, e := range talk.ends {
		e.heard = e.Heard(talk.t)
		e.heard.Audible(talk.t, "the last seconds at "+e.Name(), until.Add(-2*time.Second), until)
	}
	return dropped
}

// gaps tells, for every second of every end between two moments, for how long nothing
// was heard that the other had said: what the loudspeaker went without, for lack of
// processor or of packets, and what was made up in place of packets.
func (talk *talk) gaps(from, to time.Time) (all []time.Duration) {
	for _, e := range talk.ends {
		for i := 1; i < len(e.samples); i++ {
			was, now := e.samples[i-1], e.samples[i]
			if was.at.Before(from) || now.at.After(to) {
				continue
			}
			missing := max(0, now.madeUp-was.madeUp) + holes(e.heard.Between(was.at, now.at))
			all = append(all, time.Duration(float64(missing)/now.at.Sub(was.at).Seconds()))
		}
	}
	return all
}

// holes is how much of a recording is no sound at all, in pieces of a millisecond or more.
func holes(pcm []int16) (sum time.Duration) {
	for _, g := range analysis.Gaps(pcm, audio.SampleRate/1000) {
		sum += time.Duration(g.Len) * time.Second / audio.SampleRate
	}
	return sum
}
