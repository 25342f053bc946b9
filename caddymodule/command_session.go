package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func sessionCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "session", Short: "Lists and revokes sessions"}, sessionList(), sessionRevoke())
}

func sessionList() *cobra.Command {
	var a sessionArgs
	next := func(c *connection) (page []sessionLine, err error) {
		if err = c.do("session.list", a, &page); len(page) > 0 {
			a.After = string(page[len(page)-1].ID)
		}
		return page, err
	}
	cmd := listing("Lists the sessions that live", "ID\tUSERNAME\tHOST\tDEVICE\tADDRESS\tSIGNED IN\tLAST SEEN", next, func(s sessionLine) []string {
		return []string{string(s.ID), s.User, s.Host, s.Device, s.Address,
			s.Created.Local().Format(time.DateTime), s.LastSeen.Local().Format(time.DateTime)}
	})
	cmd.Flags().StringVar(&a.User, "user", "", "of this user only")
	return cmd
}

func sessionRevoke() *cobra.Command {
	var a sessionArgs
	cmd := &cobra.Command{
		Use:     "revoke [ID]",
		Short:   "Ends a session, all of a user, or everybody's",
		Example: "  caddy gate session revoke --user alice",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.ID = args[0]
			}
			chosen := 0
			for _, given := range []bool{a.ID != "", a.User != "", a.All} {
				if given {
					chosen++
				}
			}
			if chosen != 1 {
				return errors.New("give the id of a session (see: caddy gate session list), --user NAME for all of a user, or --all for everybody's")
			}
			return once(cmd, false, "session.revoke", a, func(done map[string]int) string { return fmt.Sprintf("Revoked: %d.", done["revoked"]) })
		},
	}
	cmd.Flags().StringVar(&a.User, "user", "", "all sessions of this user")
	cmd.Flags().BoolVar(&a.All, "all", false, "all sessions of everybody")
	return cmd
}
