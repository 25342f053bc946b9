package caddymodule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func tokenCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "token", Short: "Makes, lists and revokes access tokens"}, tokenAdd(), tokenList(), tokenRevoke())
}

func tokenAdd() *cobra.Command {
	var a tokenArgs
	var expires string
	cmd := &cobra.Command{
		Use:   "add NAME --user USER",
		Short: "Makes an access token of a user and prints it, this once",
		Long: `Makes an access token of a user and prints it, this once.

A token is good where a policy has a "tokens" line, for what its user may do. For a
machine of its own, add a user without a password (caddy gate user add backup
--no-password), and make its token.`,
		Example: "  caddy gate token add backup --user alice --host app.example.com --path '/api/*' --expires 30d",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Name = args[0]
			if a.User == "" {
				return errors.New("whose token? give --user NAME")
			}
			var err error
			if a.Life, err = caddy.ParseDuration(expires); err != nil {
				return fmt.Errorf("--expires: %q is not a duration such as 12h or 90d", expires)
			}
			return once(cmd, false, "token.add", a, func(t newTokenLine) string {
				fmt.Fprintf(cmd.ErrOrStderr(), "Token %q of %s, good for %s until %s. It is not shown again:\n", t.Name, t.User, t.good(), t.Expires.Local().Format(time.DateOnly))
				return t.Token
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&a.User, "user", "", "the user that it acts as")
	flags.StringSliceVar(&a.Hosts, "host", nil, "a host that it is good for, as app.example.com or *.example.com (default: all)")
	flags.StringSliceVar(&a.Paths, "path", nil, "a path that it is good for, as /hook, or /api/* for all below (default: all)")
	flags.StringSliceVar(&a.Scopes, "scope", nil, "a scope that it has")
	flags.StringVar(&expires, "expires", "90d", "how long it is good; 366d at most")
	return cmd
}

func tokenList() *cobra.Command {
	var a tokenArgs
	next := func(c *connection) (page []tokenLine, err error) {
		if err = c.do("token.list", a, &page); len(page) > 0 {
			a.After = page[len(page)-1].ID
		}
		return page, err
	}
	cmd := listing("Lists access tokens", "ID\tUSERNAME\tNAME\tGOOD FOR\tLAST USED\tEXPIRES", next, func(t tokenLine) []string {
		used := "never"
		if t.LastUsed != nil {
			used = t.LastUsed.Local().Format(time.DateTime)
		}
		return []string{string(t.ID), t.User, t.Name, t.good(), used, t.Expires.Local().Format(time.DateTime)}
	})
	cmd.Flags().StringVar(&a.User, "user", "", "of this user only")
	return cmd
}

func tokenRevoke() *cobra.Command {
	var a tokenArgs
	cmd := &cobra.Command{
		Use:     "revoke [ID]",
		Short:   "Ends an access token, or all of a user",
		Example: "  caddy gate token revoke --user alice",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (a.User != "") {
				return errors.New("give the id of a token (see: caddy gate token list), or --user NAME for all of a user")
			}
			if len(args) == 1 {
				a.ID = authcore.SessionID(args[0])
			}
			return once(cmd, false, "token.revoke", a, func(done map[string]int) string { return fmt.Sprintf("Revoked: %d.", done["revoked"]) })
		},
	}
	cmd.Flags().StringVar(&a.User, "user", "", "all access tokens of this user")
	return cmd
}

// good says where a token is good.
func (t *tokenLine) good() string {
	list := func(all []string, none string) string {
		if len(all) == 0 {
			return none
		}
		return strings.Join(all, ",")
	}
	text := list(t.Hosts, "all hosts") + " " + list(t.Paths, "all paths")
	if len(t.Scopes) > 0 {
		text += " scopes " + strings.Join(t.Scopes, ",")
	}
	return text
}
