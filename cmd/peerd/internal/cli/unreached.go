package cli

import (
	"context"
	"strings"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

// result turns the end of the call into an error with its exit code, or nil.
// Where nobody was reached, the daemon is asked why that may be.
func (f *follower) result(ctx context.Context, c localapi.Call) error {
	err := exitOfCall(c)
	if err == nil || c.Outcome != localapi.OutcomeNotFound && c.Outcome != localapi.OutcomeUnreachable {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if st, asked := f.client.Status(ctx); asked == nil && st.State != localapi.StateOnline {
		return notLoggedIn(nameOf(c.Remote), st.Login.Missing)
	}
	contacts, _ := f.client.Contacts(ctx) // without them the reason is told without the contact's presence
	for _, contact := range contacts {
		if contact.Account == c.Remote.Account {
			return away(contact, err)
		}
	}
	return err
}

// notLoggedIn says that the fault is at this end.
func notLoggedIn(who string, missing []localapi.Missing) error {
	hint := "peerd status --wait online tells when the login is done; then call again"
	var lacks []string
	for _, m := range missing {
		lack := m.What + " (" + m.Why + ")"
		if m.What == "neighbours" { // all else waits for them
			lacks, hint = []string{lack}, "mend that, or start the daemon with --bootstrap and the address of a node that runs; peerd status shows how the login fares"
			break
		}
		lacks = append(lacks, lack)
	}
	if len(lacks) == 0 {
		lacks = []string{"time, it has just started"}
	}
	return &failure{
		code: ExitUnreachable, hint: hint,
		err: errorf("%s was not found, as this phone itself is not logged in; missing: %s", who, strings.Join(lacks, ", ")),
	}
}

// away adds what is known of a contact that was not reached.
func away(c localapi.Contact, err error) error {
	fail := func(format string, args ...any) error {
		return &failure{code: ExitUnreachable, err: errorf(format, args...), hint: "call again later; peerd contacts list shows when " + printable(c.Name) + " is back"}
	}
	switch p := c.Presence; {
	case p.SignedOff:
		return fail("%s signed off %s", printable(c.Name), ago(p.Evidence))
	case p.Evidence != nil:
		return fail("%w; last heard from %s", err, ago(p.Evidence))
	default:
		return err
	}
}
