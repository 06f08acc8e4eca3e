package harness

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/analysis"
	"github.com/peerd/peerd/audio/wavfile"
)

// alike is the likeness from which on heard is held to be spoken; two voices
// are alike by less than 0.4.
const alike = 0.75

// Recording is what a loudspeaker played since the call was accepted.
type Recording struct {
	Sound []int16
	Start time.Time // of sample 0
}

// Heard stops the daemon and returns what its loudspeaker played.
func (d *Daemon) Heard(t testing.TB) Recording {
	t.Helper()
	d.Stop(t)
	pcm, err := wavfile.Load(d.out(), 600*audio.SampleRate)
	if err != nil {
		t.Fatalf("what %s heard: %v", d.opt.Name, err)
	}
	start, err := wavfile.ReadStart(d.out())
	if err != nil {
		t.Fatal(err)
	}
	return Recording{pcm, time.Unix(0, start.StartUnixNS)}
}

// Between returns what was played from one moment to another.
func (r Recording) Between(from, to time.Time) []int16 {
	sample := func(at time.Time) int {
		return min(max(0, int(at.Sub(r.Start)*audio.SampleRate/time.Second)), len(r.Sound))
	}
	return r.Sound[sample(from):max(sample(from), sample(to))]
}

// Is checks that the recording is the given speech, as far as it lasts, from the first
// sound on: what is said before the path is up is heard by nobody.
func (r Recording) Is(t testing.TB, spoken []int16) {
	t.Helper()
	tailRoom := audio.SampleRate // delay, and what was on the way when the call ended
	first := slices.IndexFunc(r.Sound, func(v int16) bool { return v > quiet || v < -quiet })
	last := min(len(spoken), len(r.Sound)-tailRoom)
	if first < 0 || last-first < tailRoom {
		t.Errorf("heard %d samples, the first sound at %d: too little to judge", len(r.Sound), first)
		return
	}
	got, pieces := likeness(spoken[first:last], r.Sound[first:])
	if got < alike {
		t.Errorf("heard is like spoken by %.3f in %d pieces, want %.2f; levels heard %v, spoken %v",
			got, pieces, alike, levels(r.Sound), levels(spoken[:min(len(spoken), len(r.Sound))]))
	}
}

// levels are the RMS of each half second: whether it is silence, late or something else.
func levels(pcm []int16) (list []int) {
	const half = audio.SampleRate / 2
	for ; len(pcm) >= half; pcm = pcm[half:] {
		list = append(list, int(analysis.RMS(pcm[:half])))
	}
	return list
}

// Silent checks that nothing was played from one moment to another.
func (r Recording) Silent(t testing.TB, what string, from, to time.Time) {
	t.Helper()
	pcm := r.Between(from, to)
	if len(pcm) == 0 {
		t.Errorf("%s: nothing was recorded then", what)
	} else if level := analysis.RMS(pcm); level > quiet {
		t.Errorf("%s: sound of level %.0f is heard", what, level)
	}
}

// Audible checks that something was played from one moment to another.
func (r Recording) Audible(t testing.TB, what string, from, to time.Time) {
	t.Helper()
	pcm := r.Between(from, to)
	if len(pcm) == 0 {
		t.Errorf("%s: nothing was recorded then", what)
	} else if level := analysis.RMS(pcm); level < 10*quiet {
		t.Errorf("%s: the level is %.0f", what, level)
	}
}

// quiet is the level, RMS of 16-bit samples, below which nobody hears a thing.
const quiet = 30.0

// AwaitPlayed waits until the loudspeaker has played for that long since the
// call was accepted.
func (d *Daemon) AwaitPlayed(t testing.TB, length time.Duration) {
	t.Helper()
	want := int64(length * audio.SampleRate / time.Second * 2) // bytes
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for {
		if f, err := os.Stat(d.out()); err == nil && f.Size() >= want {
			return
		}
		select {
		case <-tick.C:
		case <-d.ended:
			t.Fatalf("%s ended before it played %v", d.opt.Name, length)
		case <-limit:
			t.Fatalf("%s did not play %v within %v; calls: %+v", d.opt.Name, length, patience, d.Calls())
		}
	}
}

// Played is for how long the loudspeaker has played.
func (d *Daemon) Played(t testing.TB) time.Duration {
	t.Helper()
	f, err := os.Stat(d.out())
	if err != nil {
		t.Fatalf("what %s plays: %v", d.opt.Name, err)
	}
	return time.Duration(f.Size()/2) * time.Second / audio.SampleRate
}

// NeverPlayed checks that no loudspeaker was opened.
func (d *Daemon) NeverPlayed(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(d.out()); err == nil {
		t.Errorf("%s opened its loudspeaker", d.opt.Name)
	}
}
