package caddymodule

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// roleLine is a role as the command line shows it.
type roleLine struct {
	Slug         authcore.Role         `json:"role"`
	Name         string                `json:"name"`
	Capabilities []authcore.Capability `json:"capabilities"`
	BuiltIn      bool                  `json:"built_in"`
}

// invitationLine is an invitation as the command line shows it.
type invitationLine struct {
	ID    authcore.InvitationID `json:"id"`
	Email string                `json:"email"`
	Role  authcore.Role         `json:"role"`
	Until time.Time             `json:"until"`
}

func listRoles(ctx context.Context, c *console, a organizationArgs) (any, error) {
	found, err := c.accounts.Roles(ctx, authcore.CommandLine(), a.Slug)
	lines := make([]roleLine, 0, len(found))
	for _, r := range found {
		lines = append(lines, roleLine{r.Slug, r.Name, r.Capabilities, r.BuiltIn})
	}
	return lines, err
}

func addRole(ctx context.Context, c *console, o authcore.Organization, a organizationArgs) error {
	return c.accounts.CreateRole(ctx, authcore.CommandLine(), o.Slug, authcore.RoleDefinition{Slug: a.Role, Name: a.Name, Capabilities: a.Capabilities})
}

func deleteRole(ctx context.Context, c *console, o authcore.Organization, a organizationArgs) error {
	return c.accounts.DeleteRole(ctx, authcore.CommandLine(), o.Slug, a.Role)
}

func inviteMember(ctx context.Context, c *console, a organizationArgs) (any, error) {
	if a.Mail != "" && c.origin == "" {
		return nil, errors.New("where the link leads is known to a server that runs, or with a portal: start Caddy first")
	}
	link, i, err := c.accounts.InviteMember(ctx, authcore.CommandLine(), a.Slug, authcore.NewInvitation{Email: a.Mail, Role: a.Role, Origin: c.origin})
	return map[string]string{"link": link.Reveal(), "until": i.ExpiresAt.Format(time.RFC1123)}, err
}

func listInvitations(ctx context.Context, c *console, a organizationArgs) (any, error) {
	found, err := c.accounts.Invitations(ctx, authcore.CommandLine(), a.Slug, authcore.ListQuery{After: a.After, Limit: a.Limit})
	lines := make([]invitationLine, 0, len(found))
	for _, i := range found {
		lines = append(lines, invitationLine{i.ID, i.Email, i.Role, i.ExpiresAt})
	}
	return lines, err
}
