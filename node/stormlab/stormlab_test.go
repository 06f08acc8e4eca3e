package stormlab_test

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/peerd/peerd/node/stormlab"
)

// What "make stormlab" is told, by the environment.
const (
	wanted     = "PEERD_STORMLAB" // run it at all
	jsonOut    = "PEERD_STORMLAB_JSON"
	nodes      = "N"
	scenarios  = "SCENARIO"
	boots      = "BOOT"
	policies   = "POLICY"
	serveShare = "SERVE"
	runs       = "RUNS" // of each; the table tells the run of the median T99
)

// TestStormlab is "make stormlab": all scenarios with all states of the bootstrap
// nodes and all policies, in one table.
func TestStormlab(t *testing.T) {
	if os.Getenv(wanted) == "" {
		t.Skip("it takes minutes: run make stormlab")
	}
	var results []stormlab.Result
	for _, scenario := range list(scenarios, string(stormlab.Cold), string(stormlab.Warm), string(stormlab.Skype2007)) {
		for _, boot := range list(boots, string(stormlab.Fast), string(stormlab.Slow), string(stormlab.Late), string(stormlab.Small)) {
			for _, policy := range list(policies, stormlab.Policies...) {
				s := stormlab.Default(policy, stormlab.Scenario(scenario), stormlab.Boot(boot), number(t, nodes, 100))
				s.Serve = share(t, serveShare, s.Serve)
				t.Run(strings.Join([]string{scenario, boot, policy}, "/"), func(t *testing.T) {
					results = append(results, median(t, s))
				})
			}
		}
	}
	show(t, results...)
	if file := os.Getenv(jsonOut); file != "" {
		save(t, file, results)
	}
}

// median runs a setting with one seed after the other and returns the run of the
// median T99.
func median(t *testing.T, s stormlab.Setting) stormlab.Result {
	t.Helper()
	var all []stormlab.Result
	for range number(t, runs, 1) {
		r := stormlab.Run(t, s)
		show(t, r)
		all = append(all, r)
		s.Seed++
	}
	return stormlab.Median(all)
}

func show(t *testing.T, results ...stormlab.Result) {
	t.Helper()
	var text strings.Builder
	if err := stormlab.Print(&text, results); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
}

func save(t *testing.T, file string, results []stormlab.Result) {
	t.Helper()
	text, err := json.MarshalIndent(results, "", " ")
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

func list(variable string, all ...string) []string {
	if text := os.Getenv(variable); text != "" {
		return slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })
	}
	return all
}

func number(t *testing.T, variable string, usual int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

func share(t *testing.T, variable string, usual float64) float64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return f
}
