package caddymodule

import (
	"errors"
	"fmt"
	"strings"
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
			next := func(c *connection) (page []sessionLine, err error) {
				if err = c.do("session.list", a, &page); len(page) > 0 {
					a.After = string(page[len(page)-1].ID)
				}
				return page, err
			}
			return listing(cmd, asJSON, "ID\tUSERNAME\tHOST\tDEVICE\tADDRESS\tSIGNED IN\tLAST SEEN", next, func(s sessionLine) string {
				return strings.Join([]string{string(s.ID), s.User, s.Host, s.Device, s.Address,
					s.Created.Local().Format(time.DateTime), s.LastSeen.Local().Format(time.DateTime)}, "\t")
			})
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
			if err := once(cmd, "session.revoke", a, &done, false); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Revoked: %d.\n", done["revoked"])
			return err
		},
	}
	cmd.Flags().StringVar(&a.User, "user", "", "all sessions of this user")
	return cmd
}
