package cli

import (
	"context"
	"io"
	"os"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

func (a *app) linkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "link",
		Short: "Print my contact link, and on a terminal its QR code",
		Long: `Prints the contact link of this account: who has it can find and call you. On a
terminal its QR code follows.`,
		Example: `  peerd link
  peerd contacts add alice $(ssh alice peerd link)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			link, err := ask(cmd.Context(), a, func(ctx context.Context, c *localapi.Client) (localapi.Link, error) {
				return c.Link(ctx)
			})
			if err != nil {
				return err
			}
			return a.show(link, func() {
				a.say("%s", link.Link)
				a.qr(link.Link)
			})
		},
	}
}

// qr draws a QR code when people look; the half blocks it is made of are the
// only output that is not ASCII.
func (a *app) qr(text string) {
	if isTerminal(a.Stdout) {
		qrterminal.GenerateHalfBlock(text, qrterminal.M, a.Stdout)
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
