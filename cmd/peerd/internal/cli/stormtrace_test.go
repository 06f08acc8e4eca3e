package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerd/peerd/cmd/peerd/internal/cli"
)

func TestATraceIsReplayedAndADifferenceIsAFailure(t *testing.T) {
	u := newUser(t)
	file := filepath.Join(t.TempDir(), "node.trace")
	if r := u.types(t.Context(), "", "storm", "--nodes", "300", "--scenario", "cold", "--trace", file); r.code != cli.ExitOK {
		t.Fatalf("%+v", r)
	}
	if r := u.types(t.Context(), "", "storm", "--replay", file); r.code != cli.ExitOK || !strings.Contains(r.stdout, "the same, byte for byte") {
		t.Errorf("%+v", r)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `"do":"come"`, `"do":"wait"`, 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	r := u.types(t.Context(), "", "storm", "--replay", file, "--json")
	var report struct {
		Same       bool
		Difference struct{ Line int }
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != cli.ExitError || report.Same || report.Difference.Line < 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if r := u.types(t.Context(), "", "storm", "--replay", filepath.Join(t.TempDir(), "none")); r.code != cli.ExitError {
		t.Errorf("a file that is not there: %+v", r)
	}
}
