package phone

import (
	"context"
	"sync"
	"time"
)

// Calls that talk come before calls that are being set up: when many are made
// at once, a few at a time get their keys and paths, so that the others' frames
// never wait behind all of that.
const (
	turns = 2
	// turnLimit is how long a call keeps its turn at most: one that rings, or
	// whose other end is slow, costs nothing.
	turnLimit = 250 * time.Millisecond
	// A turn waits until no frame has had to wait for the processor for calm,
	// but no longer than calmLimit.
	calm      = 40 * time.Millisecond
	calmLimit = time.Second
)

// turnstile lets so many calls at a time through as it has room, and only while
// the calls that talk are not strained.
type turnstile struct {
	room     chan struct{}
	strained func(within time.Duration) bool
}

// enter waits for a turn, or for the end of ctx, and returns how to give it
// back; it goes back by itself after turnLimit.
func (t turnstile) enter(ctx context.Context) (leave func()) {
	select {
	case t.room <- struct{}{}:
	case <-ctx.Done():
		return func() {}
	}
	t.awaitCalm(ctx)
	leave = sync.OnceFunc(func() { <-t.room })
	time.AfterFunc(turnLimit, leave)
	return leave
}

// awaitCalm waits until the calls that talk have the processor they need.
func (t turnstile) awaitCalm(ctx context.Context) {
	look := time.NewTicker(calm / 4)
	defer look.Stop()
	for begun := time.Now(); t.strained(calm) && time.Since(begun) < calmLimit; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}
