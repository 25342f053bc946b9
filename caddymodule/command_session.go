package caddymodule

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func sessionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "session", Short: "Lists and revokes sessions"}
	noSubcommand(cmd)
	cmd.AddCommand(sessionList(), sessionRevoke())
	return cmd
}

func sessionList() *cobra.Command {
	var a sessionArgs
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists the sessions that live",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			if !asJSON {
				fmt.Fprintln(out, "ID\tUSERNAME\tHOST\tDEVICE\tADDRESS\tSIGNED IN\tLAST SEEN")
			}
			for {
				var page []sessionLine
				if err := act(cmd, "session.list", a, &page, false); err != nil {
					return err
				}
				if asJSON {
					if err := printJSON(cmd.OutOrStdout(), page); err != nil {
						return err
					}
				}
				for _, s := range page {
					a.After = string(s.ID)
					if !asJSON {
						fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.User, s.Host, s.Device, s.Address,
							s.Created.Local().Format(time.DateTime), s.LastSeen.Local().Format(time.DateTime))
					}
				}
				if len(page) < pageSize {
					return out.Flush()
				}
			}
		},
	}
	cmd.Flags().StringVar(&a.User, "user", "", "of this user only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	return cmd
}

func sessionRevoke() *cobra.Command {
	var a sessionArgs
	cmd := &cobra.Command{
		Use:     "revoke [ID]",
		Short:   "Ends a session, or all of a user",
		Example: "  caddy gate session revoke --user alice",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.ID = args[0]
			}
			if (a.ID == "") == (a.User == "") {
				return errors.New("give the id of a session (see: caddy gate session list), or --user NAME for all of a user")
			}
			var done map[string]int
			if err := act(cmd, "session.revoke", a, &done, false); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Revoked: %d.\n", done["revoked"])
			return err
		},
	}
	cmd.Flags().StringVar(&a.User, "user", "", "all sessions of this user")
	return cmd
}
