package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

// Exit codes of the program: a contract.
const (
	ExitOK          = 0
	ExitError       = 1
	ExitUsage       = 2
	ExitNoDaemon    = 3
	ExitBusy        = 4 // busy or declined
	ExitNoAnswer    = 5
	ExitUnreachable = 6 // not found or unreachable
)

// errSilentDaemon: the daemon took a request and did not answer it.
var errSilentDaemon = errors.New("the daemon does not answer")

// failure is an error that knows its exit code and what to do next.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errorf is fmt.Errorf; failures of our own begin with it.
func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// usage marks a command line that makes no sense.
func usage(err error) error { return usageHinting(err, "") }

// usageHinting is usage with a hint before the usual one; a space ends it.
func usageHinting(err error, hint string) error {
	return &failure{code: ExitUsage, err: err, hint: hint + "peerd help lists the commands, peerd help COMMAND explains one"}
}

// hinted adds what to do next to an error.
func hinted(err error, hint string) error {
	return &failure{code: ExitError, err: err, hint: hint}
}

// errorReport is the last line on stderr of a command that failed, under --json.
type errorReport struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Message  string `json:"message"`
	Hint     string `json:"hint"` // may be empty
	ExitCode int    `json:"exit_code"`
}

// report prints an error and returns its exit code.
func (a *app) report(err error) int {
	if err == nil {
		return ExitOK
	}
	f := classify(err)
	if a.json {
		_ = json.NewEncoder(a.Stderr).Encode(errorReport{errorBody{f.err.Error(), f.hint, f.code}})
		return f.code
	}
	a.note("peerd: %s", f.err)
	if f.hint != "" {
		a.note("hint: %s", f.hint)
	}
	return f.code
}

// classify finds the exit code and the hint that go with an error.
func classify(err error) *failure {
	var known *failure
	var api *localapi.Error
	switch {
	case errors.As(err, &known):
		return &failure{code: known.code, err: err, hint: known.hint}
	case errors.As(err, &api):
		return &failure{code: exitOf(api.Code), err: err, hint: api.Hint}
	case errors.Is(err, localapi.ErrNoDaemon):
		return &failure{code: ExitNoDaemon, err: err, hint: "start one with: peerd daemon (and name the same --home here and there)"}
	case errors.Is(err, errSilentDaemon):
		return &failure{code: ExitError, err: err, hint: "look at its log; if it hangs, kill it and start it again: nothing is lost"}
	case errors.Is(err, context.Canceled):
		return &failure{code: ExitError, err: errors.New("interrupted")}
	default:
		return &failure{code: ExitError, err: err}
	}
}

// exitOf maps the codes of the local API to exit codes.
func exitOf(code string) int {
	switch code {
	case localapi.CodeBadRequest, localapi.CodeBadLink:
		return ExitUsage
	case localapi.CodeBusy:
		return ExitBusy
	case localapi.CodeNotFound, localapi.CodeUnreachable:
		return ExitUnreachable
	default:
		return ExitError
	}
}

// exitOfCall maps the end of a call to an error with its exit code, or nil.
func exitOfCall(c localapi.Call) error {
	fail := func(code int, hint, format string, args ...any) error {
		return &failure{code: code, err: fmt.Errorf(format, args...), hint: hint}
	}
	who := nameOf(c.Remote)
	switch c.Outcome {
	case localapi.OutcomeAnswered:
		if !cutOff(c) {
			return nil
		}
		return fail(ExitError, "", "the call with %s was cut off: %s", who, reasonOf(c))
	case localapi.OutcomeBusy:
		return fail(ExitBusy, "try again later", "%s is busy", who)
	case localapi.OutcomeDeclined:
		return fail(ExitBusy, "", "%s declined the call", who)
	case localapi.OutcomeNoAnswer:
		return fail(ExitNoAnswer, "try again later", "%s did not answer", who)
	case localapi.OutcomeNotFound:
		return fail(ExitUnreachable, "their daemon may be off since long, or their link may have changed",
			"no device of %s was found, neither among the known ones nor in the overlay", who)
	case localapi.OutcomeUnreachable:
		return fail(ExitUnreachable, "their daemon may be off, or their network down; peerd calls show "+short(c.ID)+" tells what was tried",
			"no device of %s can be reached at its last addresses, those in the overlay included", who)
	case localapi.OutcomeCancelled:
		return fail(ExitError, "", "the call to %s was cancelled", who)
	default:
		return fail(ExitError, "peerd calls show "+short(c.ID)+" tells more", "the call with %s did not come about: %s", who, reasonOf(c))
	}
}

// cutOff reports whether a call that was answered ended without either end
// wanting it.
func cutOff(c localapi.Call) bool {
	return c.Outcome == localapi.OutcomeAnswered && c.EndReason != "hangup" && c.EndReason != "shutdown"
}

// reasonOf says why a call ended, with the sentence of this side if it has one.
func reasonOf(c localapi.Call) string {
	if c.Error != "" {
		return c.EndReason + " (" + printable(c.Error) + ")"
	}
	return c.EndReason
}
