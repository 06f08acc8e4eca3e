package stormlab

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peerd/peerd/node"
)

// Phase is one step of a log-in: how long after its own start a node had taken it for
// the first time, in seconds, over all nodes that took it.
type Phase struct {
	Name  string  `json:"name"`
	Nodes int     `json:"nodes"`
	T50   float64 `json:"t50_s"`
	T90   float64 `json:"t90_s"`
	T99   float64 `json:"t99_s"`
}

// The steps, in the order in which they are usually taken, and the messages of the
// node's log that tell of them. The last two are not logged: the lab knows them.
var steps = []struct{ name, message string }{
	{"told to come", "question answered"},
	{"connected, identified", "joined a server"},
	{"snapshot of neighbours", "snapshot taken"},
	{"holders found", "holders found"},
	{"first holder has the records", "records given"},
	{"reachability proven", "reachability proven"},
	{"online by its own word", ""},
	{"found by a third node", ""},
}

// journal notes when a node took each step first, read off its log.
type journal struct {
	began time.Time
	mu    sync.Mutex
	taken map[string]time.Duration
	calls int // in vain
}

func newJournal(began time.Time) *journal {
	return &journal{began: began, taken: make(map[string]time.Duration)}
}

var _ slog.Handler = (*journal)(nil)

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }

func (j *journal) WithAttrs([]slog.Attr) slog.Handler { return j }

func (j *journal) WithGroup(string) slog.Handler { return j }

// Handle reads one line of the log. One that says that a step failed does not count.
func (j *journal) Handle(_ context.Context, r slog.Record) error {
	ok := true
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "come", "stored":
			ok = a.Value.Bool()
		case "state":
			ok = a.Value.String() != string(node.ReachUnknown)
		}
		return ok
	})
	for _, s := range steps {
		if ok && s.message != "" && s.message == r.Message {
			j.note(s.name)
		}
	}
	return nil
}

func (j *journal) note(step string) { j.noteAt(step, time.Since(j.began)) }

func (j *journal) noteAt(step string, at time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.taken[step]; !known {
		j.taken[step] = at
	}
}

// vain counts a call that found nobody.
func (j *journal) vain() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls++
}

// line is the whole journal in one line, in seconds.
func (j *journal) line() string {
	var parts []string
	for _, s := range steps {
		if d, ok := j.at(s.name); ok {
			parts = append(parts, fmt.Sprintf("%s %.2f", s.name, d.Seconds()))
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return fmt.Sprintf("%s; %d calls in vain", strings.Join(parts, ", "), j.calls)
}

func (j *journal) at(step string) (time.Duration, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d, ok := j.taken[step]
	return d, ok
}

// phases sums the journals up.
func phases(journals []*journal) []Phase {
	var out []Phase
	for _, s := range steps {
		var times []time.Duration
		for _, j := range journals {
			if d, ok := j.at(s.name); ok {
				times = append(times, d)
			}
		}
		slices.Sort(times)
		if n := len(times); n > 0 {
			out = append(out, Phase{s.name, n, quantile(times, n, 0.5), quantile(times, n, 0.9), quantile(times, n, 0.99)})
		}
	}
	return out
}

// printPhases writes the steps of one run, where they are known.
func printPhases(w io.Writer, r Result) {
	if len(r.Phases) < 2 {
		return
	}
	fmt.Fprintf(w, "steps of a log-in, %s %s %s, N = %d (nodes, T50, T90, T99 in s):\n", r.Scenario, r.Boot, r.Policy, r.Nodes)
	for _, p := range r.Phases {
		fmt.Fprintf(w, "  %-30s %4d  %s  %s  %s\n", p.Name, p.Nodes, seconds(p.T50), seconds(p.T90), seconds(p.T99))
	}
	for _, line := range r.Slowest {
		fmt.Fprintf(w, "  slow: %s\n", line)
	}
}
