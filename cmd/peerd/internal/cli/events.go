package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

func (a *app) eventsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "events",
		Short: "Print the present state and then every change",
		Long: `Prints the present state and then every change, one line each, until Ctrl-C or
the daemon's end. With --json each line is an object.`,
		Example: "  peerd events\n  peerd events --json | jq 'select(.type == \"call\") | .call.state'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.followEvents(cmd.Context()) },
	}
}

func (a *app) followEvents(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	w, err := c.Watch(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		e, err := w.Next()
		switch {
		case ctx.Err() != nil || errors.Is(err, context.Canceled):
			return nil
		case errors.Is(err, io.EOF):
			return hinted(errorf("the event stream ended"), "start peerd events again: it begins with the present state")
		case err != nil:
			return err
		}
		if err := a.printEvent(e); err != nil {
			return err
		}
		if e.Type == localapi.EventClosed {
			return nil
		}
	}
}

func (a *app) printEvent(e localapi.Event) error {
	if a.json {
		return a.line(e)
	}
	_, err := fmt.Fprintf(a.Stdout, "%s %-15s %s\n", e.Time.Local().Format("15:04:05.000"), e.Type, describe(e))
	return err
}

// describe says in a line what an event is about.
func describe(e localapi.Event) string {
	switch {
	case e.State != nil:
		return fmt.Sprintf("%s, %d contacts, %d calls", e.State.Status.State, len(e.State.Contacts), len(e.State.Calls))
	case e.Status != nil:
		return fmt.Sprintf("%s, %d peers, reachable %s", e.Status.State, e.Status.Overlay.Peers, e.Status.Reachable)
	case e.Call != nil && e.Digit != "":
		return short(e.Call.ID) + " " + nameOf(e.Call.Remote) + " pressed " + e.Digit
	case e.Call != nil:
		return fmt.Sprintf("%s %s %s %s %s", short(e.Call.ID), e.Call.Direction, nameOf(e.Call.Remote), e.Call.State, e.Call.EndReason)
	case e.Contact != nil:
		return e.Contact.Name + " " + e.Contact.Presence.State
	default:
		return e.Message
	}
}
