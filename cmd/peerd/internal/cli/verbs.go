package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

// callVerbs are the commands that do something to a call of this daemon. They
// differ in nothing but their words.
func (a *app) callVerbs() []*cobra.Command {
	return []*cobra.Command{
		a.verb("answer", "Answer the call that rings here", "answered"),
		a.verb("reject", "Decline the call that rings here", "declined"),
		a.verb("hangup", "End a call, in whatever state it is", "hung up"),
		a.verb("hold", "Put the other end on hold", "holding"),
		a.verb("resume", "Take the other end off hold", "resumed"),
		a.verb("mute", "Turn my microphone off in a call", "muted"),
		a.verb("unmute", "Turn my microphone on again", "unmuted"),
		a.dtmfCommand(),
	}
}

const whichCall = "Without an ID it is the only call that this can be done to. The beginning of an\nID will do; peerd calls lists them."

func (a *app) verb(name, short, done string) *cobra.Command {
	return &cobra.Command{
		Use:     name + " [ID]",
		Short:   short,
		Long:    short + ".\n\n" + whichCall,
		Example: "  peerd " + name + "\n  peerd " + name + " 3f2a",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.doneTo(cmd.Context(), done, func(ctx context.Context, c *localapi.Client) (localapi.Call, error) {
				return c.Control(ctx, name, optional(args))
			})
		},
	}
}

func (a *app) dtmfCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "dtmf DIGITS [ID]",
		Short:   "Press keys (0-9, *, #, A-D) in a call",
		Long:    "Presses keys (0-9, *, #, A-D) in a call.\n\n" + whichCall,
		Example: "  peerd dtmf 123#",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.doneTo(cmd.Context(), "sent "+args[0], func(ctx context.Context, c *localapi.Client) (localapi.Call, error) {
				return c.DTMF(ctx, optional(args[1:]), args[0])
			})
		},
	}
}

// doneTo performs a request that returns the call it was done to.
func (a *app) doneTo(ctx context.Context, done string, request func(context.Context, *localapi.Client) (localapi.Call, error)) error {
	call, err := ask(ctx, a, request)
	if err != nil {
		return err
	}
	return a.show(call, func() { a.say("%s: call %s with %s", done, short(call.ID), nameOf(call.Remote)) })
}

func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
