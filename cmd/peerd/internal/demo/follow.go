package demo

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

// follow hands every event of a daemon to f, beginning with its present state,
// until f has seen enough.
func (d *daemon) follow(ctx context.Context, f func(localapi.Event) (enough bool)) error {
	for {
		err := d.followOnce(ctx, f)
		if errors.Is(err, io.EOF) && ctx.Err() == nil {
			continue // cut off for reading too slowly: the next stream begins with the whole state
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("follow the events of %s: %w", d.name, err)
		}
		return nil
	}
}

func (d *daemon) followOnce(ctx context.Context, f func(localapi.Event) bool) error {
	w, err := d.api.Watch(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		e, err := w.Next()
		if err != nil {
			return err
		}
		if f(e) {
			return nil
		}
	}
}

// statusUntil waits for a status that is good.
func (d *daemon) statusUntil(ctx context.Context, good func(localapi.Status) bool) (found localapi.Status, err error) {
	err = d.follow(ctx, func(e localapi.Event) bool {
		st := e.Status
		if e.State != nil {
			st = &e.State.Status
		}
		if st == nil || !good(*st) {
			return false
		}
		found = *st
		return true
	})
	return found, err
}

// callFeed is what a daemon tells about its calls, in order.
type callFeed struct {
	name  string
	calls chan localapi.Call
}

// followCalls begins to follow the calls of a daemon, and returns once the
// stream is open. The feed ends with ctx; should it end earlier, everything ends.
func (s *stage) followCalls(ctx context.Context, d *daemon) (callFeed, error) {
	feed := callFeed{name: d.name, calls: make(chan localapi.Call, 64)}
	open := make(chan struct{})
	s.watching.Go(func() {
		first := true
		err := d.follow(ctx, func(e localapi.Event) bool {
			if first {
				close(open)
				first = false
			}
			feed.put(ctx, e)
			return false
		})
		if ctx.Err() == nil {
			s.cancel(err)
		}
	})
	select {
	case <-open:
		return feed, nil
	case <-ctx.Done():
		return feed, context.Cause(ctx)
	}
}

func (f callFeed) put(ctx context.Context, e localapi.Event) {
	var calls []localapi.Call
	if e.State != nil {
		calls = e.State.Calls
	}
	if e.Call != nil {
		calls = append(calls, *e.Call)
	}
	for _, c := range calls {
		select {
		case f.calls <- c:
		case <-ctx.Done():
		}
	}
}

// until waits for news of a call that is good. A call that ends first is an
// error, unless an ended one is good.
func (f callFeed) until(ctx context.Context, what string, good func(localapi.Call) bool) (localapi.Call, error) {
	for {
		select {
		case c := <-f.calls:
			if good(c) {
				return c, nil
			}
			if c.State == localapi.CallEnded {
				return c, fmt.Errorf("%s waited for %s, but the call ended: %s %s", f.name, what, c.EndReason, c.Error)
			}
		case <-ctx.Done():
			return localapi.Call{}, fmt.Errorf("%s waited for %s: %w", f.name, what, context.Cause(ctx))
		}
	}
}
