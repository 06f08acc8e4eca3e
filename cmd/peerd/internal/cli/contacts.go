package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

func (a *app) contactsCommand() *cobra.Command {
	return group("contacts", "Keep the address book",
		"  peerd contacts add bob peerd:...\n  peerd contacts list",
		a.contactsAdd(), a.contactsList(), a.contactsRemove(), a.contactsBlock())
}

func (a *app) contactsAdd() *cobra.Command {
	return &cobra.Command{
		Use:     "add NAME LINK",
		Short:   "Add a contact under a name of your choice, or unblock it",
		Long:    "Adds a contact under a name of your choice; the link is what \"peerd link\" prints at\ntheirs. Adding it again under the same name takes a newer link, and unblocks it.",
		Example: "  peerd contacts add bob peerd:...",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			added, err := ask(cmd.Context(), a, func(ctx context.Context, c *localapi.Client) (localapi.Contact, error) {
				return c.AddContact(ctx, args[0], args[1])
			})
			if err != nil {
				return err
			}
			return a.show(added, func() { a.say("added %s (account %s)", added.Name, short(added.Account)) })
		},
	}
}

func (a *app) contactsList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the contacts and what is known of where they are",
		Long: `Lists the contacts and what is known of where they are, with when they were last
heard from: connected (reached just now), announced (logged in as far as others
know), signed off (they logged out), gone (not reached), unknown, or blocked.`,
		Example: "  peerd contacts list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			contacts, err := ask(cmd.Context(), a, func(ctx context.Context, c *localapi.Client) ([]localapi.Contact, error) {
				return c.Contacts(ctx)
			})
			if err != nil {
				return err
			}
			return a.show(contacts, func() { a.printContacts(contacts) })
		},
	}
}

func (a *app) printContacts(contacts []localapi.Contact) {
	var rows [][]string
	for _, c := range contacts {
		presence := c.Presence.State
		switch {
		case c.Blocked:
			presence = "blocked"
		case c.Presence.SignedOff:
			presence = "signed off"
		}
		rows = append(rows, []string{c.Name, presence, ago(c.Presence.Evidence), c.Link})
	}
	a.table("no contacts yet: add one with peerd contacts add NAME LINK", "NAME PRESENCE SEEN LINK", rows)
}

func (a *app) contactsRemove() *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME",
		Short:   "Forget a contact",
		Example: "  peerd contacts remove bob",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := ask(cmd.Context(), a, func(ctx context.Context, c *localapi.Client) (struct{}, error) {
				return struct{}{}, c.RemoveContact(ctx, args[0])
			})
			if err != nil {
				return err
			}
			return a.show(map[string]string{"removed": args[0]}, func() { a.say("removed %s", args[0]) })
		},
	}
}

func (a *app) contactsBlock() *cobra.Command {
	return &cobra.Command{
		Use:     "block NAME",
		Short:   "Keep a contact but refuse its calls and tell it nothing",
		Long:    "Keeps a contact but refuses its calls and tells it nothing. Adding it again with\nthe same name and link unblocks it.",
		Example: "  peerd contacts block bob",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			blocked, err := ask(cmd.Context(), a, func(ctx context.Context, c *localapi.Client) (localapi.Contact, error) {
				return c.BlockContact(ctx, args[0])
			})
			if err != nil {
				return err
			}
			return a.show(blocked, func() { a.say("blocked %s", blocked.Name) })
		},
	}
}
