package cli

import (
	"context"
	"errors"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

// versions is what version prints; Daemon is null when none runs.
type versions struct {
	Version string            `json:"version"`
	API     int               `json:"api"`
	Go      string            `json:"go"`
	System  string            `json:"system"`
	Daemon  *localapi.Version `json:"daemon"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of this program and of the daemon",
		Example: "  peerd version",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.printVersions(cmd.Context()) },
	}
}

func (a *app) printVersions(ctx context.Context) error {
	v := versions{a.Version, localapi.APIVersion, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, nil}
	daemon, err := a.daemonVersion(ctx)
	switch {
	case err == nil:
		v.Daemon = &daemon
	case !errors.Is(err, localapi.ErrNoDaemon):
		a.note("warning: the daemon's version: %s", err)
	}
	return a.show(v, func() {
		a.say("peerd %s, local API %d, %s, %s", v.Version, v.API, v.Go, v.System)
		if v.Daemon != nil {
			a.say("daemon %s, local API %d, process %d", v.Daemon.Version, v.Daemon.API, v.Daemon.PID)
		}
	})
}

func (a *app) daemonVersion(ctx context.Context) (localapi.Version, error) {
	c, err := a.clientWaiting(0)
	if err != nil {
		return localapi.Version{}, err
	}
	return c.Version(ctx)
}
