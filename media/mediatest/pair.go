package mediatest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/pion/transport/v5"

	"github.com/peerd/peerd/media"
)

// End is one end of a Pair.
type End struct {
	Engine  *media.Engine
	Session *media.Session

	mu      sync.Mutex
	seen    []media.Event
	changed chan struct{}
}

// Pair is two engines with one session each: 0 offers, 1 answers.
type Pair [2]*End

// NewPair makes two engines on the given networks (nil: the machine's own) and
// a session on each. Both last as long as the test.
func NewPair(t testing.TB, nets [2]transport.Net, configs [2]media.SessionConfig) Pair {
	t.Helper()
	var p Pair
	for i := range p {
		e, err := media.NewEngine(media.EngineConfig{Net: nets[i]})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		configs[i].Offerer = i == 0
		p[i] = NewEnd(t, e, configs[i])
	}
	return p
}

// NewEnd makes a session whose events are remembered.
func NewEnd(t testing.TB, e *media.Engine, cfg media.SessionConfig) *End {
	t.Helper()
	s, err := e.NewSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &End{Engine: e, Session: s, changed: make(chan struct{}, 1)}
}

// Connect exchanges descriptions and candidates until both ends close.
func (p Pair) Connect(t testing.TB) {
	t.Helper()
	p.connect(t, 0, func(sdp []byte) []byte { return sdp })
}

// ConnectAfter is Connect with an answer that takes its time to arrive.
func (p Pair) ConnectAfter(t testing.TB, travel time.Duration) {
	t.Helper()
	p.connect(t, travel, func(sdp []byte) []byte { return sdp })
}

// ConnectThrough is Connect with descriptions that are changed on their way.
func (p Pair) ConnectThrough(t testing.TB, change func(sdp []byte) []byte) {
	t.Helper()
	p.connect(t, 0, change)
}

func (p Pair) connect(t testing.TB, travel time.Duration, change func([]byte) []byte) {
	t.Helper()
	offer, err := p[0].Session.Offer(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	go p[0].follow(p[1])
	answer, err := p[1].Session.Answer(context.Background(), change(offer))
	if err != nil {
		t.Fatal(err)
	}
	go p[1].follow(p[0])
	if travel > 0 {
		<-time.After(travel)
	}
	if err := p[0].Session.SetAnswer(change(answer)); err != nil {
		t.Fatal(err)
	}
}

func (e *End) follow(other *End) {
	for ev := range e.Session.Events() {
		if c, ok := ev.(media.Candidate); ok {
			_ = other.Session.AddCandidate(c.Data) // closed by now
		}
		e.mu.Lock()
		e.seen = append(e.seen, ev)
		e.mu.Unlock()
		select {
		case e.changed <- struct{}{}:
		default:
		}
	}
}

// Seen returns the events so far.
func (e *End) Seen() []media.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]media.Event(nil), e.seen...)
}

// Await waits until ok accepts an event, and returns it.
func (e *End) Await(t testing.TB, what string, ok func(media.Event) bool) media.Event {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		for _, ev := range e.Seen() {
			if ok(ev) {
				return ev
			}
		}
		select {
		case <-e.changed:
		case <-limit.C:
			t.Fatalf("no %s within 30 s; events: %v; stats: %+v", what, e.Seen(), e.Session.Stats())
		}
	}
}

// Is accepts events of type E.
func Is[E media.Event](ev media.Event) bool { _, ok := ev.(E); return ok }

// AwaitUp waits until the path is up at both ends.
func (p Pair) AwaitUp(t testing.TB) {
	t.Helper()
	for _, e := range p {
		e.Await(t, "PathUp", Is[media.PathUp])
	}
}
