package caddymodule

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func organizationRole() *cobra.Command {
	cmd := &cobra.Command{Use: "role", Short: "An organization's roles of its own"}
	return parent(cmd, roleList(), roleAdd(), roleDelete())
}

func roleList() *cobra.Command {
	a := organizationArgs{}
	done := false
	next := func(c *connection) (page []roleLine, err error) {
		if done {
			return nil, nil
		}
		done = true
		return page, c.do("org.roles", a, &page)
	}
	cmd := listing("Lists the roles of an organization", "ROLE\tNAME\tCAPABILITIES", next, func(r roleLine) []string {
		return []string{string(r.Slug), r.Name, r.capabilities()}
	})
	return ofSlug(cmd, "list SLUG", &a)
}

// ofSlug makes the first argument of a listing the slug of an organization.
func ofSlug(cmd *cobra.Command, use string, a *organizationArgs) *cobra.Command {
	cmd.Use, cmd.Args = use, cobra.ExactArgs(1)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a.Slug = args[0]
		return run(cmd, args)
	}
	return cmd
}

func roleAdd() *cobra.Command {
	a := organizationArgs{}
	cmd := &cobra.Command{
		Use:     "add SLUG ROLE CAPABILITY…",
		Short:   "Makes a role of capabilities",
		Example: "  caddy gate org role add acme support org.members.view end_users.view end_users.manage",
		Args:    cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Slug, a.Role = args[0], authcore.Role(args[1])
			for _, c := range args[2:] {
				a.Capabilities = append(a.Capabilities, authcore.Capability(c))
			}
			return changeOrganization(cmd, "org.role.add", a, "Organization %s has the role "+args[1]+" now.")
		},
	}
	cmd.Flags().StringVar(&a.Name, "name", "", "what it is called (default: the slug)")
	return cmd
}

func roleDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete SLUG ROLE",
		Short: "Deletes a role that nobody has",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeOrganization(cmd, "org.role.delete", organizationArgs{Slug: args[0], Role: authcore.Role(args[1])}, "Organization %s has no role "+args[1]+" any more.")
		},
	}
}

func organizationInvite() *cobra.Command {
	a := organizationArgs{}
	cmd := &cobra.Command{
		Use:   "invite SLUG",
		Short: "Makes a link with which one person may join an organization",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Slug = args[0]
			return once(cmd, false, "org.invite", a, func(made map[string]string) string {
				if a.Mail != "" {
					return fmt.Sprintf("An invitation is on its way to %s, good for its user until %s.", a.Mail, made["until"])
				}
				return fmt.Sprintf("%s\n%sGood for one person until %s.", made["link"], howToUse(made["link"]), made["until"])
			})
		},
	}
	cmd.Flags().StringVar((*string)(&a.Role), "role", string(authcore.RoleMember), "the role that it gives")
	cmd.Flags().StringVar(&a.Mail, "mail", "", "send the link to this address; only its user may accept")
	return cmd
}

func organizationInvitations() *cobra.Command {
	a := organizationArgs{Limit: pageSize}
	next := func(c *connection) (page []invitationLine, err error) {
		if err = c.do("org.invitations", a, &page); len(page) > 0 {
			a.After = string(page[len(page)-1].ID)
		}
		return page, err
	}
	cmd := listing("Lists the invitations of an organization that wait", "FOR\tROLE\tUNTIL", next, func(i invitationLine) []string {
		who := i.Email
		if who == "" {
			who = "whoever has the link"
		}
		return []string{who, string(i.Role), i.Until.Format(time.DateOnly)}
	})
	return ofSlug(cmd, "invitations SLUG", &a)
}

func (r *roleLine) capabilities() string {
	all := make([]string, 0, len(r.Capabilities))
	for _, c := range r.Capabilities {
		all = append(all, string(c))
	}
	return strings.Join(all, " ")
}
