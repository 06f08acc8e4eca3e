package phone

import (
	"sync"
	"time"
)

// watcherBacklog is how many events a watcher may lie behind before it is cut
// off: some seconds of a busy phone.
const watcherBacklog = 512

// hub fans events out to watchers. A watcher that does not keep up is cut off
// by closing its channel, so that it knows that it missed something; the phone
// never waits for one.
type hub struct {
	mu       sync.Mutex
	watchers map[chan Event]struct{} // guarded by mu
	closed   bool                    // guarded by mu
}

func newHub() *hub { return &hub{watchers: map[chan Event]struct{}{}} }

func (h *hub) subscribe() (<-chan Event, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := make(chan Event, watcherBacklog)
	if h.closed {
		close(ch)
		return ch, func() {}
	}
	h.watchers[ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.dropLocked(ch)
	}
}

func (h *hub) publish(e Event) {
	e.At = time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.watchers {
		select {
		case ch <- e:
		default:
			h.dropLocked(ch)
		}
	}
}

// close ends every watcher and refuses new ones.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for ch := range h.watchers {
		h.dropLocked(ch)
	}
}

func (h *hub) dropLocked(ch chan Event) {
	if _, live := h.watchers[ch]; live {
		delete(h.watchers, ch)
		close(ch)
	}
}
