package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

func (a *app) callCommand() *cobra.Command {
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "call WHO",
		Short: "Call a contact and follow the call to its end",
		Long: `Calls a contact by its name, or anybody by a contact link, and follows the call
to its end. Ctrl-C hangs up. When it is answered, four words are printed here and
by "peerd answer" there. Read them to each other: when they are the same at both
ends, nobody sits in between.

With --json one object is printed at the end; progress goes to stderr.`,
		Example: `  peerd call bob
  peerd call bob --for 10s --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			f := &follower{a: a, client: c, length: length}
			call, err := f.run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return errors.Join(a.show(call, func() {}), f.result(cmd.Context(), call))
		},
	}
	cmd.Flags().Var(&duration{&length}, "for", "hang up this long after the answer (default: never)")
	return cmd
}

// endTime is how long a follower waits for the end of a call that it has hung
// up itself.
const endTime = 5 * time.Second

// follower follows one call.
type follower struct {
	a      *app
	client *localapi.Client
	length time.Duration // of talk, after which to hang up; 0 is for ever

	last    localapi.Call    // as last told
	hangUp  <-chan time.Time // fires when length is over
	give    <-chan time.Time // fires when waiting for the end is over
	changes chan change
}

// change is what one read of the event stream gave.
type change struct {
	event localapi.Event
	err   error
}

// run dials and follows the call to its end. It subscribes before it dials, so
// that no change is missed.
func (f *follower) run(ctx context.Context, who string) (localapi.Call, error) {
	// Dialling and the stream outlive Ctrl-C: a call that has begun is to be
	// hung up, and its end to be told.
	stream, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	w, err := f.client.Watch(stream)
	if err != nil {
		return f.last, err
	}
	dialled, err := f.dial(stream, who)
	if err != nil {
		w.Close()
		return f.last, err
	}
	f.progress("calling %s (%s)", nameOf(dialled.Remote), short(dialled.ID))
	f.changes = make(chan change)
	go read(stream, w, f.changes)
	f.tell(dialled)
	return f.follow(ctx, stream)
}

func (f *follower) dial(ctx context.Context, who string) (localapi.Call, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errSilentDaemon)
	defer cancel()
	call, err := f.client.Dial(ctx, who)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	return call, err
}

// read hands over events until the stream ends or ctx does.
func read(ctx context.Context, w *localapi.Watch, to chan<- change) {
	defer w.Close()
	for {
		e, err := w.Next()
		select {
		case to <- change{e, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (f *follower) follow(ctx, stream context.Context) (localapi.Call, error) {
	interrupted := ctx.Done()
	for f.last.State != localapi.CallEnded {
		select {
		case <-interrupted:
			interrupted = nil
			f.progress("hanging up")
			f.end(stream)
		case <-f.hangUp:
			f.end(stream)
		case <-f.give:
			return f.last, hinted(errorf("the call does not end"), "peerd calls shows the state it is in")
		case c := <-f.changes:
			if err := f.take(stream, c); err != nil {
				return f.last, err
			}
		}
	}
	return f.last, nil
}

// end hangs up and sets a bound on waiting for the end.
func (f *follower) end(ctx context.Context) {
	f.give = time.After(endTime)
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	call, err := f.client.Control(ctx, "hangup", f.last.ID)
	switch localapi.CodeOf(err) {
	case localapi.CodeWrongState, localapi.CodeNotFound: // it has ended by itself: its event is on the way
	default:
		if err != nil {
			f.progress("hanging up: %s", err)
			return
		}
		f.tell(call)
	}
}

// take handles one reading of the event stream.
func (f *follower) take(ctx context.Context, c change) error {
	if c.err == nil {
		if e := c.event; e.Call != nil && e.Call.ID == f.last.ID {
			f.tell(*e.Call)
		}
		return nil
	}
	if !errors.Is(c.err, io.EOF) {
		return c.err
	}
	return f.again(ctx)
}

// again opens the event stream anew after it was cut off.
func (f *follower) again(ctx context.Context) error {
	w, err := f.client.Watch(ctx)
	if err != nil {
		return fmt.Errorf("following the call: %w", err)
	}
	f.changes = make(chan change)
	go read(ctx, w, f.changes)
	now, err := f.client.Call(ctx, f.last.ID)
	if err != nil {
		return fmt.Errorf("following the call: %w", err)
	}
	f.tell(now)
	return nil
}

// tell prints what is new in a call and remembers it.
func (f *follower) tell(now localapi.Call) {
	was := f.last
	if was.State == localapi.CallEnded {
		return
	}
	f.last = now
	if was.RingMS == nil && now.RingMS != nil {
		f.progress("ringing after %s", ms(now.RingMS))
	}
	if was.Answered == nil && now.Answered != nil {
		f.progress("answered")
		if f.length > 0 {
			f.hangUp = time.After(time.Until(now.Answered.Add(f.length)))
		}
	}
	if now.Answered != nil && now.Words != "" && (was.Answered == nil || was.Words == "") {
		f.progress("words: %s", now.Words)
	}
	if now.Path != "" && was.Path != now.Path {
		f.progress("path: %s", now.Path)
	}
	if was.AnswerToAudioMS == nil && now.AnswerToAudioMS != nil {
		f.progress("first sound after %s", ms(now.AnswerToAudioMS))
	}
	if was.RemoteHeld != now.RemoteHeld {
		f.progress("on hold by the other end: %s", yesNo(now.RemoteHeld))
	}
	if now.State == localapi.CallEnded {
		f.progress("%s", endOf(now))
	}
}

// progress goes to stdout, which under --json is kept for the object.
func (f *follower) progress(format string, args ...any) {
	if f.a.json {
		f.a.note(format, args...)
	} else {
		f.a.say(format, args...)
	}
}
