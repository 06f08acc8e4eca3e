package stormlab

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Scenario says what befalls the overlay at time zero.
type Scenario struct {
	Name string
	What string // in one line

	Dead    float64       // share of the nodes that come back elsewhere, and so of every cache that is dead
	Cold    bool          // caches and records are gone
	Stay    float64       // share of the nodes that do not restart
	Horizon time.Duration // the run ends here

	Late               float64       // share of those that can serve that return late, all bootstrap nodes among them
	LateMin, LateMax   time.Duration // between these
	Kill               float64       // share of the servers that die for good
	Load               float64       // log-ins offered by others to each server, times its capacity
	LoadFor            time.Duration // for this long
	LateAnswers        float64       // share of the servers whose answers come late while the load lasts
	LateBy             time.Duration // by up to this
	New                float64       // share of the nodes that are new: nobody knew them, and they know the bootstrap nodes
	NewIn              time.Duration // they come within this time
	Attackers          float64       // share of the nodes that are hostile
	AttackRate         float64       // questions and dials per second of each
	Office             int           // phones behind one address: the figures are theirs
	Prefixes           int           // network prefixes of the attackers
	NoNAT              bool          // the office's phones have addresses of their own
	RollEvery, RollFor time.Duration // each node restarts once within RollFor; every one is away for RollEvery
	Lone               bool          // one node restarts
	Echo               bool          // go on for a record's lifetime and look at the load then
	Calls              float64       // share of the nodes that talk and stay
	CallLoad           float64       // share of the servers' capacity that calls take
}

// Scenarios lists what can happen.
func Scenarios() []Scenario {
	const minute = time.Minute
	return []Scenario{
		{Name: "warm", What: "all restart at once, half of every cache is dead", Dead: 0.5, Horizon: 2 * minute},
		{Name: "warm90", What: "all restart at once, nine tenths of every cache are dead", Dead: 0.9, Horizon: 2 * minute},
		{Name: "cold", What: "all restart at once, caches and records gone, two bootstrap nodes", Cold: true, Horizon: 5 * minute},
		{
			Name: "skype-2007", What: "all restart under full call load, four of five servers and the bootstrap nodes return after 30 to 120 s",
			Dead: 0.5, Horizon: 5 * minute, Stay: 0.05, Late: 0.8, LateMin: 30 * time.Second, LateMax: 2 * minute, Calls: 0.05, CallLoad: 0.5,
		},
		{
			Name: "skype-2010", What: "30 % of the servers die at the peak, 100 times the load on the rest, answers up to 10 s late",
			Dead: 0.3, Horizon: minute, Stay: 1, Kill: 0.3, Load: 100, LoadFor: 30 * time.Second,
			LateAnswers: 0.3, LateBy: 10 * time.Second, Calls: 0.1, CallLoad: 0.1,
		},
		{Name: "flash-crowd", What: "ten times as many new nodes as there are", Stay: 1, New: 10. / 11, NewIn: 10 * time.Second, Horizon: 3 * minute},
		{Name: "attack", What: "as warm, one in ten ignores every refusal, from many keys and few prefixes", Dead: 0.5, Attackers: 0.1, AttackRate: 50, Prefixes: 8, Horizon: 2 * minute},
		{Name: "office", What: "as warm, 64 of them behind one address", Dead: 0.5, Office: 64, Horizon: 2 * minute},
		{Name: "rolling", What: "each node restarts once within 5 minutes", Dead: 0.1, Stay: 1, RollEvery: 2 * time.Second, RollFor: 5 * minute, Horizon: 6 * minute, Calls: 0.1},
		{Name: "lone", What: "one node restarts", Dead: 0.1, Stay: 1, Lone: true, Horizon: minute},
		{Name: "echo", What: "as warm, and what happens one record lifetime later", Dead: 0.5, Echo: true, Horizon: 90 * minute},
	}
}

// ScenarioNames lists the names.
func ScenarioNames() []string {
	var names []string
	for _, s := range Scenarios() {
		names = append(names, s.Name)
	}
	return names
}

// FindScenario returns the scenario called name.
func FindScenario(name string) (Scenario, error) {
	all := Scenarios()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, fmt.Errorf("no scenario is called %q: there are %s", name, strings.Join(ScenarioNames(), ", "))
	}
	return all[i], nil
}
