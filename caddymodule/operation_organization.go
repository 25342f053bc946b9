package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

type organizationArgs struct {
	Slug, Name, User string
	Step, Reason     string
	Status           authcore.OrganizationStatus
	Tier             authcore.Tier
	Role             authcore.Role
	After            string
	Pending          bool
	Required         bool
	Capabilities     []authcore.Capability
	Mail             string
	Limit            int
}

// organizationLine is an organization as the command line shows it.
type organizationLine struct {
	ID      authcore.OrganizationID     `json:"id"`
	Slug    string                      `json:"slug"`
	Name    string                      `json:"name"`
	Status  authcore.OrganizationStatus `json:"status"`
	Reason  string                      `json:"reason"`
	Tier    authcore.Tier               `json:"tier"`
	Factor  bool                        `json:"second_factor_required"`
	Created time.Time                   `json:"created_at"`
}

func organizationLineOf(o authcore.Organization) organizationLine {
	return organizationLine{o.ID, o.Slug, o.Name, o.Status, o.Reason, o.Tier, o.FactorRequired, o.CreatedAt}
}

// memberLine is a member as the command line shows one.
type memberLine struct {
	User     authcore.UserID `json:"user_id"`
	Username string          `json:"username"`
	Name     string          `json:"name"`
	Role     authcore.Role   `json:"role"`
	Since    time.Time       `json:"member_since"`
}

func addOrganization(ctx context.Context, c *console, a organizationArgs) (any, error) {
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return nil, err
	}
	o, err := c.accounts.RegisterOrganization(ctx, authcore.CommandLine(), a.Slug, a.Name, u.ID, !a.Pending)
	return organizationLineOf(o), err
}

func listOrganizations(ctx context.Context, c *console, a organizationArgs) (any, error) {
	found, err := c.accounts.Organizations(ctx, authcore.CommandLine(), authcore.OrganizationQuery{Status: a.Status, After: a.After, Limit: a.Limit})
	lines := make([]organizationLine, 0, len(found.Organizations))
	for _, o := range found.Organizations {
		lines = append(lines, organizationLineOf(o))
	}
	return lines, err
}

// withOrganization finds the organization that an operation is about, and gives it as it
// is afterwards.
func withOrganization(do func(ctx context.Context, c *console, o authcore.Organization, a organizationArgs) error) operation {
	return with(func(ctx context.Context, c *console, a organizationArgs) (any, error) {
		o, err := c.db.OrganizationBySlug(ctx, a.Slug)
		if err != nil {
			return nil, err
		}
		if err := do(ctx, c, o, a); err != nil {
			return nil, err
		}
		if now, err := c.db.OrganizationBySlug(ctx, a.Slug); err == nil {
			o = now
		}
		return organizationLineOf(o), nil
	})
}

func stepOrganization(ctx context.Context, c *console, o authcore.Organization, a organizationArgs) error {
	err := c.accounts.StepOrganization(ctx, authcore.CommandLine(), o.Slug, a.Step, a.Reason)
	if errors.Is(err, authcore.ErrOrganizationState) {
		return fmt.Errorf("organization %s is %s: it cannot %s from there", o.Slug, o.Status, map[string]string{
			"approve": "be approved", "reject": "be rejected", "suspend": "be suspended", "activate": "be activated"}[a.Step])
	}
	return err
}

func setTier(ctx context.Context, c *console, o authcore.Organization, a organizationArgs) error {
	return c.accounts.SetOrganizationTier(ctx, authcore.CommandLine(), o.Slug, a.Tier)
}

// requireMembersFactor says whether members need a second factor for everything.
func requireMembersFactor(ctx context.Context, c *console, o authcore.Organization, a organizationArgs) error {
	return c.accounts.RequireFactor(ctx, authcore.CommandLine(), o.Slug, a.Required)
}

func deleteOrganization(ctx context.Context, c *console, o authcore.Organization, _ organizationArgs) error {
	return c.accounts.DeleteOrganization(ctx, authcore.CommandLine(), o.Slug)
}

func setMember(ctx context.Context, c *console, o authcore.Organization, a organizationArgs) error {
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return err
	}
	return c.accounts.SetMember(ctx, authcore.CommandLine(), o.Slug, u.ID, a.Role)
}

func removeMember(ctx context.Context, c *console, o authcore.Organization, a organizationArgs) error {
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return err
	}
	return c.accounts.RemoveMember(ctx, authcore.CommandLine(), o.Slug, u.ID)
}

func listMembers(ctx context.Context, c *console, a organizationArgs) (any, error) {
	found, err := c.accounts.Members(ctx, authcore.CommandLine(), a.Slug, authcore.MemberQuery{After: a.After, Limit: a.Limit})
	lines := make([]memberLine, 0, len(found))
	for _, m := range found {
		lines = append(lines, memberLine{m.User, m.Username, m.Name, m.Role, m.CreatedAt})
	}
	return lines, err
}
