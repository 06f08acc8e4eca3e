package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/peerd/peerd/cmd/peerd/internal/stormlab"
	"github.com/peerd/peerd/node/storm/trace"
)

// errDecidedOtherwise: a trace does not replay to the same decisions.
var errDecidedOtherwise = errors.New("this program decides otherwise than the one that recorded the trace")

// replayStorm replays a trace and says whether all decisions are the same.
func (a *app) replayStorm(file string) error {
	in, err := os.Open(file)
	if err != nil {
		return errorf("storm trace: %w", err)
	}
	defer in.Close()
	report, err := stormlab.Replay(in)
	if err != nil {
		return errorf("%s: %w", file, err)
	}
	if err := a.show(report, func() { a.sayReplay(report) }); err != nil {
		return err
	}
	if !report.Same {
		return hinted(errDecidedOtherwise, "the storm policy, or one of its constants, has changed since")
	}
	return nil
}

// runTraced runs a simulation, with a trace if one is asked for.
func runTraced(ctx context.Context, o stormlab.Options, f stormFlags) (r stormlab.Result, err error) {
	if f.trace == "" {
		return stormlab.Run(ctx, o)
	}
	file, err := os.Create(f.trace)
	if err != nil {
		return r, errorf("storm trace: %w", err)
	}
	out := bufio.NewWriter(file)
	defer func() { err = errors.Join(err, out.Flush(), file.Close()) }()
	o.Trace, o.Traced = out, f.traced
	return stormlab.Run(ctx, o)
}

func (a *app) sayReplay(r trace.Report) {
	var made []string
	for _, kind := range slices.Sorted(maps.Keys(r.Decisions)) {
		made = append(made, fmt.Sprintf("%s %d", kind, r.Decisions[kind]))
	}
	a.say("%d entries of %.1f s replayed: %s", r.Entries, r.Span, strings.Join(made, ", "))
	if r.Same {
		a.say("all decisions are the same, byte for byte")
		return
	}
	a.say("line %d is the first that comes out otherwise:\n recorded: %s\n replayed: %s",
		r.Difference.Line, r.Difference.Recorded, r.Difference.Replayed)
}
