package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Role is a role with what it allows.
type Role struct {
	Slug         authcore.Role         `json:"slug"`
	Name         string                `json:"name"`
	Capabilities []authcore.Capability `json:"capabilities"`
	BuiltIn      bool                  `json:"built_in" doc:"every organization has it, and it cannot be changed"`
	CreatedAt    *time.Time            `json:"created_at,omitempty"`
	UpdatedAt    *time.Time            `json:"updated_at,omitempty"`
}

// NewRole is what a role of an organization's own is made of.
type NewRole struct {
	Slug         authcore.Role         `json:"slug" doc:"2 to 40 lower-case letters, digits, - and _"`
	Name         string                `json:"name,omitempty" doc:"to show; the slug where it is missing"`
	Capabilities []authcore.Capability `json:"capabilities"`
}

// RoleSettings are what a role is called and allows from now on.
type RoleSettings struct {
	Name         string                `json:"name"`
	Capabilities []authcore.Capability `json:"capabilities"`
}

// Capability is one thing that may be done in an organization.
type Capability struct {
	Capability authcore.Capability `json:"capability"`
	Roles      []authcore.Role     `json:"roles" doc:"those of every organization that have it"`
}

func roleOf(r *authcore.RoleDefinition) Role {
	return Role{Slug: r.Slug, Name: r.Name, Capabilities: append([]authcore.Capability{}, r.Capabilities...), BuiltIn: r.BuiltIn, CreatedAt: when(r.CreatedAt), UpdatedAt: when(r.UpdatedAt)}
}

// when is a time that may be missing.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// each views all that was read.
func each[T, A any](found []T, view func(*T) A) []A {
	var all []A
	for i := range found {
		all = append(all, view(&found[i]))
	}
	return all
}

func capabilities() []Capability {
	var all []Capability
	for _, one := range authcore.Capabilities {
		c := Capability{Capability: one, Roles: []authcore.Role{}}
		for _, r := range authcore.BuiltInRoles {
			if slices.Contains(r.Capabilities(), one) {
				c.Roles = append(c.Roles, r)
			}
		}
		all = append(all, c)
	}
	return all
}

// roleNow answers with a role as it is now.
func roleNow(c *Call, role authcore.Role, err error) (Role, error) {
	if err != nil {
		return Role{}, err
	}
	r, err := c.Accounts.Role(c.Ctx, c.Actor, c.Slug(), role)
	return roleOf(&r), err
}

// roleRoutes are about the roles of an organization.
var roleRoutes = []Route{
	{Method: http.MethodGet, Path: "/capabilities", ID: "listCapabilities", Summary: "What a role can allow", Realm: Everybody, Scope: ScopeAccountView,
		Do: whole(func(*Call) ([]Capability, error) { return capabilities(), nil })},
	{Method: http.MethodGet, Path: "/organizations/{slug}/roles", ID: "listRoles", Summary: "Roles, those of every organization first", Realm: Organization, Need: authcore.MembersView,
		Do: whole(func(c *Call) ([]Role, error) {
			found, err := c.Accounts.Roles(c.Ctx, c.Actor, c.Slug())
			return each(found, roleOf), err
		})},
	{Method: http.MethodPost, Path: "/organizations/{slug}/roles", ID: "createRole", Summary: "Make a role that allows nothing that one's own does not", Realm: Organization, Need: authcore.RolesManage, Creates: true,
		Do: with(func(c *Call, in NewRole) (Role, error) {
			return roleNow(c, in.Slug, c.Accounts.CreateRole(c.Ctx, c.Actor, c.Slug(), authcore.RoleDefinition{Slug: in.Slug, Name: in.Name, Capabilities: in.Capabilities}))
		})},
	{Method: http.MethodPut, Path: "/organizations/{slug}/roles/{role}", ID: "changeRole", Summary: "Change what a role is called and allows", Realm: Organization, Need: authcore.RolesManage,
		Do: with(func(c *Call, in RoleSettings) (Role, error) {
			role := authcore.Role(c.Place("role"))
			return roleNow(c, role, c.Accounts.ChangeRole(c.Ctx, c.Actor, c.Slug(), authcore.RoleDefinition{Slug: role, Name: in.Name, Capabilities: in.Capabilities}))
		})},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/roles/{role}", ID: "deleteRole", Summary: "Delete a role that nobody has", Realm: Organization, Need: authcore.RolesManage,
		Do: do(func(c *Call) error {
			return c.Accounts.DeleteRole(c.Ctx, c.Actor, c.Slug(), authcore.Role(c.Place("role")))
		})},
}
