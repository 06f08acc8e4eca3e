package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/peerd/peerd/cmd/peerd/internal/stormlab"
	"github.com/peerd/peerd/node/storm"
)

// stormFlags are the flags of "peerd storm".
type stormFlags struct {
	nodes, runs int
	processors  int
	steps       map[string]string
	scenario    string
	policies    []string
	without     []string
	seed        uint64
	plot        string
	replay      string
	trace       string
	traced      uint32
}

func (a *app) stormCommand() *cobra.Command {
	var f stormFlags
	cmd := &cobra.Command{
		Use:   "storm",
		Short: "Simulate an overlay whose nodes all restart at once",
		Long: `Runs the policy of the real node for up to millions of simulated nodes, through
one of the scenarios, and says how long it takes until all are back. With --plot
the baselines are drawn beside it.

Scenarios: ` + strings.Join(stormlab.ScenarioNames(), ", ") + `.
Policies: ` + strings.Join(stormlab.PolicyNames(), ", ") + `.
Mechanisms for --without: ` + strings.Join(storm.Mechanisms(), ", ") + `.`,
		Example: `  peerd storm --nodes 100000 --scenario warm
  peerd storm --scenario skype-2007 --without promotion
  peerd storm --scenario cold --plot cold.png`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.replay != "" {
				return a.replayStorm(f.replay)
			}
			return a.storm(cmd.Context(), f)
		},
	}
	cmd.Flags().IntVar(&f.nodes, "nodes", 10_000, "nodes")
	cmd.Flags().IntVar(&f.processors, "processors", 0, "have all nodes be processes of one machine with so many processors; 0: each has its own")
	cmd.Flags().StringToStringVar(&f.steps, "step", nil, "with --processors: what a step takes of one ("+strings.Join(stormlab.StepNames(), ", ")+"), as start=25ms")
	cmd.Flags().StringVar(&f.scenario, "scenario", "warm", "what happens")
	cmd.Flags().StringSliceVar(&f.policies, "policy", []string{string(stormlab.Ours)}, "what the nodes do; several are compared")
	cmd.Flags().StringSliceVar(&f.without, "without", nil, "switch a mechanism of our policy off")
	cmd.Flags().Uint64Var(&f.seed, "rand-seed", 1, "start of the random numbers: the same one gives the same run")
	cmd.Flags().IntVar(&f.runs, "runs", 1, "runs with seeds one after the other; the one with the median T99 is shown")
	cmd.Flags().StringVar(&f.trace, "trace", "", "write a trace of one node's policy into this file, of the last run")
	cmd.Flags().Uint32Var(&f.traced, "trace-node", 0, "whose; the first two are the bootstrap nodes")
	cmd.Flags().StringVar(&f.replay, "replay", "", "replay this trace, of a daemon's --storm-trace, instead: are all decisions the same?")
	cmd.Flags().StringVar(&f.plot, "plot", "", "draw all policies into this PNG file")
	return cmd
}

// storm runs each policy and shows what came out.
func (a *app) storm(ctx context.Context, f stormFlags) error {
	if f.runs < 1 {
		return usage(errors.New("--runs must be at least 1"))
	}
	model, err := stormModel(f)
	if err != nil {
		return usage(err)
	}
	names := f.policies
	if f.plot != "" && len(names) == 1 && len(f.without) == 0 {
		names = stormlab.PolicyNames()
	}
	var results []stormlab.Result
	for _, name := range names {
		r, err := a.stormRuns(ctx, f, model, name)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	if f.plot != "" {
		if err := stormlab.Draw(f.plot, results); err != nil {
			return err
		}
		a.note("drawn into %s", f.plot)
	}
	var shown any = results[0]
	if len(f.policies) > 1 {
		shown = results
	}
	return a.show(shown, func() { stormTable(a.Stdout, results) })
}

// stormModel is the model that the flags ask for.
func stormModel(f stormFlags) (stormlab.Model, error) {
	switch {
	case f.processors < 0:
		return stormlab.Model{}, errors.New("--processors must not be negative")
	case f.processors == 0 && len(f.steps) > 0:
		return stormlab.Model{}, errors.New("--step needs --processors")
	case f.processors == 0:
		return stormlab.DefaultModel(), nil
	}
	m := stormlab.OnMachine(f.processors)
	for name, takes := range f.steps {
		if err := m.SetStep(name, takes); err != nil {
			return m, err
		}
	}
	return m, nil
}

// stormRuns performs the runs of one policy and returns the one with the median T99.
func (a *app) stormRuns(ctx context.Context, f stormFlags, model stormlab.Model, policy string) (stormlab.Result, error) {
	var runs []stormlab.Result
	for i := range f.runs {
		o := stormlab.Options{
			Nodes: f.nodes, Scenario: f.scenario, Policy: policy, Without: f.without,
			Seed: f.seed + uint64(i), Model: model, Progress: a.stormProgress(policy),
		}
		if policy != string(stormlab.Ours) {
			o.Without = nil
		}
		if err := o.Check(); err != nil {
			return stormlab.Result{}, usage(err)
		}
		r, err := runTraced(ctx, o, f)
		a.endProgress()
		if err != nil {
			return stormlab.Result{}, err
		}
		runs = append(runs, r)
	}
	runtime.GC() // a million nodes make room for the next million
	slices.SortFunc(runs, func(x, y stormlab.Result) int { return cmp.Compare(late(x.T99), late(y.T99)) })
	return runs[len(runs)/2], nil
}

// late orders "never" last.
func late(t float64) float64 {
	if t < 0 {
		return 1e18
	}
	return t
}

func (a *app) onTerminal() bool {
	f, ok := a.Stderr.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// stormProgress shows how far a run is, on a terminal only.
func (a *app) stormProgress(policy string) func(time.Duration, int) {
	if !a.onTerminal() {
		return nil
	}
	var last time.Time
	return func(at time.Duration, back int) {
		if time.Since(last) > 200*time.Millisecond {
			last = time.Now()
			fmt.Fprintf(a.Stderr, "\r%-12s %6.1f s after the start, %d nodes back ", policy, at.Seconds(), back)
		}
	}
}

func (a *app) endProgress() {
	if a.onTerminal() {
		fmt.Fprint(a.Stderr, "\r\033[K")
	}
}

// stormTable prints results side by side.
func stormTable(out io.Writer, results []stormlab.Result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	row := func(name string, cell func(stormlab.Result) string) {
		fmt.Fprint(w, name)
		for _, r := range results {
			fmt.Fprint(w, "\t", cell(r))
		}
		fmt.Fprintln(w)
	}
	secs := func(v float64) string {
		if v < 0 {
			return "never"
		}
		return fmt.Sprintf("%.2f s", v)
	}
	first := results[0]
	fmt.Fprintf(w, "%s, %d nodes, seed %d\n", first.Scenario, first.Nodes, first.Seed)
	row("policy", func(r stormlab.Result) string { return r.Policy })
	row("back: 50 %", func(r stormlab.Result) string { return secs(r.T50) })
	row("90 %", func(r stormlab.Result) string { return secs(r.T90) })
	row("99 %", func(r stormlab.Result) string { return secs(r.T99) })
	row("all", func(r stormlab.Result) string { return secs(r.T100) })
	row("least possible (99 %)", func(r stormlab.Result) string { return secs(r.BoundS) })
	row("never back", func(r stormlab.Result) string { return fmt.Sprintf("%d of %d", r.NeverBack, r.Counted) })
	row("attempts per success", func(r stormlab.Result) string { return fmt.Sprintf("%.2f", r.AttemptsPerSuccess) })
	row("log-in connections per success", func(r stormlab.Result) string { return fmt.Sprintf("%.2f", r.DialsPerSuccess) })
	row("wasted per success", func(r stormlab.Result) string { return fmt.Sprintf("%.3f", r.WastedPerSuccess) })
	row("attempts at bootstrap nodes", func(r stormlab.Result) string { return fmt.Sprintf("%.1f %%", 100*r.BootstrapAttemptShare) })
	row("busiest node, of its capacity", func(r stormlab.Result) string { return fmt.Sprintf("%.0f %%", 100*r.PeakBusy) })
	row("queue, 99 %", func(r stormlab.Result) string { return fmt.Sprintf("%.1f ms", r.QueueP99MS) })
	row("goodput while overloaded", func(r stormlab.Result) string { return fmt.Sprintf("%.0f %%", 100*r.Goodput) })
	if slices.ContainsFunc(results, func(r stormlab.Result) bool { return r.Goodput < 1 }) {
		row("normal again after the load", func(r stormlab.Result) string { return secs(r.RecoveredS) })
	}
	row("servers enough again", func(r stormlab.Result) string { return secs(r.ServersBackS) })
	row("calls dropped", func(r stormlab.Result) string { return fmt.Sprintf("%d of %d", r.CallsDropped, r.Calls) })
	row("logged out over 5 s", func(r stormlab.Result) string { return fmt.Sprint(r.LoggedOutOver5s) })
	if first.EchoLoad > 0 {
		row("load one lifetime later", func(r stormlab.Result) string { return fmt.Sprintf("%.2f of the mean", r.EchoLoad) })
	}
	if first.ProcessorMS > 0 {
		row("processor time of a node", func(r stormlab.Result) string { return fmt.Sprintf("%.0f ms", r.ProcessorMS) })
	}
	row("simulated in", func(r stormlab.Result) string { return fmt.Sprintf("%.1f s", r.TookS) })
	m := first.Model
	fmt.Fprintf(w, "model: a log-in costs %.0f us (connection %.0f, record %.0f), a refusal %.0f us; %.2f cores serve: %.1f log-ins/s a server (k), %.1f the bootstrap nodes (c0)\n",
		m.CostWhole, m.CostLogIn, m.CostPut, m.CostRefuse, m.Capacity, m.K, m.C0)
	fmt.Fprintf(w, "able to serve %.0f %% (s), serving before %.0f %%, warm-up %.1f s (w), RTT %.0f ms, loss %.0f %%, caches dead %.0f %%, slow %.0f %%\n",
		100*m.S, 100*m.Serving, m.W, 1000*m.RTT, 100*m.Loss, 100*m.DeadCache, 100*m.Slow)
	if m.Processors > 0 {
		fmt.Fprintf(w, "processes of one machine with %d processors; us that a step takes:", m.Processors)
		for _, name := range stormlab.StepNames() {
			fmt.Fprintf(w, " %s %.0f", name, m.Steps[name])
		}
		fmt.Fprintln(w)
	}
}
