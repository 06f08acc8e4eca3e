// Package cli is the command line of peerd: one file per command, with its
// flags, its help and its runner together. Commands talk to the daemon through
// the local API's client only; daemon.go alone builds a daemon.
//
// Rules of the terminal: what was asked for goes to stdout, everything else to
// stderr; plain ASCII; nothing is said by colour; an error is one sentence and
// a hint of what to do next; --json output only grows.
package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/config"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// Program is the outside world of the command line.
type Program struct {
	Version string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Environ []string // as os.Environ returns it

	// Sound sets the sound fields of cfg (Device, Encoder, Decoder,
	// StrangerDecoder, ListAudio) from the value of --audio: the codecs and
	// devices that this build has.
	Sound func(audio Audio, cfg *phone.Config, log *slog.Logger) error
}

// Audio is the value of --audio: its kind (portaudio, file, tone, null) and
// what stands behind the colon.
type Audio = config.Audio

// patience is how long a command waits for a daemon just started.
const patience = time.Second

// answerTime bounds one request to the daemon, which answers all but event
// streams at once.
const answerTime = 15 * time.Second

// app is one run of the program.
type app struct {
	Program
	home    string // --home
	json    bool   // --json
	started bool   // the command line made sense: a command runs
	api     *localapi.Client
}

// Run performs one command line (without the program's name) and returns the
// exit code. Cancelling ctx is Ctrl-C: commands stop what they began.
func Run(ctx context.Context, p Program, args []string) int {
	a := &app{Program: p}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.started {
		if !errors.As(err, new(*failure)) {
			err = usage(err)
		}
		a.json = a.json || wantsJSON(args) // the flags may not have been read
	}
	a.warnOfOtherVersion()
	if a.api != nil {
		a.api.Close()
	}
	return a.report(err)
}

// wantsJSON looks for --json on a command line that makes no sense.
func wantsJSON(args []string) bool {
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}

func (a *app) root() *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "peerd",
		Short: "A telephone without a telephone company",
		Long: `peerd is a telephone: people call each other directly, found by an overlay of
their own devices, and nobody in between can listen.

"peerd daemon" is the telephone; it runs all the time, and the other commands
tell it what to do. The first are: init, daemon, status, link, contacts add, call.

Exit codes: 0 ok, 1 error, 2 usage, 3 no daemon, 4 busy or declined,
5 no answer, 6 not found or unreachable.`,
		Example: `  peerd demo                       hear it work on this machine
  peerd daemon &                   log in
  peerd status --wait online       or what is missing
  peerd contacts add bob peerd:... the link that "peerd link" prints at bob's
  peerd call bob`,
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableSuggestions: true,
		Args:               noneSuch,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return a.printVersions(cmd.Context())
			}
			return cmd.Help()
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.Flags().BoolVar(&version, "version", false, "print the versions, as peerd version does")
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.PersistentFlags().StringVar(&a.home, "home", "", "directory of everything peerd keeps (PEERD_HOME; default: the XDG directories)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON, errors too")
	root.AddCommand(
		a.initCommand(), a.daemonCommand(), a.statusCommand(), a.linkCommand(),
		a.contactsCommand(), a.callCommand())
	root.AddCommand(a.callVerbs()...)
	root.AddCommand(
		a.callsCommand(), a.eventsCommand(), a.audioCommand(), a.accountCommand(),
		a.filesCommand(), a.versionCommand(), a.demoCommand(), a.stormCommand(), a.completionCommand())
	help := helpCommand()
	root.AddCommand(help)
	root.SetHelpCommand(help)
	a.prepare(root)
	return root
}

// prepare has every command note that it runs, and say its form where its
// arguments are wrong.
func (a *app) prepare(cmd *cobra.Command) {
	check, run := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil || errors.As(err, new(*failure)) { // a failure says what to do already
			return err
		}
		return errorf("%w; use: %s", err, cmd.UseLine())
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a.started = true
		return run(cmd, args)
	}
	for _, sub := range cmd.Commands() {
		a.prepare(sub)
	}
}

// group makes a command that only holds others.
func group(use, short, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: example}
	var names []string
	for _, sub := range subs {
		names = append(names, sub.Name())
	}
	cmd.Use += " " + strings.Join(names, "|")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errorf("%s needs a command after it", cmd.CommandPath())
		}
		return unknown(cmd, args[0])
	}
	cmd.RunE = func(*cobra.Command, []string) error { return nil } // Args lets nothing through
	cmd.AddCommand(subs...)
	return cmd
}

// client returns the client of the daemon of this home.
func (a *app) client() (*localapi.Client, error) { return a.clientWaiting(patience) }

func (a *app) clientWaiting(wait time.Duration) (*localapi.Client, error) {
	dirs, err := a.dirs()
	if err != nil {
		return nil, err
	}
	a.api = localapi.NewClient(localapi.ClientConfig{Socket: dirs.RunningSocket(), Wait: wait, Version: a.Version})
	return a.api, nil
}

// dirs tells where the daemon of this home has its files.
func (a *app) dirs() (config.Dirs, error) {
	return config.FindDirs(a.homeFlag(), config.ReadEnv(a.Environ))
}

// homeFlag is --home as config takes it.
func (a *app) homeFlag() config.Flags {
	if a.home == "" {
		return config.Flags{}
	}
	return config.Flags{"home": {a.home}}
}

// ask performs one bounded request to the daemon.
func ask[T any](ctx context.Context, a *app, request func(context.Context, *localapi.Client) (T, error)) (T, error) {
	c, err := a.client()
	if err != nil {
		var none T
		return none, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errSilentDaemon)
	defer cancel()
	out, err := request(ctx, c)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	return out, err
}

// warnOfOtherVersion tells of a daemon that is not of this program's version.
func (a *app) warnOfOtherVersion() {
	if a.api == nil {
		return
	}
	if v := a.api.DaemonVersion(); v != "" && v != a.Version {
		a.note("warning: the daemon is version %s, this program is %s: restart the daemon", v, a.Version)
	}
}
