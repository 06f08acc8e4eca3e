package cli

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/config"
	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
	"github.com/peerd/peerd/cmd/peerd/internal/phone"
	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
)

func (a *app) daemonCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Log in and take calls, until Ctrl-C",
		Long: `Runs the telephone in the foreground: logs in, keeps in touch with contacts, takes
and makes calls for the other commands. Ctrl-C or SIGTERM hangs up and logs out.
An empty home gets an identity by itself.

A machine that is to be a server for others has these ports open in its firewall:
  27470 UDP and TCP   the overlay (another with --listen)
  --relay-port        UDP and TCP: STUN and TURN, for phones behind NATs
  --media-port        UDP: the sound of its own calls, if it takes any
The last two are any free port unless set, so set them: --relay-port 27472
--media-port 27471. A phone needs none of them open.

Every flag can also be set by a variable (--media-port is PEERD_MEDIA_PORT) or in
the file that "peerd files" names (media-port = 5000); flag over variable over file.`,
		Example: `  peerd daemon
  peerd daemon --bootstrap /ip4/192.0.2.1/udp/27470/quic-v1/p2p/12D3KooW...
  peerd daemon --home /tmp/echo --answer echo --audio null`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(a.settings(cmd), config.ReadEnv(a.Environ))
			if err != nil {
				return settingsError(err)
			}
			return a.runDaemon(cmd.Context(), cfg)
		},
	}
	for _, s := range config.Settings() {
		addSetting(cmd, s)
	}
	return cmd
}

// addSetting makes a flag of a setting. Its value is checked with all others
// by config, so that all mistakes are told at once.
func addSetting(cmd *cobra.Command, s config.Setting) {
	flags := cmd.Flags()
	help := s.Help
	if s.Default != "" {
		help += " (default " + s.Default + ")"
	}
	if s.List {
		flags.StringArray(s.Flag, nil, help)
		return
	}
	flags.String(s.Flag, "", help)
	if s.Default == "true" || s.Default == "false" {
		flags.Lookup(s.Flag).NoOptDefVal = "true"
	}
}

// settings collects the flags that were given.
func (a *app) settings(cmd *cobra.Command) config.Flags {
	given := a.homeFlag()
	for _, s := range config.Settings() {
		f := cmd.Flags().Lookup(s.Flag)
		switch list, err := cmd.Flags().GetStringArray(s.Flag); {
		case !f.Changed:
		case err == nil:
			given[s.Flag] = list
		default: // not a list
			given[s.Flag] = []string{f.Value.String()}
		}
	}
	return given
}

// runDaemon starts everything, serves until ctx ends, and stops everything in
// the opposite order: phone (hang up, media, log out), then local API, so that
// watchers see the calls end, then the lock.
func (a *app) runDaemon(ctx context.Context, cfg config.Config) (err error) {
	log := slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
	closeAfter := func(close func() error) { err = errors.Join(err, close()) }
	if err = cfg.Make(); err != nil {
		return err
	}
	lock, err := cfg.Acquire(os.Getpid())
	if err != nil {
		return err
	}
	defer closeAfter(lock.Close)
	id, err := a.openIdentity(cfg)
	if err != nil {
		return err
	}
	var trace *os.File
	if cfg.StormTrace != "" {
		if trace, err = os.OpenFile(cfg.StormTrace, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600); err != nil {
			return errorf("storm trace: %w", err)
		}
		defer closeAfter(trace.Close)
	}
	p, err := a.openPhone(ctx, cfg, id, trace, log)
	if errors.Is(err, node.ErrPortInUse) && !cfg.ListenExplicit {
		log.Warn("the usual port is taken, listening on any", slog.Int("port", config.DefaultPort))
		cfg.Listen = config.AnyPort()
		p, err = a.openPhone(ctx, cfg, id, trace, log)
	}
	if err != nil {
		return startError(err)
	}
	server, err := localapi.Open(localapi.ServerConfig{Socket: cfg.Socket, Phone: p, Version: a.Version, Log: log})
	if err != nil {
		closeAfter(p.Close)
		return err
	}
	defer closeAfter(server.Close)
	defer closeAfter(p.Close)
	log.Info("serving", slog.String("socket", cfg.Socket), slog.String("version", a.Version))
	<-ctx.Done()
	log.Info("going down: hanging up and logging out")
	return nil
}

// openPhone opens the phone; trace may be nil.
func (a *app) openPhone(ctx context.Context, cfg config.Config, id *identity.Identity, trace *os.File, log *slog.Logger) (*phone.Phone, error) {
	settings := phone.Config{
		Dir: cfg.StateDir, Identity: id,
		Node: node.Config{
			Dir: cfg.NodeDir(), Listen: cfg.Listen, Bootstrap: cfg.Bootstrap,
			Role: cfg.Role, MDNS: cfg.MDNS, RelayPort: cfg.RelayPort,
		},
		MediaPort: cfg.MediaPort, Answer: phone.AnswerMode(cfg.Answer), MaxCalls: cfg.MaxCalls,
		SaveIdentity: func() error { return id.Save(cfg.IdentityFile(), cfg.Passphrase) },
		Log:          log,
	}
	if trace != nil {
		if err := trace.Truncate(0); err != nil { // of an attempt at another port
			return nil, errorf("storm trace: %w", err)
		}
		settings.Node.Trace = trace
	}
	if err := a.Sound(cfg.Audio, &settings, log); err != nil {
		return nil, soundError(err)
	}
	return phone.Open(ctx, settings)
}

// soundError adds what to do next to an error about --audio.
func soundError(err error) error {
	hint := "peerd audio devices lists what --audio can name; null and tone need no sound card"
	if errors.Is(err, fs.ErrNotExist) {
		hint = "name a WAV file that is there: --audio file:IN.wav,OUT.wav"
	}
	return hinted(errorf("sound: %w", err), hint)
}

// openIdentity loads the identity of the home, or makes one in an empty home.
func (a *app) openIdentity(cfg config.Config) (*identity.Identity, error) {
	file := cfg.IdentityFile()
	id, err := identity.Load(file, cfg.Passphrase)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a.newIdentity(cfg)
	case err != nil:
		return nil, identityError(err, file)
	case !id.Linked():
		return nil, hinted(errorf("this device belongs to no account yet"),
			"give its request to the account (peerd account devices add) and the grant to peerd init --grant here")
	}
	return id, nil
}

// newIdentity makes an identity for a home that has none. The recovery phrase
// goes to a terminal only: a log is no place for it.
func (a *app) newIdentity(cfg config.Config) (*identity.Identity, error) {
	id, phrase, err := identity.New(cfg.Name, nil)
	if err != nil {
		return nil, err
	}
	if err := id.Save(cfg.IdentityFile(), cfg.Passphrase); err != nil {
		return nil, identityError(err, cfg.IdentityFile())
	}
	a.note("this home had no identity: made account %s, kept in %s", id.Account(), cfg.IdentityFile())
	if isTerminal(a.Stderr) {
		a.note("write down %s\n%s", phraseHint, phrase)
	} else {
		a.note("back that file up; peerd init, before the first start, would have printed a recovery phrase")
	}
	return id, nil
}

// startError adds what to do next to an error of the start.
func startError(err error) error {
	switch {
	case errors.Is(err, node.ErrPortInUse):
		return hinted(err, "stop the program that has it, or choose another --listen address")
	case errors.Is(err, syscall.EADDRINUSE):
		return hinted(err, "stop the program that has the port, or choose another --media-port or --relay-port")
	}
	return err
}
