package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command",
		Example: "  peerd help call\n  peerd help contacts add",
		Args: func(cmd *cobra.Command, args []string) error {
			_, err := topic(cmd.Root(), args)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, err := topic(cmd.Root(), args)
			if err != nil {
				return err
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			about, err := topic(cmd.Root(), args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []cobra.Completion
			for _, sub := range about.Commands() {
				names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// topic finds the command that the words name. What follows a command that has
// no others below it are its arguments: a whole command line will do.
func topic(cmd *cobra.Command, words []string) (*cobra.Command, error) {
	for _, word := range words {
		if !cmd.HasSubCommands() {
			break
		}
		below := find(cmd, word)
		if below == nil {
			return nil, unknown(cmd, word)
		}
		cmd = below
	}
	return cmd, nil
}

func find(cmd *cobra.Command, name string) *cobra.Command {
	for _, sub := range cmd.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}

// noneSuch refuses what stands where a command should.
func noneSuch(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return unknown(cmd, args[0])
}

// unknown refuses a command that there is none of, and guesses what was meant.
func unknown(cmd *cobra.Command, name string) error {
	hint := ""
	cmd.SuggestionsMinimumDistance = 2 // letters wrong, at most
	if meant := cmd.SuggestionsFor(name); len(meant) > 0 {
		hint = "did you mean " + cmd.CommandPath() + " " + strings.Join(meant, " or ") + "? "
	}
	return usageHinting(errorf("unknown command %q for %s", name, cmd.CommandPath()), hint)
}
