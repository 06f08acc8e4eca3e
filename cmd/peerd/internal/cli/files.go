package cli

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

// fileRow is one line of the table of files.
type fileRow struct {
	Path   string `json:"path"`
	What   string `json:"what"`
	Exists bool   `json:"exists"`
}

func (a *app) filesCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "files",
		Short:   "List every file that peerd touches here; needs no daemon",
		Example: "  peerd files\n  peerd files --home /tmp/try --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dirs, err := a.dirs()
			if err != nil {
				return err
			}
			var rows []fileRow
			var cells [][]string
			for _, f := range dirs.Files() {
				_, err := os.Lstat(f.Path)
				there := !errors.Is(err, fs.ErrNotExist)
				rows = append(rows, fileRow{f.Path, f.What, there})
				cells = append(cells, []string{f.Path, yesNo(there), f.What})
			}
			return a.show(rows, func() { a.table("no files", "PATH EXISTS WHAT", cells) })
		},
	}
}
