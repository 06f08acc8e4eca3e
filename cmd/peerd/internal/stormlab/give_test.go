package stormlab

import (
	"slices"
	"testing"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// medians are those of T50 and T99 of some runs.
func medians(t *testing.T, runs uint64, o Options) (t50, t99 float64) {
	t.Helper()
	var half, nearly []float64
	for seed := range runs {
		o.Seed = 1 + seed
		r := simulate(t, o)
		if r.NeverBack > 0 {
			t.Errorf("%s, seed %d: %d never back", r.Scenario, r.Seed, r.NeverBack)
		}
		half, nearly = append(half, r.T50), append(nearly, r.T99)
	}
	slices.Sort(half)
	slices.Sort(nearly)
	return half[runs/2], nearly[runs/2]
}

// TestRecordsAreGivenAhead counts the round trips until a node is found that restarts
// alone: its question, and with a public address those of the search up to the servers
// that store, else the connection, the place on the relay, and half a one to the holders.
func TestRecordsAreGivenAhead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		public, trips float64
	}{{1, 1 + 1.5}, {0, 1 + 2 + 1 + 0.5}} {
		m := DefaultModel()
		m.Able, m.Public, m.Loss, m.Slow, m.Moved = 0.1, c.public, 0, 0, 0
		_, back := medians(t, 15, Options{Scenario: "lone", Nodes: 300, Model: m, Change: func(sc *Scenario) { sc.Dead = 0 }})
		if trips := back / m.RTT.Seconds(); trips < c.trips-0.5 || trips > c.trips+0.75 {
			t.Errorf("of the others %.0f can be dialled: found after %.2f round trips, want %.1f", c.public, trips, c.trips)
		}
	}
}

// TestWorldsOfTheLabs says what the other laboratory, of real stacks, is to be compared
// with: there all nodes have public addresses.
func TestWorldsOfTheLabs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"warm", "cold", "skype-2007"} {
		for _, nodes := range []int{100, 200} {
			m := DefaultModel()
			behind, late := medians(t, 15, Options{Scenario: name, Nodes: nodes, Model: m})
			m.Public = 1
			public, last := medians(t, 15, Options{Scenario: name, Nodes: nodes, Model: m})
			t.Logf("%s, N = %d: T50 %.2f s, T99 %.2f s; behind routers %.2f and %.2f s", name, nodes, public, last, behind, late)
			if name != "skype-2007" && public > behind {
				t.Errorf("%s, N = %d: T50 %.2f s with public addresses, %.2f s without", name, nodes, public, behind)
			}
		}
	}
}

// TestAllTakeTurnsInBeingPinged: no neighbour waits for long, however many there are, and
// holders have every fourth ping.
func TestAllTakeTurnsInBeingPinged(t *testing.T) {
	t.Parallel()
	for relay := range 3 {
		for neighbours := 1; neighbours <= 8; neighbours++ {
			s := &sim{model: DefaultModel(), policy: Ours, now: before}
			s.model.Turns.Relay = relay
			n := &node{}
			n.clear()
			for i := range neighbours {
				n.rel[i] = relation{server: uint32(i)}
			}
			for i := range uint32(maxCopies) {
				n.records[0].near[i], n.records[0].is[i] = 100+i, given
			}
			if relay > 0 {
				n.listed[0] = 0
				n.set(onRelay, relay == 2)
			}
			for id := range uint32(103) {
				in, known := s.nextPing(n, id)
				if id >= uint32(neighbours) && id < 100 {
					if known {
						t.Fatalf("%d is pinged, and is nothing to the node", id)
					}
					continue
				}
				most := time.Duration(4*neighbours+2) * time.Second // one ping in four where there is a relay
				if id >= 100 {
					most = 2 * 4 * 3 * time.Second
				}
				if relay == 2 && id == 0 {
					most = 2 * time.Second
				}
				if !known || in <= 0 || in > most {
					t.Errorf("%d neighbours: %d is pinged in %v (%v), at most %v is allowed", neighbours, id, in, known, most)
				}
			}
		}
	}
}

// TestARecordThatSaysSomethingElseIsGivenAgain: what is under way then is not taken for it.
func TestARecordThatSaysSomethingElseIsGivenAgain(t *testing.T) {
	t.Parallel()
	s := newSim(Options{Nodes: 200, Scenario: "warm", Policy: string(Ours), Seed: 1, Model: DefaultModel()}, Scenario{Stay: 1})
	id := uint32(slices.IndexFunc(s.nodes, func(n node) bool { return n.is(onRelay) }))
	n := &s.nodes[id]
	if !s.isBack(n) || !n.records[0].whole() {
		t.Fatal("a node that stays has not been in")
	}
	holder := n.records[0].near[0]
	v := &s.servers[s.nodes[holder].server]
	w := work{client: id, gen: n.gen, kind: evGive, class: storm.Presence, aux: gift(0, n)}
	n.renew()
	if s.isBack(n) || n.records[0].whole() {
		t.Error("records that name another relay are taken for those that name this one")
	}
	if s.stored(v, &w); slices.Contains(n.records[0].held[:], holder) {
		t.Error("the old record is taken for the new one")
	}
	w.aux = gift(0, n)
	if s.stored(v, &w); !slices.Contains(n.records[0].held[:], holder) {
		t.Error("the new record is not held")
	}
}
