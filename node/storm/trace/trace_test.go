package trace

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// record is the trace of a made-up node with a hard life: answers, refusals,
// questions and silence in no particular order.
func record(t testing.TB, steps int) string {
	t.Helper()
	var text bytes.Buffer
	r := NewRecorder[string](&text)
	rng := rand.New(rand.NewPCG(1, 2))
	someone := func() string { return fmt.Sprint("peer", rng.IntN(20)) }
	jc, gc := storm.DefaultJoinerConfig(), storm.DefaultGateConfig()
	jc.Copies, gc.Capacity = 12, 0.1
	var joiner storm.Joiner[string]
	var gate storm.Gate[string]
	var role storm.Role
	var answer storm.Answer[string]
	now, last := time.Millisecond, storm.Action[string]{}
	r.Start(now, &joiner, &jc, storm.Book[string]{Cached: []string{someone(), someone()}, Bootstrap: []string{"first"}})
	r.Open(now, &gate, &gc)
	r.Step(now, &joiner, &storm.Event[string]{Kind: storm.Started}, rng.Float64, nil)
	step := func(ev storm.Event[string]) {
		for _, a := range r.Step(now, &joiner, &ev, rng.Float64, nil) {
			if a.Kind == storm.Ask || a.Kind == storm.Dial {
				last = a
			}
		}
	}
	for i := range steps {
		now += time.Duration(rng.IntN(int(50 * time.Millisecond)))
		for range rng.IntN(20) {
			q := storm.Question[string]{From: someone(), Class: storm.Class(rng.IntN(storm.Classes)), Prefix: rng.Uint64() >> rng.IntN(64)}
			r.Ask(now, &gate, &q, rng.Float64(), &answer)
		}
		r.Saw(now, &role, answer.Verdict == storm.Wait)
		r.Promote(now, &role, rng.Float64(), 0)
		switch ev := (storm.Event[string]{Kind: storm.EventKind(rng.IntN(int(storm.Tick) + 1)), Peer: last.Peer}); {
		case ev.Kind == storm.Answered, last.Kind == storm.Ask && i%3 == 0:
			step(storm.Event[string]{Kind: storm.Answered, Peer: last.Peer, Answer: &answer})
		case ev.Kind == storm.Found:
			ev.Peers = []string{someone(), "", someone()}
			step(ev)
		case i%20 == 0:
			for _, p := range slices.Clone(joiner.Neighbours()) {
				step(storm.Event[string]{Kind: storm.Lost, Peer: p})
			}
		default:
			step(ev)
		}
		switch rng.IntN(5) {
		case 0:
			r.Joined(now, &gate, someone(), true)
		case 1:
			r.Left(now, &gate, someone())
		case 2:
			r.Spent(now, &gate, storm.LogIn, time.Millisecond)
		case 3:
			r.Finished(now, &gate, storm.LogIn, 2*time.Millisecond)
		case 4:
			r.Missed(now, &gate, storm.Presence)
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func lab() Lab[uint32] {
	return Lab[uint32]{
		Joiner: new(storm.Joiner[uint32]), Gate: new(storm.Gate[uint32]), Role: new(storm.Role),
		Peer:  func(n uint32) uint32 { return n + 100 },
		Until: func(storm.Moment) {},
	}
}

func TestSameInputsSameDecisions(t *testing.T) {
	t.Parallel()
	text := record(t, 2000)
	report, err := Replay(strings.NewReader(text), lab())
	if err != nil || !report.Same || report.Entries != strings.Count(text, "\n")-1 {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, d := range []string{"come", "wait", "silent", "ask", "dial", "find", "store", "wait-until", "serve"} {
		if report.Decisions[d] == 0 {
			t.Errorf("nothing in it was decided as %q: %v", d, report.Decisions)
		}
	}
}

// TestAChangedPolicyIsNoticed replays with constants that are not those of the
// recording, and traces that were changed.
func TestAChangedPolicyIsNoticed(t *testing.T) {
	t.Parallel()
	text := record(t, 300)
	for name, change := range map[string][2]string{
		"a constant of the joiner": {`"Copies":12`, `"Copies":12,"Stagger":250000001`},
		"a cost":                   {`"Capacity":0.1`, `"Capacity":0.1,"Refusal":160000`},
		"a mechanism":              {`"do":"open"`, `"do":"open","without":["slots"]`},
		"a decision":               {`{"do":"come"`, `{"do":"wait"`},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		report, err := Replay(strings.NewReader(changed), lab())
		if changed == text || err != nil || report.Same || report.Difference == nil {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
}

func TestWhatIsNoTraceIsRefusedInWords(t *testing.T) {
	t.Parallel()
	text := record(t, 3)
	head, rest, _ := strings.Cut(text, "\n")
	for name, c := range map[string][2]string{
		"empty":           {"", "nothing in it"},
		"only a header":   {head + "\n", "nothing in it"},
		"another file":    {"hello\n", "line 1: bad storm trace: it does not begin as one"},
		"a newer version": {strings.Replace(head, "1", "2", 1) + "\n" + rest, "of version 2"},
		"cut off":         {text[:len(text)-10], "unexpected EOF"},
		"a long line":     {head + "\n" + strings.Repeat(" ", maxLine+1), "65536 bytes"},
		"no start":        {head + "\n" + `{"at":1,"do":"tick"}`, "before the joiner was started"},
		"no gate":         {head + "\n" + `{"at":1,"do":"asked"}`, "before the gate was opened"},
		"nonsense":        {text + `{"at":1,"do":"dance"}`, "dance"},
		"a field more":    {text + `{"at":1,"do":"tick","mood":1}`, "mood"},
		"no such dice":    {text + `{"at":1,"do":"tick","drawn":[1]}`, "random number 1"},
		"before time":     {text + `{"at":-1,"do":"tick"}`, "below 0"},
		"no mechanism":    {head + "\n" + `{"at":1,"do":"open","without":["luck"]}`, "luck"},
		"a bad constant":  {head + "\n" + `{"at":1,"do":"start","config":{"Copies":-1}}`, "below 0"},
	} {
		report, err := Replay(strings.NewReader(c[0]), lab())
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c[1]) || report.Same {
			t.Errorf("%s: %+v, %v; want %q", name, report, err, c[1])
		}
	}
}

type full struct{ lines int }

var errFull = errors.New("full")

func (f *full) Write(b []byte) (int, error) {
	if f.lines--; f.lines < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestARecorderThatCannotWriteOnlyCalls(t *testing.T) {
	t.Parallel()
	r := NewRecorder[int](&full{lines: 2})
	cfg := storm.DefaultGateConfig()
	var gate storm.Gate[int]
	var answer storm.Answer[int]
	for range 3 {
		answer.Verdict = storm.Silent
		r.Open(1, &gate, &cfg)
		if r.Ask(1, &gate, &storm.Question[int]{}, 0, &answer); answer.Verdict != storm.Come {
			t.Errorf("verdict %v", answer.Verdict)
		}
	}
	if err := r.Err(); !errors.Is(err, errFull) {
		t.Errorf("error is %v", err)
	}
}

func TestPeersAndNetworksAreNotNamed(t *testing.T) {
	t.Parallel()
	text := record(t, 200)
	if i := strings.Index(text, "peer1"); i >= 0 {
		t.Errorf("a peer is named: %s", text[max(0, i-80):i+10])
	}
	for prefix, want := range map[uint64]uint64{0: 0, 1: 0x1001, 0xffff_ffff_ffff_f123: 0x1123} {
		if got := shorten(prefix); got != want {
			t.Errorf("%#x is kept as %#x", prefix, got)
		}
	}
}

// FuzzReplay holds that whatever a file says, a replay ends, with an error or without.
func FuzzReplay(f *testing.F) {
	text := record(f, 5)
	f.Add([]byte(text))
	f.Add([]byte(text[:len(text)/2]))
	head, _, _ := strings.Cut(text, "\n")
	f.Add([]byte(head + "\n" + `{"at":1,"do":"open","config":{"Capacity":0,"Burst":9223372036854775807}}` + "\n" + `{"at":2,"do":"asked","class":200,"drawn":[0.5]}`))
	f.Add([]byte(head + "\n" + `{"at":9223372036854775807,"do":"start","config":{"Copies":0,"Want":1000000000}}` + "\n" + `{"at":2,"do":"found","peers":[0,0,0]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		report, err := Replay(bytes.NewReader(data), lab())
		if report.Same && (err != nil || report.Difference != nil || report.Entries == 0) {
			t.Errorf("%+v, %v", report, err)
		}
	})
}
