package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var opt demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show on this machine alone that it works, and measure it",
		Long: `Starts five daemons of their own on this machine, lets one call another by name,
sends speech both ways through the encrypted call, records what each loudspeaker
plays, and reports how like it is to what was spoken. Recordings, logs and a
picture stay in a directory; nothing is left running.`,
		Example: "  peerd demo\n  peerd demo --speech my.wav --out /tmp/demo --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt.Progress = a.Stderr
			report, err := demo.Run(cmd.Context(), opt)
			if err != nil && !errors.Is(err, demo.ErrFailed) {
				return err
			}
			if errors.Is(err, demo.ErrFailed) {
				err = hinted(err, "the logs of the daemons are in "+report.Out)
			}
			return errors.Join(a.show(report, func() { report.Text(a.Stdout) }), err)
		},
	}
	cmd.Flags().StringVar(&opt.Out, "out", "demo-out", "directory for recordings, logs and picture")
	cmd.Flags().StringVar(&opt.Speech, "speech", "", "WAV file that the first voice speaks (default: a built-in reading)")
	return cmd
}
