package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

func (a *app) accountCommand() *cobra.Command {
	devices := group("devices", "Keep the devices of this account",
		"  peerd account devices list\n  peerd account devices add peerd-device:...",
		a.devicesList(), a.devicesAdd(), a.devicesRevoke())
	devices.Long = "Keeps the devices of this account. An account is a person; every machine it is used\non is a device of it, with keys of its own."
	return group("account", "Look after this account", "  peerd account devices list", devices)
}

func (a *app) devicesList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the devices of this account, revoked ones included",
		Example: "  peerd account devices list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			devices, err := ask(cmd.Context(), a, func(ctx context.Context, c *localapi.Client) ([]localapi.AccountDevice, error) {
				return c.Devices(ctx)
			})
			if err != nil {
				return err
			}
			return a.show(devices, func() { a.printDevices(devices) })
		},
	}
}

func (a *app) printDevices(devices []localapi.AccountDevice) {
	var rows [][]string
	for _, d := range devices {
		state := "valid until " + clock(d.Expires)
		if d.Revoked {
			state = "revoked"
		}
		rows = append(rows, []string{d.Device, yesNo(d.This), state, d.Name})
	}
	a.table("no devices", "DEVICE THIS STATE NAME", rows)
}

func (a *app) devicesAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add REQUEST",
		Short: "Take another device into this account",
		Long: `Takes in the device whose "peerd init --join" printed the request, and prints the
grant that "peerd init --grant" there reads. The grant is of use to that device
alone.`,
		Example: "  peerd account devices add peerd-device:... > grant.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			added, err := ask(cmd.Context(), a, func(ctx context.Context, c *localapi.Client) (localapi.AddedDevice, error) {
				return c.AddDevice(ctx, args[0])
			})
			if err != nil {
				return err
			}
			return a.show(added, func() { a.say("%s", added.Certificate) })
		},
	}
}

func (a *app) devicesRevoke() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke DEVICE",
		Short:   "Withdraw a device from this account for good",
		Example: "  peerd account devices revoke 12D3KooW...",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := ask(cmd.Context(), a, func(ctx context.Context, c *localapi.Client) (struct{}, error) {
				return struct{}{}, c.RevokeDevice(ctx, args[0])
			})
			if err != nil {
				return err
			}
			return a.show(map[string]string{"revoked": args[0]}, func() { a.say("revoked %s", args[0]) })
		},
	}
}
