// Package stormlab restarts whole overlays of real hosts, with the real DHT and the
// real policy, in virtual time (testing/synctest) on a network in memory, and tells
// how long each node takes to be back. Beside this project's node it runs what
// go-libp2p offers, as baselines. It is for tests: synctest exists under go test only.
package stormlab

import (
	"io"
	"time"

	"github.com/peerd/peerd/node/stormlab/memnet"
)

// Scenario is what happens to the overlay.
type Scenario string

// The scenarios.
const (
	// Cold: all nodes start at one instant and know the bootstrap nodes only.
	Cold Scenario = "cold"
	// Warm: all nodes of a running overlay are killed and start again at one instant;
	// half of them come back at another address, so half of what each remembers is dead.
	Warm Scenario = "warm"
	// Skype2007: as many calls as there can be are running when all nodes are killed;
	// the clients and a fifth of the servers start again at one instant, the other
	// servers, all bootstrap nodes among them, 30 to 120 s later. Half are elsewhere.
	Skype2007 Scenario = "skype-2007"
)

// Boot is the state of the bootstrap nodes.
type Boot string

// The states of the bootstrap nodes.
const (
	Fast  Boot = "fast"
	Slow  Boot = "slow"  // 150 ms of the processor for each connection they accept
	Late  Boot = "late"  // start 30 s after all others
	Small Boot = "512MB" // the library's limits for 512 MB of memory and 1,024 files
)

const (
	slowConnection = 150 * time.Millisecond
	lateBy         = 30 * time.Second
	// lateFirst and lateLast are when the servers of skype-2007 come back that were lost.
	lateFirst, lateLast = 30 * time.Second, 120 * time.Second
	// callLoad is the share of a processor that calls take under full load.
	callLoad = 0.5
)

// Setting is one run of one policy.
type Setting struct {
	Policy   string
	Scenario Scenario
	Boot     Boot
	Nodes    int // besides the bootstrap nodes
	// Bootstrap is the number of bootstrap nodes.
	Bootstrap int
	// Serve is the share of the nodes that can be servers.
	Serve float64
	Links memnet.Links
	// StartIn is how long after the restart a node starts at most.
	StartIn time.Duration
	// Slow is the share of the nodes whose work takes SlowFactor times as long.
	Slow, SlowFactor float64
	// Horizon ends the run, counted from the restart.
	Horizon time.Duration
	Costs   memnet.Costs
	// Seed chooses who can serve, who moves, who is late.
	Seed uint64
	// Trace, if not nil, takes a trace of the policy of node Traced, after the restart;
	// the first ones are the bootstrap nodes. For this project's node only.
	Trace  io.Writer
	Traced int
}

// Default is the setting that the documentation's figures were made with. It is that
// of the large simulator (peerd storm).
func Default(policy string, scenario Scenario, boot Boot, nodes int) Setting {
	horizon := 3 * time.Minute
	if scenario == Skype2007 {
		horizon += lateLast
	}
	return Setting{
		Policy: policy, Scenario: scenario, Boot: boot, Nodes: nodes, Bootstrap: 2,
		Serve: 0.2, Horizon: horizon, Costs: memnet.Measured(), Seed: 1,
		Links:   memnet.Links{RTT: 100 * time.Millisecond, Vary: 0.5, Loss: 0.01, Resend: memnet.MeasuredResend},
		StartIn: 500 * time.Millisecond, Slow: 0.1, SlowFactor: 4,
	}
}

// calmly is the setting before the restart: fast bootstrap nodes, no full load.
func calmly(s Setting) Setting {
	s.Scenario, s.Boot = Warm, Fast
	return s
}

// remembers says whether there was an overlay before.
func (s Setting) remembers() bool { return s.Scenario != Cold }
