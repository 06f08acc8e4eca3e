package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/analysis"
	"github.com/peerd/peerd/test/harness"
)

const (
	runs = 10               // of each figure
	talk = 10 * time.Second // of each call
	idle = 5 * time.Second  // to know what a daemon uses without a call
)

// figures are what the benchmarks of this run found.
var figures table

func TestMain(m *testing.M) {
	code := harness.Main(m)
	if out := os.Getenv("PEERD_BENCH_OUT"); out != "" && code == 0 && len(figures.rows) > 0 {
		if err := figures.write(out, os.Getenv("PEERD_BENCH_VERSION")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// keep reports a figure to the benchmark and to the document.
func keep(b *testing.B, what, unit string, bound float64, values []float64) {
	b.Helper()
	figures.add(what, unit, bound, values)
	b.ReportMetric(median(figures.rows[len(figures.rows)-1].values), strings.ReplaceAll(what, " ", "-")+"/"+strings.ReplaceAll(unit, " ", "-"))
}

// servers starts the two servers of the demo overlay.
func servers(b *testing.B) []*harness.Daemon {
	b.Helper()
	first := harness.Start(b, harness.Options{Name: "server-1", First: true, Role: "server"})
	first.AwaitOnline(b)
	second := harness.Start(b, harness.Options{Name: "server-2", Bootstrap: []*harness.Daemon{first}, Role: "server"})
	second.AwaitOnline(b)
	return []*harness.Daemon{first, second}
}

func BenchmarkStart(b *testing.B) {
	boot := servers(b)
	for b.Loop() {
		var online, serving, memory []float64
		for range runs {
			d := harness.Start(b, harness.Options{Name: "phone", Bootstrap: boot})
			serving = append(serving, ms(d.Served))
			d.AwaitLogin(b)
			online = append(online, ms(time.Since(d.Begun)))
			waitIdle(b, d)
			mb, err := residentMB(d.Pid())
			if err != nil {
				b.Fatal(err)
			}
			memory = append(memory, mb)
			d.Stop(b)
		}
		keep(b, "start to online", "ms", 1500, online)
		keep(b, "start to serving", "ms", 150, serving)
		keep(b, "resident memory, idle", "MB", 80, memory)
	}
}

// waitIdle lets a daemon settle, and returns what it uses idle, as a share of
// one processor.
func waitIdle(b *testing.B, d *harness.Daemon) float64 {
	b.Helper()
	before := used(b, d)
	<-time.After(idle) // measuring takes its time
	return float64(used(b, d)-before) / float64(idle)
}

func used(b *testing.B, d *harness.Daemon) time.Duration {
	b.Helper()
	t, err := cpuTime(d.Pid())
	if err != nil {
		b.Fatal(err)
	}
	return t
}

func BenchmarkCall(b *testing.B) {
	boot := servers(b)
	for b.Loop() {
		var f callFigures
		for i := range runs {
			f.measure(b, boot, uint64(i))
		}
		keep(b, "call to ringing", "ms", 100, f.ring)
		keep(b, "answer to first sound, caller", "ms", 120, f.soundCaller)
		keep(b, "answer to first sound, callee", "ms", 120, f.soundCallee)
		keep(b, "mouth to ear", "ms", 80, f.mouthToEar)
		keep(b, "concealed", "%", 0.5, f.concealed)
		keep(b, "processor per call and side", "% of one", 5, f.cpu)
	}
}

// callFigures collects what calls show.
type callFigures struct {
	ring, soundCaller, soundCallee, mouthToEar, concealed, cpu []float64
}

// measure makes one call between two phones just started.
func (f *callFigures) measure(b *testing.B, boot []*harness.Daemon, seed uint64) {
	b.Helper()
	phone := func(name string, seed uint64) *harness.Daemon {
		d := harness.Start(b, harness.Options{
			Name: name, Bootstrap: boot, Record: true,
			Speak: harness.Voice(int(talk.Seconds())+2, seed),
		})
		d.AwaitOnline(b)
		return d
	}
	alice, bob := phone("alice", 2*seed+1), phone("bob", 2*seed+2)
	alice.Run(b, 0, "contacts", "add", "bob", bob.Link)
	bob.Run(b, 0, "contacts", "add", "alice", alice.Link)
	idleShare := []float64{waitIdle(b, alice), waitIdle(b, bob)}

	call := alice.Go(b, "call", "bob", "--json")
	bob.AwaitState(b, "incoming", "ringing")
	bob.Run(b, 0, "answer")
	alice.AwaitPlayed(b, time.Second)
	begun, before := time.Now(), []time.Duration{used(b, alice), used(b, bob)}
	alice.AwaitPlayed(b, talk-time.Second)
	for i, d := range []*harness.Daemon{alice, bob} {
		share := float64(used(b, d)-before[i])/float64(time.Since(begun)) - idleShare[i]
		f.cpu = append(f.cpu, 100*share)
	}
	alice.Run(b, 0, "hangup")
	out := call.Call(0)
	in := bob.AwaitState(b, "incoming", "ended")
	f.ring = append(f.ring, *out.RingMS)
	f.soundCaller = append(f.soundCaller, *out.AudioMS)
	f.soundCallee = append(f.soundCallee, *in.AudioMS)
	f.concealed = append(f.concealed, 100*out.Stats.ConcealedRatio, 100*in.Stats.ConcealedRatio)

	heardByAlice, heardByBob := alice.Heard(b), bob.Heard(b)
	f.mouthToEar = append(f.mouthToEar,
		delay(b, alice.Spoken, heardByAlice.Start, heardByBob),
		delay(b, bob.Spoken, heardByBob.Start, heardByAlice))
}

// delay is mouth to ear in ms: how much later than it was spoken a sound was
// played, on one clock.
func delay(b *testing.B, spoken []int16, spokenFrom time.Time, heard harness.Recording) float64 {
	b.Helper()
	lag, ok := analysis.Delay(spoken, heard.Sound)
	if !ok {
		b.Fatal("nothing of what was spoken was heard")
	}
	return float64(lag)/audio.SampleRate*1000 + ms(heard.Start.Sub(spokenFrom))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
