package node

import (
	"reflect"
	"sync"
)

// Status returns a snapshot.
func (n *Node) Status() Status {
	reach, _, _ := n.over.Reach()
	crowd := n.over.Load()
	s := Status{
		Addresses: n.addresses(),
		Overlay: Overlay{
			Peers: len(n.over.Members()), Role: RoleClient,
			Load: crowd.Load, Storm: crowd.Storm, Refusals: crowd.Refusals,
		},
		Reachable: Reachability(reach),
	}
	if n.over.Serving() {
		s.Overlay.Role = RoleServer
	}
	n.login.mu.Lock()
	defer n.login.mu.Unlock()
	l := &n.login
	s.State, s.Alone = l.state, l.alone
	if s.State == "" {
		s.State = Starting
	}
	s.Login = Login{
		Published: l.presence.valid && (l.presence.acks > 0 || l.presence.local),
		Acks:      l.presence.acks,
		TookMS:    l.took.Milliseconds(),
		Missing:   append([]Missing{}, l.missing...),
	}
	return s
}

func (n *Node) addresses() []string {
	out := []string{}
	for _, a := range n.over.Addresses() {
		out = append(out, a.String()+"/p2p/"+n.id.Device().String())
	}
	return out
}

// sameStatus ignores the figures that change all the time.
func sameStatus(a, b Status) bool {
	a.Overlay.Load, a.Overlay.Refusals = b.Overlay.Load, b.Overlay.Refusals
	return reflect.DeepEqual(a, b)
}

// hub hands events to subscribers.
type hub struct {
	mu     sync.Mutex
	subs   map[chan Event]struct{}
	closed bool
}

// eventBuffer is how many events a slow reader may be behind before it loses some.
const eventBuffer = 64

// Subscribe returns a channel of changes and a function that ends it. A slow
// reader loses events, it never stalls the node. The channel is closed when the
// subscription ends or the node closes.
func (n *Node) Subscribe() (<-chan Event, func()) {
	c := make(chan Event, eventBuffer)
	h := &n.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(c)
		return c, func() {}
	}
	if h.subs == nil {
		h.subs = make(map[chan Event]struct{})
	}
	h.subs[c] = struct{}{}
	return c, func() { h.end(c) }
}

func (h *hub) end(c chan Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.subs[c]; ok {
		delete(h.subs, c)
		close(c)
	}
}

func (h *hub) publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.subs {
		select {
		case c <- e:
		default:
		}
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for c := range h.subs {
		close(c)
	}
	h.subs = nil
}
