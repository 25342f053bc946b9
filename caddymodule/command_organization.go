package caddymodule

import (
	"cmp"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func organizationCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "org",
		Short: "Organizations and their members",
		Long: `Organizations are customers, or teams, with members who have roles: owner, admin and
member, and those that an organization makes. Policies name them: "allow org:acme", "allow role:acme/admin". Only an active
organization counts; one that is suspended lets nobody in from the next request on.`,
	}
	return parent(cmd, organizationAdd(), organizationList(), organizationShow(), organizationStep("approve", "Lets an organization that waits begin", false),
		organizationStep("reject", "Turns an organization that waits down", true), organizationStep("suspend", "Stops an organization for a while", true),
		organizationStep("activate", "Lets an organization that was suspended go on", false), organizationTier(), organizationRequire(), organizationDelete(),
		organizationMembers(), organizationMember(), organizationExpel(),
		organizationRole(), organizationInvite(), organizationInvitations())
}

// changeOrganization carries out an operation on one organization and says so, with its
// slug for the %s in it.
func changeOrganization(cmd *cobra.Command, name string, a organizationArgs, said string) error {
	return once(cmd, false, name, a, func(o organizationLine) string { return fmt.Sprintf(said, o.Slug) })
}

func organizationAdd() *cobra.Command {
	a := organizationArgs{}
	cmd := &cobra.Command{
		Use:     "add SLUG",
		Short:   "Makes an organization, with the user who owns it",
		Example: "  caddy gate org add acme --name 'Acme Inc.' --owner alice",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Slug = args[0]
			return once(cmd, false, "org.add", a, func(o organizationLine) string {
				return fmt.Sprintf("Organization %s is %s.", o.Slug, o.Status)
			})
		},
	}
	cmd.Flags().StringVar(&a.Name, "name", "", "what it is called (default: the slug)")
	cmd.Flags().StringVar(&a.User, "owner", "", "the user who owns it")
	cmd.Flags().BoolVar(&a.Pending, "pending", false, "it waits to be approved")
	_ = cmd.MarkFlagRequired("owner")
	return cmd
}

func organizationList() *cobra.Command {
	a := organizationArgs{Limit: pageSize}
	next := func(c *connection) (page []organizationLine, err error) {
		if err = c.do("org.list", a, &page); len(page) > 0 {
			a.After = page[len(page)-1].Slug
		}
		return page, err
	}
	cmd := listing("Lists the organizations", "SLUG\tNAME\tSTATUS\tTIER\tSINCE\tREASON", next, func(o organizationLine) []string {
		return []string{o.Slug, o.Name, string(o.Status), string(o.Tier), o.Created.Format(time.DateOnly), o.Reason}
	})
	cmd.Flags().StringVar((*string)(&a.Status), "status", "", "only those that are pending, active, rejected or suspended")
	return cmd
}

func organizationShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show SLUG",
		Short: "Shows an organization",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return connected(cmd, false, func(c *connection) error {
				var o organizationLine
				if err := c.do("org.show", organizationArgs{Slug: args[0]}, &o); err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), []organizationLine{o})
				}
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				for _, row := range [][2]string{{"Organization", o.Slug}, {"Name", o.Name}, {"Status", string(o.Status)}, {"Reason", o.Reason}, {"Tier", string(o.Tier)},
					{"Second factor required", cmp.Or(yes(o.Factor), "no")}, {"Since", o.Created.Format(time.DateOnly)}} {
					fmt.Fprintf(table, "%s:\t%s\n", row[0], cmp.Or(row[1], "-"))
				}
				return table.Flush()
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func organizationStep(step, short string, reason bool) *cobra.Command {
	a := organizationArgs{Step: step}
	cmd := &cobra.Command{
		Use:   step + " SLUG",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Slug = args[0]
			return once(cmd, false, "org.step", a, func(o organizationLine) string {
				return fmt.Sprintf("Organization %s is %s now.", o.Slug, o.Status)
			})
		},
	}
	if reason {
		cmd.Flags().StringVar(&a.Reason, "reason", "", "why; the organization is told")
		_ = cmd.MarkFlagRequired("reason")
	}
	return cmd
}

func organizationTier() *cobra.Command {
	return &cobra.Command{
		Use:   "tier SLUG TIER",
		Short: "Says what an organization may have: free, starter, pro, enterprise or another tier",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeOrganization(cmd, "org.tier", organizationArgs{Slug: args[0], Tier: authcore.Tier(args[1])}, "Organization %s has the tier "+args[1]+" now.")
		},
	}
}

func organizationRequire() *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use:   "require-factor SLUG",
		Short: "Requires a second factor of all members for everything; --off lifts that",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			said := "Members of %s need a second factor from now on."
			if off {
				said = "Members of %s need a second factor only where a policy asks for one."
			}
			return changeOrganization(cmd, "org.require", organizationArgs{Slug: args[0], Required: !off}, said)
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "leave it to the policies again")
	return cmd
}

func organizationDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete SLUG",
		Short: "Deletes an organization; its members stay users",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeOrganization(cmd, "org.delete", organizationArgs{Slug: args[0]}, "Organization %s is deleted.")
		},
	}
}

func organizationMembers() *cobra.Command {
	a := organizationArgs{Limit: pageSize}
	next := func(c *connection) (page []memberLine, err error) {
		if err = c.do("org.members", a, &page); len(page) > 0 {
			a.After = authcore.UsernameKey(page[len(page)-1].Username)
		}
		return page, err
	}
	cmd := listing("Lists the members of an organization", "USERNAME\tNAME\tROLE\tSINCE", next, func(m memberLine) []string {
		return []string{m.Username, m.Name, string(m.Role), m.Since.Format(time.DateOnly)}
	})
	return ofSlug(cmd, "members SLUG", &a)
}

func organizationMember() *cobra.Command {
	a := organizationArgs{}
	cmd := &cobra.Command{
		Use:   "member SLUG NAME",
		Short: "Makes a user a member of an organization, or gives another role",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Slug, a.User = args[0], args[1]
			return changeOrganization(cmd, "org.member", a, args[1]+" is "+string(a.Role)+" of %s now.")
		},
	}
	cmd.Flags().StringVar((*string)(&a.Role), "role", string(authcore.RoleMember), "owner, admin or member, or one of the organization's own")
	return cmd
}

func organizationExpel() *cobra.Command {
	return &cobra.Command{
		Use:   "expel SLUG NAME",
		Short: "Takes a user out of an organization",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeOrganization(cmd, "org.expel", organizationArgs{Slug: args[0], User: args[1]}, args[1]+" is no member of %s any more.")
		},
	}
}
