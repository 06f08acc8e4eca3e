package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand calls f with each command of the program.
func everyCommand(f func(*cobra.Command)) {
	a := &app{Program: Program{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		f(cmd)
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	n := 0
	everyCommand(func(cmd *cobra.Command) {
		n++
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s lacks a description or an example", cmd.CommandPath())
		}
		if cmd.InheritedFlags().Lookup("json") == nil && cmd.PersistentFlags().Lookup("json") == nil {
			t.Errorf("%s has no --json", cmd.CommandPath())
		}
		var out, errs bytes.Buffer
		args := append([]string{"help"}, strings.Fields(cmd.CommandPath())[1:]...)
		code := Run(t.Context(), Program{Stdout: &out, Stderr: &errs}, args)
		if code != ExitOK || !strings.Contains(out.String(), "Examples:\n  peerd ") && !strings.Contains(out.String(), "Examples:\n  source ") {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q", args, code, out.String(), errs.String())
		}
	})
	if n < 30 {
		t.Errorf("only %d commands were found", n)
	}
}

// TestExamplesAreCommands holds the examples against the commands there are.
func TestExamplesAreCommands(t *testing.T) {
	root := (&app{}).root()
	everyCommand(func(cmd *cobra.Command) {
		for _, example := range strings.Split(cmd.Example, "\n") {
			words := strings.Fields(example)
			if len(words) < 2 || words[0] != "peerd" {
				continue
			}
			if found, _, err := root.Find(words[1:]); err != nil || found == root {
				t.Errorf("example of %s: %q is no command (%v)", cmd.CommandPath(), example, err)
			}
		}
	})
}

func TestVersionFlag(t *testing.T) {
	types := func(args ...string) string {
		var out, errs bytes.Buffer
		if code := Run(t.Context(), Program{Version: "v1.2.3", Environ: []string{"PEERD_HOME=" + t.TempDir()}, Stdout: &out, Stderr: &errs}, args); code != ExitOK {
			t.Errorf("%v: exit code %d, stderr %q", args, code, errs.String())
		}
		return out.String()
	}
	if got := types("--version"); !strings.HasPrefix(got, "peerd v1.2.3, ") || got != types("version") {
		t.Errorf("--version prints %q", got)
	}
	if got := types("--version", "--json"); !strings.Contains(got, `"version": "v1.2.3"`) {
		t.Errorf("--version --json prints %q", got)
	}
}

func TestContractNames(t *testing.T) {
	root := (&app{}).root()
	for _, name := range []string{
		"init", "daemon", "status", "link", "contacts add", "contacts list", "contacts remove", "contacts block",
		"call", "answer", "reject", "hangup", "hold", "resume", "mute", "unmute", "dtmf", "calls", "calls show",
		"events", "audio devices", "account devices list", "account devices add", "account devices revoke",
		"files", "version", "demo", "completion",
	} {
		cmd, rest, err := root.Find(strings.Fields(name))
		if err != nil || len(rest) > 0 || cmd.CommandPath() != "peerd "+name {
			t.Errorf("there is no peerd %s", name)
		}
	}
	daemon, _, err := root.Find([]string{"daemon"})
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{
		"listen", "media-port", "bootstrap", "role", "audio", "answer", "name", "mdns", "relay-port", "log-level", "max-calls", "storm-trace",
	} {
		if daemon.Flags().Lookup(flag) == nil {
			t.Errorf("peerd daemon has no --%s", flag)
		}
	}
}
