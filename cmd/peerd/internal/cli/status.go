package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

func (a *app) statusCommand() *cobra.Command {
	var wait string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether the daemon is logged in, and what is missing",
		Long: `Shows whether the daemon is logged in, and what is missing: "starting" and
"offline" have a line for each thing, with the reason. With "online" others can
find and call this phone. Each address has this node's id at its end: such a
whole address is what --bootstrap takes on another machine.`,
		Example: `  peerd status
  peerd status --wait online --timeout 30s --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := a.statusWaiting(cmd.Context(), wait, timeout)
			if st.State == "" {
				return err
			}
			return errors.Join(a.show(st, func() { a.printStatus(st) }), err)
		},
	}
	cmd.Flags().StringVar(&wait, "wait", "", "wait until the state is this: online, offline or starting")
	timeout = 30 * time.Second
	cmd.Flags().Var(&duration{&timeout}, "timeout", "how long --wait waits, the daemon's start included")
	return cmd
}

func (a *app) statusWaiting(ctx context.Context, wait string, timeout time.Duration) (localapi.Status, error) {
	if wait == "" {
		return ask(ctx, a, func(ctx context.Context, c *localapi.Client) (localapi.Status, error) {
			return c.Status(ctx)
		})
	}
	states := []string{localapi.StateOnline, localapi.StateOffline, localapi.StateStarting}
	if !slices.Contains(states, wait) {
		return localapi.Status{}, usage(errorf("--wait is %q: it must be one of %s", wait, strings.Join(states, ", ")))
	}
	c, err := a.clientWaiting(timeout)
	if err != nil {
		return localapi.Status{}, err
	}
	return awaitState(ctx, c, wait, timeout)
}

// awaitState watches the daemon until it is in the state, and returns the last
// status seen also where that was not in time.
func awaitState(ctx context.Context, c *localapi.Client, state string, timeout time.Duration) (localapi.Status, error) {
	late := hinted(errorf("the daemon was not %s within %v", state, timeout), "what is missing says why; peerd events shows changes as they come")
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, late)
	defer cancel()
	var last localapi.Status
	for {
		err := watchStatus(ctx, c, func(st localapi.Status) bool {
			last = st
			return st.State == state
		})
		switch {
		case err == nil:
			return last, nil
		case errors.Is(err, io.EOF): // cut off, or the daemon went: watch again
			wait(ctx, lookAgain)
		case errors.Is(err, localapi.ErrNoDaemon), errors.Is(context.Cause(ctx), late) && last.State == "":
			return last, localapi.ErrNoDaemon
		case context.Cause(ctx) != nil:
			return last, context.Cause(ctx)
		default:
			return last, err
		}
	}
}

// lookAgain is the pause before the daemon is asked again for what has not come.
const lookAgain = 50 * time.Millisecond

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// watchStatus hands every status to f until it is satisfied.
func watchStatus(ctx context.Context, c *localapi.Client, f func(localapi.Status) bool) error {
	w, err := c.Watch(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		e, err := w.Next()
		if err != nil {
			return err
		}
		st := e.Status
		if e.State != nil {
			st = &e.State.Status
		}
		if st != nil && f(*st) {
			return nil
		}
	}
}

// describeOverlay says in a line how this node stands among the others.
func describeOverlay(o localapi.Overlay) string {
	text := fmt.Sprintf("%d peers, as %s", o.Peers, o.Role)
	if o.Role == "server" {
		text += fmt.Sprintf(", load %.0f %%, %d refused", 100*o.Load, o.Refusals)
	}
	if o.Storm {
		text += "; a storm: more want to join than are let in"
	}
	return text
}

func (a *app) printStatus(st localapi.Status) {
	state := st.State
	if st.Alone {
		state += " (alone: the only node of this overlay)"
	}
	login := fmt.Sprintf("published %s, %d acknowledged", yesNo(st.Login.Published), st.Login.Acks)
	if st.Login.TookMS > 0 {
		login += fmt.Sprintf(", took %d ms", st.Login.TookMS)
	}
	rows := [][2]string{
		{"state", state},
		{"account", st.Account},
		{"device", st.Device + " (" + st.Name + ")"},
		{"reachable", st.Reachable},
		{"overlay", describeOverlay(st.Overlay)},
		{"login", login},
		{"calls", strconv.Itoa(st.Calls) + " in progress, incoming: " + st.Answer},
		{"sound", st.Audio},
	}
	for _, m := range st.Login.Missing {
		rows = append(rows, [2]string{"missing", m.What + ", since " + ago(&m.Since) + ": " + m.Why})
	}
	for _, addr := range st.Addresses {
		rows = append(rows, [2]string{"address", addr})
	}
	pairs(a.Stdout, rows...)
}
