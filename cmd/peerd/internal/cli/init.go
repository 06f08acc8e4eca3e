package cli

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/config"
	"github.com/peerd/peerd/node/identity"
)

// initOptions are the flags of init.
type initOptions struct {
	name    string
	recover bool
	join    bool
	grant   bool
}

// made is what init prints. Phrase is there once, when the account is new;
// Request and no account, when the device is still to be taken in by one.
type made struct {
	Account string `json:"account"`
	Device  string `json:"device"`
	Name    string `json:"name"`
	Link    string `json:"link"`
	Phrase  string `json:"phrase,omitempty"`
	Request string `json:"request,omitempty"`
	File    string `json:"file"`
}

func (a *app) initCommand() *cobra.Command {
	var opt initOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make an identity: print account, contact link and recovery phrase",
		Long: `Makes the identity of this home and prints its account, its contact link and,
this once, the recovery phrase: 24 words that bring the account back on any
machine. PEERD_PASSPHRASE, if set, seals the identity file; the daemon needs it
then, too. Without init the daemon makes an identity by itself when it first
starts, and shows the phrase only on a terminal.

--recover reads such a phrase from standard input instead. --join makes a device
for an account that you have elsewhere: give the request it prints to
"peerd account devices add" there, and what that prints to "peerd init --grant"
here.`,
		Example: `  peerd init --name alice
  peerd init --recover < phrase.txt
  peerd init --join --name "alice's laptop"
  peerd init --grant < grant.txt`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.runInit(opt) },
	}
	cmd.Flags().StringVar(&opt.name, "name", "", "own name, shown to contacts (PEERD_NAME; default: the user's name)")
	cmd.Flags().BoolVar(&opt.recover, "recover", false, "read the recovery phrase of an account from standard input")
	cmd.Flags().BoolVar(&opt.join, "join", false, "make a device for an account that is elsewhere")
	cmd.Flags().BoolVar(&opt.grant, "grant", false, "read that account's grant from standard input")
	cmd.MarkFlagsMutuallyExclusive("recover", "join", "grant")
	return cmd
}

func (a *app) runInit(opt initOptions) error {
	flags := a.homeFlag()
	if opt.name != "" {
		flags["name"] = []string{opt.name}
	}
	cfg, err := config.Load(flags, config.ReadEnv(a.Environ))
	if err != nil {
		return settingsError(err)
	}
	if err = cfg.Make(); err != nil {
		return err
	}
	id, out, err := a.makeIdentity(opt, cfg)
	if err != nil {
		return err
	}
	if err := id.Save(cfg.IdentityFile(), cfg.Passphrase); err != nil {
		return identityError(err, cfg.IdentityFile())
	}
	out.Device, out.Name, out.File = id.Device().String(), id.Name(), cfg.IdentityFile()
	if id.Linked() {
		out.Account, out.Link = id.Account().String(), id.Link().String()
	}
	return a.show(out, func() { a.printMade(out) })
}

// makeIdentity makes or completes an identity in memory.
func (a *app) makeIdentity(opt initOptions, cfg config.Config) (*identity.Identity, made, error) {
	var out made
	switch {
	case opt.recover:
		phrase, err := a.readInput("the recovery phrase")
		if err != nil {
			return nil, out, err
		}
		id, err := identity.FromPhrase(phrase, cfg.Name)
		return id, out, identityError(err, "")
	case opt.join:
		id, err := identity.NewDevice(cfg.Name, nil)
		if err != nil {
			return nil, out, err
		}
		out.Request, err = id.DeviceRequest()
		return id, out, err
	case opt.grant:
		return a.adopt(cfg)
	default:
		id, phrase, err := identity.New(cfg.Name, nil)
		out.Phrase = phrase
		return id, out, err
	}
}

// adopt takes a grant into the identity that --join made.
func (a *app) adopt(cfg config.Config) (*identity.Identity, made, error) {
	id, err := identity.Load(cfg.IdentityFile(), cfg.Passphrase)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, made{}, hinted(errorf("there is no device here that asked for a grant"), "begin with: peerd init --join")
	}
	if err != nil {
		return nil, made{}, identityError(err, cfg.IdentityFile())
	}
	grant, err := a.readInput("the grant")
	if err != nil {
		return nil, made{}, err
	}
	return id, made{}, identityError(id.Adopt(grant, time.Now()), "")
}

// readInput reads one text from standard input: all of its words, as one line.
func (a *app) readInput(what string) (string, error) {
	const most = 64 << 10
	a.note("reading %s from standard input", what)
	text, err := io.ReadAll(io.LimitReader(a.Stdin, most))
	if err != nil {
		return "", errorf("reading %s: %w", what, err)
	}
	words := strings.Fields(string(text))
	if len(words) == 0 {
		return "", usage(errorf("standard input holds nothing: %s was expected", what))
	}
	return strings.Join(words, " "), nil
}

// phraseHint stands with a recovery phrase wherever one is shown.
const phraseHint = "the recovery phrase: it is shown this once, and it alone brings the account back"

func (a *app) printMade(m made) {
	rows := [][2]string{{"account", m.Account}, {"link", m.Link}}
	if m.Request != "" {
		rows = [][2]string{{"request", m.Request}}
	}
	rows = append(rows, [2]string{"device", m.Device + " (" + m.Name + ")"})
	if m.Phrase != "" {
		rows = append(rows, [2]string{"write down", phraseHint}, [2]string{"phrase", m.Phrase})
	}
	pairs(a.Stdout, rows...)
	if m.Request != "" {
		a.note("Next, on a device of the account: peerd account devices add REQUEST\nThen here: peerd init --grant, with what that printed on standard input.")
	}
}

// identityError adds what to do next to an error about the identity.
func identityError(err error, file string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, identity.ErrExists):
		return hinted(errorf("there is an identity already: %s", file), "peerd link shows its contact link; for another identity use another --home")
	case errors.Is(err, identity.ErrBadPhrase):
		return hinted(err, "24 words of the English BIP-39 list, in their order")
	case errors.Is(err, identity.ErrSealed), errors.Is(err, identity.ErrWrongPassphrase):
		return hinted(err, "set PEERD_PASSPHRASE to the passphrase that seals it")
	default:
		return err
	}
}

// settingsError tells a setting that makes no sense from a file that cannot be
// read.
func settingsError(err error) error {
	if errors.Is(err, config.ErrInvalid) {
		return &failure{code: ExitUsage, err: err, hint: "peerd help daemon lists the settings"}
	}
	return err
}
