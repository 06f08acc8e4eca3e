// Peerd is a telephone without a telephone company: a daemon that finds people
// through an overlay of their own devices and calls them directly, and the
// commands that drive it. This package only joins the command line with the
// codecs and sound devices that the build has.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/peerd/peerd/cmd/peerd/internal/cli"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run performs one command line and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := untilSignal()
	defer stop()
	return cli.Run(ctx, cli.Program{
		Version: version,
		Stdin:   stdin,
		Stdout:  stdout,
		Stderr:  stderr,
		Environ: os.Environ(),
		Sound:   sound,
	}, args)
}

// untilSignal returns a context that ends with the first Ctrl-C (or SIGTERM), so
// that everything can end in good order; a second one ends the process at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from then on signals do what they do by default
	return ctx, stop
}
