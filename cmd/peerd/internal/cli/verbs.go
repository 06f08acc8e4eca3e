package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

// callVerbs are the commands that do something to a call of this daemon. They
// differ in nothing but their words.
func (a *app) callVerbs() []*cobra.Command {
	return []*cobra.Command{
		a.answerCommand(),
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

func (a *app) answerCommand() *cobra.Command {
	cmd := a.verb("answer", "Answer the call that rings here", "answered")
	cmd.Long = `Answers the call that rings here and prints the four words. Read them to each
other: when they are the same at both ends, nobody sits in between.

` + whichCall
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		call, err := ask(cmd.Context(), a, func(ctx context.Context, c *localapi.Client) (localapi.Call, error) {
			call, err := c.Control(ctx, "answer", optional(args))
			if err != nil {
				return call, err
			}
			return withWords(ctx, c, call), nil
		})
		if err != nil {
			return err
		}
		return a.show(call, func() {
			a.told("answered", call)
			if call.Words != "" {
				a.say("words: %s", call.Words)
			}
		})
	}
	return cmd
}

// wordsTime is how long an answer waits for the words: the caller's message
// that they take is on its way since it has begun to ring.
const wordsTime = 3 * time.Second

// withWords returns a call just answered with its words. It is answered also
// where they do not come.
func withWords(ctx context.Context, c *localapi.Client, call localapi.Call) localapi.Call {
	ctx, cancel := context.WithTimeout(ctx, wordsTime)
	defer cancel()
	for call.Words == "" && call.State != localapi.CallEnded && ctx.Err() == nil {
		wait(ctx, lookAgain)
		if now, err := c.Call(ctx, call.ID); err == nil {
			call = now
		}
	}
	return call
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
	return a.show(call, func() { a.told(done, call) })
}

// told says what was done to a call.
func (a *app) told(done string, call localapi.Call) {
	a.say("%s: call %s with %s", done, short(call.ID), nameOf(call.Remote))
}

func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
