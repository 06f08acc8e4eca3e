package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

func (a *app) callsCommand() *cobra.Command {
	var last int
	cmd := &cobra.Command{
		Use:   "calls",
		Short: "List the calls in progress and the last ones",
		Example: `  peerd calls
  peerd calls --last 0 --json      all of them
  peerd calls show 3f2a --watch`,
		Args: func(cmd *cobra.Command, args []string) error {
			if last < 0 {
				return errorf("--last is %d: it must be a number of calls, 0 for all", last)
			}
			return noneSuch(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			calls, err := ask(cmd.Context(), a, func(ctx context.Context, c *localapi.Client) ([]localapi.Call, error) {
				return c.Calls(ctx, last)
			})
			if err != nil {
				return err
			}
			return a.show(calls, func() { a.printCalls(calls) })
		},
	}
	cmd.Flags().IntVar(&last, "last", 20, "how many; 0 is all")
	cmd.AddCommand(a.callsShow())
	return cmd
}

func (a *app) printCalls(calls []localapi.Call) {
	var rows [][]string
	for _, c := range calls {
		rows = append(rows, []string{short(c.ID), clock(c.Started), c.Direction, stateOf(c), lengthOf(c), nameOf(c.Remote)})
	}
	a.table("no calls yet", "ID STARTED DIRECTION STATE DURATION WITH", rows)
}

// stateOf says in a word or two how a call is, or how it ended.
func stateOf(c localapi.Call) string {
	switch {
	case c.Outcome == "":
		return c.State
	case cutOff(c):
		return "cut off"
	default:
		return plain(c.Outcome)
	}
}

// wholeState is stateOf with the reason for the end.
func wholeState(c localapi.Call) string {
	state := stateOf(c)
	switch {
	case c.State != localapi.CallEnded:
		return state
	case c.EndedBy == "":
		return "ended: " + state + " when the daemon here was killed"
	case state == plain(c.EndReason):
		return fmt.Sprintf("ended: %s by %s", reasonOf(c), c.EndedBy)
	}
	return fmt.Sprintf("ended: %s by %s (%s)", reasonOf(c), c.EndedBy, state)
}

// lengthOf is how long people have talked. Of a call that was not answered there
// is nothing to tell, and of one in which this daemon was killed nobody knows.
func lengthOf(c localapi.Call) string {
	if c.Answered == nil || c.State == localapi.CallEnded && c.EndedBy == "" {
		return "-"
	}
	return seconds(c.DurationS)
}

// endOf says how a call ended.
func endOf(c localapi.Call) string {
	end := fmt.Sprintf("ended: %s (%s)", plain(c.EndReason), c.EndedBy)
	if c.Answered != nil {
		end += " after " + seconds(c.DurationS)
	}
	return end
}

func (a *app) callsShow() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show all about one call",
		Long:    "Shows all about one call; the beginning of its ID will do. With --watch it shows\nit again every second until the call has ended.",
		Example: "  peerd calls show 3f2a --watch",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.showCall(cmd.Context(), args[0], watch)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "again every second until the call has ended")
	return cmd
}

func (a *app) showCall(ctx context.Context, id string, watch bool) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		call, err := ask(ctx, a, func(ctx context.Context, c *localapi.Client) (localapi.Call, error) {
			return c.Call(ctx, id)
		})
		if err != nil {
			return err
		}
		if err := a.show(call, func() { a.printCall(call) }); err != nil {
			return err
		}
		if !watch || call.State == localapi.CallEnded {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil // watching has no other end
		case <-tick.C:
			if !a.json {
				a.say("")
			}
		}
	}
}

func (a *app) printCall(c localapi.Call) {
	s := c.Stats
	rows := [][2]string{
		{"call", c.ID},
		{"with", nameOf(c.Remote) + ", " + c.Direction},
		{"state", wholeState(c)},
		{"started", clock(c.Started)},
		{"duration", lengthOf(c)},
		{"times", fmt.Sprintf("look-up %s, ringing %s, answer to sound %s", ms(c.LookupMS), ms(c.RingMS), ms(c.AnswerToAudioMS))},
		{"path", c.Path},
		{"words", c.Words},
		{"held", fmt.Sprintf("here %s, there %s, muted %s", yesNo(c.Held), yesNo(c.RemoteHeld), yesNo(c.Muted))},
		{"packets", fmt.Sprintf("%d sent, %d received, %d lost, %d late", s.PacketsSent, s.PacketsReceived, s.PacketsLost, s.PacketsLate)},
		{"sound", fmt.Sprintf("%.2f %% concealed, playout delay %.0f ms, jitter %.1f ms, round trip %.1f ms",
			100*s.ConcealedRatio, s.PlayoutDelayMS, s.JitterMS, s.RTTMS)},
		{"late", fmt.Sprintf("%d underruns, %d frames", s.Underruns, s.LateFrames)},
	}
	for _, chain := range s.Chain {
		rows = append(rows, [2]string{"chain", chain})
	}
	pairs(a.Stdout, rows...)
}
