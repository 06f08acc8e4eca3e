// Package stormlab is the large storm laboratory: a discrete-event simulator that
// drives the policy of node/storm, the very code the real node runs, for a million
// nodes at once, and two baselines beside it. docs/storm.md says what the model
// holds, what it leaves out, and what came out.
package stormlab

import (
	"time"

	"github.com/peerd/peerd/node/storm"
)

// Model holds every number that a run assumes. It is printed with each result.
type Model struct {
	// What work takes of a server's processor.
	LogIn      time.Duration // one connection: handshake, identify
	Proof      time.Duration // dialling a newcomer back
	Put        time.Duration // one record, that came with a question: checked, stored
	LookUp     time.Duration // one step of somebody's search
	InCall     time.Duration // moving one relayed call to this server
	Refusal    time.Duration // answering one question
	Unread     time.Duration // reading one datagram that is not answered
	RefuseDial time.Duration // refusing a connection nobody asked about
	Capacity   float64       // share of one core that serves others

	Link       float64       // datagrams per second that reach a node at most
	RTT        time.Duration // mean round trip; single ways vary by half of theirs
	Loss       float64       // of datagrams
	Resend     time.Duration // what a lost datagram costs a handshake or a search
	Able       float64       // s: share of the nodes that can be dialled and so can serve
	Public     float64       // share of the others that can be dialled all the same
	Serving    float64       // share of the nodes that serve while all is calm
	Few        int           // below so many servers all that can serve do
	Records    int           // of each node, each at the Copies servers closest to its key
	Copies     int
	DialTrips  int           // round trips until a connection is of use: handshake, identify
	RelayTrips int           // from being connected to a place on a relay, for who cannot be dialled
	ProofTrips int           // from being connected to being proven reachable
	Look       time.Duration // a node that could serve considers it so often
	StepLimit  time.Duration // a server that does not answer holds up a search this long
	Reader     time.Duration // mean time until a third node that has just come back itself finds a record that is there
	StartIn    time.Duration // all start within this time
	Slow       float64       // share of slow nodes
	SlowFactor float64       // by how much their work takes longer
	Moved      float64       // share with another address after a restart, unless the scenario has its own
	Cache      int           // peers remembered
	Contacts   int           // contacts whose last addresses are remembered
	Bootstrap  int           // bootstrap nodes
	PingEvery  time.Duration // one neighbour is pinged so often
	Turns      storm.Turns   // and how often a holder or the relay in its place
	Doubt      time.Duration // so long after a ping that has no answer all others are pinged
	Detect     time.Duration // and so long after it the one pinged is taken for dead
	Breadth    int           // servers that a reader asks for a record
	Wide       int           // that it asks where those have none, while it is younger than Young
	Young      time.Duration

	Machine Machine // whose processors all nodes share
}

// DefaultModel is measured where the real node could be measured, and chosen
// otherwise: docs/storm.md says which is which.
func DefaultModel() Model {
	return Model{
		LogIn: 1150 * time.Microsecond, Proof: 900 * time.Microsecond, Put: 200 * time.Microsecond, LookUp: 15 * time.Microsecond,
		InCall: 500 * time.Microsecond, Refusal: 12 * time.Microsecond, Unread: time.Microsecond,
		RefuseDial: 300 * time.Microsecond, Capacity: 0.5,
		Link: 100_000, RTT: 100 * time.Millisecond, Loss: 0.01, Resend: 300 * time.Millisecond,
		Able: 0.2, Serving: 0.05, StartIn: 500 * time.Millisecond,
		Few: 64, Records: 2, Copies: 3, DialTrips: 2, RelayTrips: 1, ProofTrips: 2, Look: time.Second,
		StepLimit: 400 * time.Millisecond, Reader: 50 * time.Millisecond,
		Slow: 0.1, SlowFactor: 4, Moved: 0.1, Cache: 64, Contacts: 5, Bootstrap: 2,
		PingEvery: time.Second, Turns: storm.PingTurns, Doubt: 500 * time.Millisecond, Detect: 1500 * time.Millisecond, Breadth: 8, Wide: 24, Young: time.Minute,
	}
}

// perLogIn is the work that one whole log-in takes of all servers together: a
// neighbour that dials back, a search for each record, and the servers that take it with
// the questions of the search.
func (m Model) perLogIn() time.Duration {
	holders := time.Duration(m.Records * m.Copies)
	return m.Refusal + m.LogIn + m.Proof + holders*(2*m.LookUp+m.Refusal+m.Put)
}

// WarmUp is w: the mean time from being in to serving, where nobody knew one before.
func (m Model) WarmUp() time.Duration { return time.Duration(m.ProofTrips)*m.RTT + m.Look/2 }

// calm is the share of the nodes able to serve that do while all is calm.
func (m Model) calm(nodes int) float64 {
	return min(1, max(m.Serving/m.Able, float64(m.Few)/(m.Able*float64(nodes))))
}

// K is how many log-ins per second one server serves.
func (m Model) K() float64 { return m.Capacity / m.perLogIn().Seconds() }

// C0 is how many the bootstrap nodes serve.
func (m Model) C0() float64 { return float64(m.Bootstrap) * m.K() }

// GrowthBound is the least T99 of a cold start of n nodes: capacity grows by those
// who are in and serve after the warm-up, L' = C0 + k s L(t-w), L = 0 before the start,
// solved step by step. (1/g) ln(1 + 0.99 n g/C0) with g = k s e^(-g w), what it tends to
// in the long run, is some 0.3 s less: it begins with nodes that have been in for a while.
func (m Model) GrowthBound(n int) time.Duration {
	const step = time.Millisecond
	rate, c0, wait := m.K()*m.Able*step.Seconds(), m.C0()*step.Seconds(), int(m.WarmUp()/step)
	in := []float64{0}
	for i := 0; in[i] < 0.99*float64(n); i++ {
		in = append(in, in[i]+c0+rate*in[max(0, i-wait)])
	}
	return time.Duration(len(in)-1) * step
}

// WarmBound is the least time a warm restart takes: 1/(s k), whatever n is.
func (m Model) WarmBound() time.Duration {
	return time.Duration(float64(time.Second) / (m.Serving * m.K()))
}

// gate is what a server gives, factor times slower than most.
func (m Model) gate(factor float64, off storm.Options) storm.GateConfig {
	slower := func(d time.Duration) time.Duration { return time.Duration(factor * float64(d)) }
	cfg := storm.DefaultGateConfig()
	cfg.Capacity, cfg.Off = m.Capacity, off
	cfg.Cost = [storm.Classes]time.Duration{
		storm.InCall: slower(m.InCall), storm.SetUp: slower(m.InCall), storm.Presence: slower(m.Put),
		storm.LogIn: slower(m.LogIn + m.Proof), storm.LookUp: slower(m.LookUp), storm.Refresh: slower(m.LogIn),
	}
	cfg.Refusal, cfg.Unread = slower(m.Refusal), slower(m.Unread)
	return cfg
}
