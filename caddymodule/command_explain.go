package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

func explainCommand() *cobra.Command {
	var (
		a      explainArgs
		age    string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "explain URL",
		Short: "Says which rule decides a request, and why, without sending it",
		Long: `Says which rule decides a request, and why, without sending it.

Without --user the request is that of somebody who is not signed in. A user is taken
to have just signed in, with a password alone; --age, --provider and --2fa say
otherwise.`,
		Example: "  caddy gate explain --user alice --method POST --from 192.0.2.7 https://app.example.com/admin",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			a.URL = args[0]
			if age != "" {
				if a.Age, err = caddy.ParseDuration(age); err != nil {
					return fmt.Errorf("--age %q is not a duration such as 30m or 2d", age)
				}
			}
			return connected(cmd, false, func(c *connection) error {
				var e web.Explanation
				if err := c.do("explain", a, &e); err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), []web.Explanation{e})
				}
				printExplanation(cmd, e)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.User, "user", "", "username or email address")
	f.StringVar(&a.Method, "method", "GET", "HTTP method")
	f.StringVar(&a.From, "from", "", "IP address of the client")
	f.StringVar(&age, "age", "", "how long ago the user signed in")
	f.StringVar(&a.Provider, "provider", "", "the provider that the user signed in with")
	f.BoolVar(&a.SecondFactor, "2fa", false, "the user signed in with a second factor")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printExplanation(cmd *cobra.Command, e web.Explanation) {
	out := cmd.OutOrStdout()
	fmt.Fprint(out, e.Outcome)
	if e.Rule != "" {
		fmt.Fprintf(out, ": %s", e.Rule)
	}
	fmt.Fprintln(out)
	if e.At != "" {
		fmt.Fprintf(out, "  rule at %s\n", e.At)
	}
	if e.Gate != "" {
		policy := "no policy, so that every user passes"
		if e.Policy != "" {
			policy = "policy " + e.Policy
		}
		fmt.Fprintf(out, "  %s, gate at %s\n", policy, e.Gate)
	}
	for _, n := range e.Notes {
		fmt.Fprintf(out, "  %s\n", n)
	}
}

// explain answers by the configuration of a command.
func (t *target) explain(q web.Question) (web.Explanation, error) {
	rt, forget, err := t.provisioned()
	if err != nil {
		return web.Explanation{}, err
	}
	defer forget()
	return rt.explain(q)
}
