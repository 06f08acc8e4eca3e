package signaling_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerd/peerd/signaling"
	"github.com/peerd/peerd/signaling/signalingtest"
)

// delay is one way between the two ends of every test.
const delay = 20 * time.Millisecond

// logbook is a log handler that keeps lines at info and above.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

func (l *logbook) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// world is two phones' managers and what they log.
type world struct {
	t          *testing.T
	alice, bob *signaling.Manager
	aliceLog   logbook
	bobLog     logbook
}

func newWorld(t *testing.T, cfg signaling.Config) *world {
	w := &world{t: t}
	cfg.Log = w.aliceLog.logger()
	w.alice = signaling.NewManager(signaling.Config{Log: cfg.Log, Timers: cfg.Timers})
	cfg.Log = w.bobLog.logger()
	w.bob = signaling.NewManager(cfg)
	t.Cleanup(func() {
		for _, m := range []*signaling.Manager{w.alice, w.bob} {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

func offer(id string) signaling.Offer {
	return signaling.Offer{CallID: id, Certificate: []byte("cert a"), Binding: []byte("bind a"), SDP: []byte("offer")}
}

var answer = signaling.Answer{Certificate: []byte("cert b"), Binding: []byte("bind b"), SDP: []byte("answer")}

// arrival is what Incoming returned.
type arrival struct {
	call *signaling.Call
	err  error
}

// listen runs Incoming on a stream and returns where its result comes.
func listen(m *signaling.Manager, s signaling.Stream) <-chan arrival {
	got := make(chan arrival, 1)
	go func() {
		c, err := m.Incoming(s)
		got <- arrival{c, err}
	}()
	return got
}

// dial lets alice call bob over a link of its own.
func (w *world) dial() (*signaling.Call, *signaling.Call, *signalingtest.Link) {
	w.t.Helper()
	link, a, b := signalingtest.NewLink(delay, "alice", "bob")
	arrived := listen(w.bob, b)
	out, err := w.alice.Dial(a, offer(""))
	if err != nil {
		w.t.Fatal(err)
	}
	in := <-arrived
	if in.err != nil {
		w.t.Fatal(in.err)
	}
	return out, in.call, link
}

// talk is a call that both ends have started.
func (w *world) talk() (*signaling.Call, *signaling.Call, *signalingtest.Link) {
	w.t.Helper()
	out, in, link := w.dial()
	must(w.t, in.Ringing(answer))
	next[signaling.RemoteRinging](w.t, out)
	next[signaling.SASReady](w.t, out)
	next[signaling.SASReady](w.t, in)
	out.PathUp()
	in.PathUp()
	must(w.t, in.Accept(answer))
	next[signaling.Start](w.t, in)
	next[signaling.RemoteAccepted](w.t, out)
	next[signaling.Start](w.t, out)
	return out, in, link
}

// raw is a peer that writes what it likes to bob.
func (w *world) raw() (*signalingtest.End, <-chan arrival) {
	_, a, b := signalingtest.NewLink(delay, "mallory", "bob")
	return a, listen(w.bob, b)
}

// rawOffer is a well-formed offer by hand.
func rawOffer() signaling.Message {
	commit := signaling.Commit(nonce)
	return signaling.Message{
		Type: signaling.TypeOffer, CallID: "0123456789abcdef0123456789abcdef",
		Certificate: []byte("cert"), Binding: []byte("bind"), SDP: []byte("sdp"), Commit: commit[:],
	}
}

var nonce = bytes.Repeat([]byte{7}, signaling.NonceSize)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// next waits for the next event of a call and wants it to be of one kind.
func next[E signaling.Event](t *testing.T, c *signaling.Call) E {
	t.Helper()
	ev, open := <-c.Events()
	got, ok := ev.(E)
	if !ok {
		var want E
		t.Fatalf("%s of %s: got %T %+v (open %v), want %T", c.Role(), c.ID(), ev, ev, open, want)
	}
	return got
}

// wantEnded reads the last event and the close after it.
func wantEnded(t *testing.T, c *signaling.Call, reason signaling.EndReason, remote bool) signaling.Ended {
	t.Helper()
	e := next[signaling.Ended](t, c)
	if e.Reason != reason || e.Remote != remote {
		t.Errorf("%s ended with %s, remote %v; want %s, remote %v", c.Role(), e.Reason, e.Remote, reason, remote)
	}
	if ev, open := <-c.Events(); open {
		t.Errorf("%T after Ended", ev)
	}
	return e
}

// wantLeft is the end seen by the one who leaves.
func wantLeft(t *testing.T, c *signaling.Call, reason signaling.EndReason) {
	t.Helper()
	next[signaling.Stopping](t, c)
	wantEnded(t, c, reason, false)
}

// silent wants no event and no end for a while.
func silent(t *testing.T, c *signaling.Call, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	select {
	case ev := <-c.Events():
		t.Fatalf("unexpected %T %+v", ev, ev)
	case <-ctx.Done():
	}
}

// wantRefused wants Incoming to have refused for a cause, said so once, and
// the peer to have been told the reason.
func (w *world) wantRefused(peer *signalingtest.End, got arrival, cause error, reason signaling.EndReason) {
	w.t.Helper()
	if got.call != nil || !errors.Is(got.err, signaling.ErrRefused) || cause != nil && !errors.Is(got.err, cause) {
		w.t.Errorf("Incoming gave %v, %v; want %v", got.call, got.err, cause)
	}
	if lines := w.bobLog.all(); len(lines) != 1 || !strings.Contains(lines[0], "reason="+string(reason)) {
		w.t.Errorf("logged %q; want one line with reason %s", lines, reason)
	}
	if peer == nil {
		return
	}
	m, err := signaling.ReadMessage(peer)
	if err != nil || m.Type != signaling.TypeEnd || m.Reason != reason || m.Text == "" {
		w.t.Errorf("the peer is told %v %s %q, %v; want end %s in words", m, m.Reason, m.Text, err, reason)
	}
}
