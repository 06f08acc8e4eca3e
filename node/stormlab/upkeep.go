package stormlab

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/peerd/peerd/node/stormlab/memnet"
)

// What goes over a wire beside the data, in bytes: the headers of IPv4 and UDP, and what
// memnet's BenchmarkWire measures of QUIC on real sockets.
const (
	datagramHead = 28  // with each datagram
	messageHead  = 156 // with each message on a stream of its own, acknowledgements included
	// handshakeBytes are those of a connection, both ways: 6.5 kB where it is closed at
	// once, as three in five are, which prove that somebody can be reached; 17 kB where
	// it lasts, and looks for the largest packets that pass.
	handshakeBytes = 11e3
	// keepAliveBytes are those of an idle connection in a second, both ways.
	keepAliveBytes = 7.5
)

// Upkeep is what an overlay spends in which nothing happens. Bytes are those sent and
// received by a node in a second, the mean over all nodes.
type Upkeep struct {
	Nodes       int
	Over        time.Duration
	Connections float64 // of a node
	Bytes       float64
	Busiest     float64            // of the node that has most to do, handshakes and keep-alive left out
	Kinds       map[string]float64 // Bytes, by what for
	RealS       float64
}

// Idle runs an overlay for settle, and measures what happens for over after that.
func Idle(t *testing.T, s Setting, settle, over time.Duration) (u Upkeep) {
	t.Helper()
	if shared := inMemory(); shared != "" {
		t.Setenv("TMPDIR", shared)
	}
	dir := t.TempDir()
	begun := time.Now()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour) // as in Run
		var err error
		if u, err = idle(s, dir, settle, over); err != nil {
			t.Fatal(err)
		}
	})
	u.RealS = time.Since(begun).Seconds()
	return u
}

func idle(s Setting, dir string, settle, over time.Duration) (Upkeep, error) {
	l := &lab{
		set: calmly(s), policy: ours{}, net: memnet.New(s.Costs, s.Links),
		rng: rand.New(rand.NewPCG(s.Seed, uint64(s.Nodes))), end: make(chan struct{}),
	}
	var err error
	l.members, err = population(l.set, l.rng, func(name string) (string, error) {
		home := filepath.Join(dir, name)
		return home, os.Mkdir(home, 0o700)
	})
	if err != nil {
		return Upkeep{}, err
	}
	for _, m := range l.members[:s.Bootstrap] {
		l.boot = append(l.boot, m.info())
	}
	defer l.kill()
	for _, m := range l.members {
		if !m.bootstrap {
			time.Sleep(calmStart / time.Duration(s.Nodes))
		}
		if err := l.start(m, memnet.Machine{}); err != nil {
			return Upkeep{}, err
		}
	}
	time.Sleep(settle)
	w := &wire{sent: make(map[string]float64), at: make(map[netip.Addr]float64)}
	opened := l.opened()
	l.net.Tap(w.count)
	time.Sleep(over)
	l.net.Tap(nil)
	return w.upkeep(l, over, l.opened()-opened), nil
}

// opened counts the connections that all members have opened since they were started.
func (l *lab) opened() (n int) {
	for _, m := range l.members {
		n += m.host.Count().Opened
	}
	return n
}

// wire counts what is sent, by kind.
type wire struct {
	mu   sync.Mutex
	sent map[string]float64     // bytes
	at   map[netip.Addr]float64 // sent and received there
}

func (w *wire) count(p memnet.Packet) {
	size := float64(len(p.Data))
	switch {
	case p.Opening == nil:
		size += datagramHead
	case !p.More:
		size += messageHead
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent[kindOf(p)] += size
	w.at[p.From] += size
	w.at[p.To] += size
}

// kindOf names what a packet is for: the protocol of its stream, or the kind of a
// datagram of ours.
func kindOf(p memnet.Packet) string {
	if p.Opening == nil {
		names := []string{1: "questions", 2: "answers", 3: "pings", 4: "pongs"}
		if len(p.Data) < 3 || int(p.Data[2]) >= len(names) {
			return "other datagrams"
		}
		return names[p.Data[2]]
	}
	// A stream begins with two names, each with its length before and a newline after.
	lines := bytes.SplitN(p.Opening, []byte("\n"), 3)
	if len(lines) < 2 || len(lines[1]) < 2 {
		return "other streams"
	}
	return string(lines[1][1:])
}

// upkeep is what all that comes to for a node.
func (w *wire) upkeep(l *lab, over time.Duration, opened int) Upkeep {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := float64(len(l.members))
	open := 0
	for _, m := range l.members {
		open += m.host.Connections()
	}
	u := Upkeep{Nodes: l.set.Nodes, Over: over, Connections: float64(open) / n, Kinds: make(map[string]float64)}
	add := func(kind string, sent float64) { // what one sends another receives
		u.Kinds[kind] = 2 * sent / n / over.Seconds()
		u.Bytes += u.Kinds[kind]
	}
	for _, b := range w.at {
		u.Busiest = max(u.Busiest, b/over.Seconds())
	}
	for kind, sent := range w.sent {
		add(kind, sent)
	}
	add("handshakes", handshakeBytes*float64(opened))
	add("keep-alive", keepAliveBytes*over.Seconds()*float64(open)/2) // a connection has two ends
	return u
}

// Print writes what was measured, the largest part first.
func (u Upkeep) Print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%d nodes, %v, %.1f connections each (%.0f s here)\t%.0f B/s\t\n", u.Nodes, u.Over, u.Connections, u.RealS, u.Bytes)
	fmt.Fprintf(t, "the busiest\t%.0f\t\n", u.Busiest)
	kinds := slices.Collect(maps.Keys(u.Kinds))
	slices.SortFunc(kinds, func(a, b string) int { return int(u.Kinds[b]*1000 - u.Kinds[a]*1000) })
	for _, k := range kinds {
		fmt.Fprintf(t, "%s\t%.1f\t\n", k, u.Kinds[k])
	}
	return t.Flush()
}
