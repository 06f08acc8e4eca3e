package stormlab

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/peerd/peerd/node/stormlab/memnet"
)

// Result is what a run showed. Times are in seconds, from each node's own start, and
// -1 where that many nodes were not back at the horizon.
type Result struct {
	Policy   string   `json:"policy"`
	Scenario Scenario `json:"scenario"`
	Boot     Boot     `json:"bootstrap_nodes"`
	Nodes    int      `json:"nodes"`
	HorizonS float64  `json:"horizon_s"`
	T50      float64  `json:"t50_s"`
	T90      float64  `json:"t90_s"`
	T99      float64  `json:"t99_s"`
	T100     float64  `json:"t100_s"`
	// SinceBoot is T99 counted from the return of the first bootstrap node instead, where
	// they start after the others; else 0.
	SinceBoot float64 `json:"t99_since_bootstrap_s,omitempty"`
	NeverBack int     `json:"never_back"`
	// OutBefore is how many nodes were not logged in before the restart.
	OutBefore int `json:"out_before"`
	// CPUMS, Messages and Dials are those of all hosts from the restart until the last
	// node was back, or the horizon, for each node that came back. The connections that
	// others open to read its record and to call it are not in them.
	CPUMS    float64 `json:"cpu_ms_per_login"`
	Messages float64 `json:"messages_per_login"`
	Dials    float64 `json:"dials_per_login"`
	// BootShare is the bootstrap nodes' share of the connections that were begun.
	BootShare float64 `json:"bootstrap_dial_share"`
	// BootPeak and Peak are the most work that came to a bootstrap node and to any
	// node in one second, over what its processor can do in a second.
	BootPeak float64 `json:"bootstrap_peak_busy"`
	Peak     float64 `json:"peak_busy"`
	// WaitMS is the wait for a processor, 99th percentile; exact to a factor of two.
	WaitMS float64 `json:"queue_p99_ms"`
	Lost   int     `json:"packets_lost_to_overload"`
	RealS  float64 `json:"real_s"`
	// Phases are the steps of a log-in of this project's node.
	Phases []Phase `json:"phases,omitempty"`
	// Slowest are the steps of those nodes that were back last.
	Slowest []string `json:"slowest,omitempty"`
	// Why says of a few nodes that did not come back what they lack.
	Why   []string `json:"why,omitempty"`
	Model Model    `json:"model"`
}

// Model is what the run assumed.
type Model struct {
	Servers   float64      `json:"s"`
	Bootstrap int          `json:"bootstrap"`
	RTT       float64      `json:"rtt_s"`
	Loss      float64      `json:"loss"`
	StartIn   float64      `json:"start_s"`
	Slow      float64      `json:"slow_share"`
	DeadCache float64      `json:"dead_cache"`
	Costs     memnet.Costs `json:"costs_ns"`
}

// whys is how many nodes that are not back are looked at.
const whys = 3

// slowest is how many of the nodes that were back last are told of.
const slowest = 4

// result sums up a run.
func (l *lab) result() Result {
	s := l.set
	r := Result{
		Policy: s.Policy, Scenario: s.Scenario, Boot: s.Boot, Nodes: s.Nodes, HorizonS: s.Horizon.Seconds(), OutBefore: l.outBefore,
		Model: Model{Servers: s.Serve, Bootstrap: s.Bootstrap, RTT: s.Links.RTT.Seconds(), Loss: s.Links.Loss, StartIn: s.StartIn.Seconds(), Slow: s.Slow, Costs: s.Costs},
	}
	if s.remembers() {
		r.Model.DeadCache = 0.5
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var times []time.Duration
	var journals []*journal
	var back []*member
	var uses []memnet.Use
	var busy time.Duration
	var sum, boot memnet.Count
	for _, m := range l.members {
		if !m.bootstrap && m.back >= 0 {
			times = append(times, m.back)
			back = append(back, m)
		}
		if m.host == nil {
			continue
		}
		if !m.bootstrap && m.back < 0 && m.process != nil && len(r.Why) < whys {
			r.Why = append(r.Why, fmt.Sprintf("node %d: %s; last call: %v", m.index, m.process.missing(), m.failed))
		}
		if !m.bootstrap {
			journals = append(journals, m.steps)
		}
		use, count := m.host.Use(), m.host.Count()
		uses = append(uses, use)
		busy += use.Busy
		sum.Sent += count.Sent
		sum.Dialled += count.Dialled
		sum.Accepted += count.Accepted + count.Refused
		sum.Lost += count.Lost
		r.Peak = max(r.Peak, use.Peak())
		if m.bootstrap {
			boot.Accepted += count.Accepted + count.Refused
			r.BootPeak = max(r.BootPeak, use.Peak())
		}
	}
	r.Phases = phases(journals)
	slices.SortFunc(back, func(a, b *member) int { return cmp.Compare(b.back, a.back) })
	for _, m := range back[:min(slowest, len(back))] {
		line := fmt.Sprintf("node %d, started after %.2f: %s", m.index, m.delay.Seconds(), m.steps.line())
		if m.failed != nil {
			line += fmt.Sprintf(", the last: %v", m.failed)
		}
		r.Slowest = append(r.Slowest, line)
	}
	slices.Sort(times)
	r.NeverBack = s.Nodes - len(times)
	r.T50, r.T90, r.T99, r.T100 = quantile(times, s.Nodes, 0.5), quantile(times, s.Nodes, 0.9), quantile(times, s.Nodes, 0.99), quantile(times, s.Nodes, 1)
	r.SinceBoot = l.sinceBoot(back)
	logins := float64(max(1, len(times)))
	r.CPUMS = busy.Seconds() * 1000 / logins
	r.Messages = float64(sum.Sent) / logins
	r.Dials = float64(sum.Dialled) / logins
	r.BootShare = float64(boot.Accepted) / float64(max(1, sum.Accepted))
	r.WaitMS = memnet.Wait(uses, 0.99).Seconds() * 1000
	r.Lost = sum.Lost
	return r
}

// Median returns the run of the median T99; where that many nodes were not back, T99 is
// later than any.
func Median(runs []Result) Result {
	sorted := slices.Clone(runs)
	late := func(r Result) float64 {
		if r.T99 < 0 {
			return math.Inf(1)
		}
		return r.T99
	}
	slices.SortStableFunc(sorted, func(a, b Result) int { return cmp.Compare(late(a), late(b)) })
	return sorted[len(sorted)/2]
}

// sinceBoot is the T99 counted from the return of the first bootstrap node, where they
// start after the others: without them a cold node knows nobody.
func (l *lab) sinceBoot(back []*member) float64 {
	first := l.members[0].delay
	for _, m := range l.members[:l.set.Bootstrap] {
		first = min(first, m.delay)
	}
	if first == 0 {
		return 0
	}
	var times []time.Duration
	for _, m := range back {
		times = append(times, max(0, m.delay+m.back-first))
	}
	slices.Sort(times)
	return quantile(times, l.set.Nodes, 0.99)
}

// quantile returns the time by which a share of all was back, or -1.
func quantile(sorted []time.Duration, all int, share float64) float64 {
	i := int(math.Ceil(share*float64(all))) - 1
	if i >= len(sorted) {
		return -1
	}
	return sorted[max(i, 0)].Seconds()
}

// Print writes results as a table, one line for each, with what the model assumes.
func Print(w io.Writer, results []Result) error {
	if len(results) == 0 {
		return nil
	}
	m := results[0].Model
	fmt.Fprintf(w, "model: %d bootstrap nodes, %.0f %% of the nodes can serve, %.0f %% are slow, all start within %.1f s,\n",
		m.Bootstrap, 100*m.Servers, 100*m.Slow, m.StartIn)
	fmt.Fprintf(w, "round trip %.0f ms +- 50 %%, loss %.0f %%, one processor each;\n", 1000*m.RTT, 100*m.Loss)
	fmt.Fprintf(w, "each end pays: handshake %v (dial) and %v (accept), refusal %v (reading it: %v), message %v, datagram %v\n",
		m.Costs.Dial, m.Costs.Accept, m.Costs.Refuse, m.Costs.Refused, m.Costs.Message, m.Costs.Datagram)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\tbootstrap\tN\tpolicy\tT50 s\tT90 s\tT99 s\tT100 s\tsince boot\tnever\tCPU-ms\tmessages\tdials\tboot share\tboot peak\tpeak\twait p99 ms\treal s\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%.1f\t%.0f\t%.1f\t%.0f %%\t%.2f\t%.2f\t%.1f\t%.1f\t\n",
			r.Scenario, r.Boot, r.Nodes, r.Policy, seconds(r.T50), seconds(r.T90), seconds(r.T99), seconds(r.T100),
			sinceBoot(r), r.NeverBack, r.CPUMS, r.Messages, r.Dials, 100*r.BootShare, r.BootPeak, r.Peak, r.WaitMS, r.RealS)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		printPhases(w, r)
		for _, why := range r.Why {
			fmt.Fprintf(w, "not back, %s %s %s: %s\n", r.Scenario, r.Boot, r.Policy, why)
		}
	}
	return nil
}

func sinceBoot(r Result) string {
	if r.SinceBoot == 0 {
		return ""
	}
	return seconds(r.SinceBoot)
}

func seconds(s float64) string {
	if s < 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", s)
}
