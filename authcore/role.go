package authcore

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Role is what a member may do in an organization, by its slug: one of those that every
// organization has, or one of its own.
type Role string

// The roles that every organization has. They cannot be changed.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
)

// BuiltInRoles are those that every organization has.
var BuiltInRoles = []Role{RoleOwner, RoleAdmin, RoleMember}

// BuiltIn tells whether every organization has the role.
func (r Role) BuiltIn() bool { return slices.Contains(BuiltInRoles, r) }

// Capabilities are those of a role that every organization has; none of another.
func (r Role) Capabilities() []Capability { return slices.Clone(builtIn[r]) }

// Validate refuses what cannot be the slug of a role in a policy ("role:acme/helper").
func (r Role) Validate() error {
	if CheckSlug(string(r)) != nil {
		return ErrRoleInvalid
	}
	return nil
}

// RoleDefinition is a role with what it allows.
type RoleDefinition struct {
	Slug         Role
	Name         string // to show
	Capabilities []Capability
	BuiltIn      bool
	CreatedAt    time.Time // zero for one that is built in
	UpdatedAt    time.Time
}

// MaxRoles is how many roles of its own an organization can have.
const MaxRoles = 50

// RoleStore keeps the roles that organizations make. Every method that changes something
// is one transaction that writes its event along.
type RoleStore interface {
	// CreateRole adds a role: ErrRoleTaken, ErrTooManyRoles, ErrOrganizationNotFound.
	CreateRole(ctx context.Context, id OrganizationID, r RoleDefinition, ev Event) error
	// ChangeRole changes name and capabilities: ErrRoleNotFound.
	ChangeRole(ctx context.Context, id OrganizationID, r RoleDefinition, ev Event) error
	// DeleteRole deletes a role that no member and no invitation has: ErrRoleInUse,
	// ErrRoleNotFound.
	DeleteRole(ctx context.Context, id OrganizationID, role Role, ev Event) error
	// Roles lists the roles that an organization has made, by slug.
	Roles(ctx context.Context, id OrganizationID) ([]RoleDefinition, error)
	// RoleBySlug finds one of those, or returns ErrRoleNotFound.
	RoleBySlug(ctx context.Context, id OrganizationID, role Role) (RoleDefinition, error)
}

// The errors of roles.
var (
	ErrRoleInvalid       = &Error{Kind: Invalid, Code: "role_invalid", Field: "role", Message: "A role is owner, admin or member, or one of the organization's own: 2 to 40 lower-case letters, digits, - and _."}
	ErrRoleNotFound      = &Error{Kind: NotFound, Code: "role_not_found", Field: "role", Message: "The organization has no such role."}
	ErrRoleTaken         = &Error{Kind: Conflict, Code: "role_taken", Field: "slug", Message: "The organization has a role of this name."}
	ErrRoleBuiltIn       = &Error{Kind: Conflict, Code: "role_built_in", Field: "role", Message: "Every organization has this role. It cannot be changed."}
	ErrRoleInUse         = &Error{Kind: Conflict, Code: "role_in_use", Message: "Members or invitations have this role. Give them another one first."}
	ErrTooManyRoles      = &Error{Kind: Conflict, Code: "too_many_roles", Message: "The organization has as many roles of its own as it can have."}
	ErrCapabilityInvalid = &Error{Kind: Invalid, Code: "capability_invalid", Field: "capabilities", Message: "There is no such capability."}
	ErrBeyondOwn         = &Error{Kind: Forbidden, Code: "beyond_own_role", Message: "This role allows more than yours. Ask an owner of the organization."}
)

// builtInRole is a role that every organization has.
func builtInRole(r Role) RoleDefinition {
	name := string(r)
	return RoleDefinition{Slug: r, Name: strings.ToUpper(name[:1]) + name[1:], Capabilities: builtIn[r], BuiltIn: true}
}

// check refuses what is no role of an organization's own.
func (r *RoleDefinition) check() error {
	if r.Name = strings.TrimSpace(r.Name); r.Name == "" {
		r.Name = string(r.Slug)
	}
	if err := r.Slug.Validate(); err != nil {
		return err
	}
	if r.Slug.BuiltIn() {
		return ErrRoleBuiltIn
	}
	if err := CheckName(r.Name); err != nil {
		return err
	}
	var sorted []Capability // in one order, each once
	for _, c := range Capabilities {
		if slices.Contains(r.Capabilities, c) {
			sorted = append(sorted, c)
		}
	}
	for _, c := range r.Capabilities {
		if !slices.Contains(Capabilities, c) {
			return ErrCapabilityInvalid
		}
	}
	r.Capabilities = sorted
	return nil
}

// text is the role for an event.
func (r *RoleDefinition) text() string {
	all := make([]string, 0, len(r.Capabilities))
	for _, c := range r.Capabilities {
		all = append(all, string(c))
	}
	return string(r.Slug) + ": " + strings.Join(all, " ")
}

// capabilitiesOf are those of a role of an organization.
func (a *Accounts) capabilitiesOf(ctx context.Context, id OrganizationID, role Role) ([]Capability, error) {
	if role.BuiltIn() {
		return builtIn[role], nil
	}
	r, err := a.Store.RoleBySlug(ctx, id, role)
	return r.Capabilities, err
}

// Roles lists the roles of an organization, those that every one has first.
func (a *Accounts) Roles(ctx context.Context, actor Actor, slug string) ([]RoleDefinition, error) {
	o, err := a.authorize(ctx, actor, slug, MembersView)
	if err != nil {
		return nil, err
	}
	own, err := a.Store.Roles(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	var all []RoleDefinition
	for _, r := range BuiltInRoles {
		all = append(all, builtInRole(r))
	}
	return append(all, own...), nil
}

// Role gives one role of an organization, for who manages them. ErrRoleNotFound.
func (a *Accounts) Role(ctx context.Context, actor Actor, slug string, role Role) (RoleDefinition, error) {
	o, err := a.authorize(ctx, actor, slug, RolesManage)
	if err != nil {
		return RoleDefinition{}, err
	}
	if role.BuiltIn() {
		return builtInRole(role), nil
	}
	return a.Store.RoleBySlug(ctx, o.ID, role)
}

// CreateRole makes a role of an organization's own, which allows nothing that the actor's
// does not: ErrBeyondOwn.
func (a *Accounts) CreateRole(ctx context.Context, actor Actor, slug string, r RoleDefinition) error {
	s, err := a.authorized(ctx, actor, slug, RolesManage)
	if err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	if err := s.covers(r.Capabilities); err != nil {
		return err
	}
	r.CreatedAt = a.Now()
	r.UpdatedAt = r.CreatedAt
	return a.Store.CreateRole(ctx, s.Organization.ID, r, a.eventIn(s.Organization, actor, RoleCreate, r.text()))
}

// ChangeRole changes what a role of an organization's own is called and allows. Neither
// before nor afterwards may it allow what the actor's does not: ErrBeyondOwn.
func (a *Accounts) ChangeRole(ctx context.Context, actor Actor, slug string, r RoleDefinition) error {
	s, err := a.authorized(ctx, actor, slug, RolesManage)
	if err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	if err := a.mayTouch(ctx, &s, r.Slug); err != nil {
		return err
	}
	if err := s.covers(r.Capabilities); err != nil {
		return err
	}
	r.UpdatedAt = a.Now()
	return a.Store.ChangeRole(ctx, s.Organization.ID, r, a.eventIn(s.Organization, actor, RoleChange, r.text()))
}

// DeleteRole deletes a role of an organization's own that nobody has: ErrRoleInUse.
func (a *Accounts) DeleteRole(ctx context.Context, actor Actor, slug string, role Role) error {
	s, err := a.authorized(ctx, actor, slug, RolesManage)
	if err != nil {
		return err
	}
	if role.BuiltIn() {
		return ErrRoleBuiltIn
	}
	if err := a.mayTouch(ctx, &s, role); err != nil {
		return err
	}
	return a.Store.DeleteRole(ctx, s.Organization.ID, role, a.eventIn(s.Organization, actor, RoleDelete, string(role)))
}

// mayTouch tells whether somebody may change, give or take a role: one that allows nothing
// that theirs does not. That of owners only owners may, whatever the others can do.
func (a *Accounts) mayTouch(ctx context.Context, s *Standing, role Role) error {
	if err := role.Validate(); err != nil {
		return err
	}
	if role == RoleOwner && s.Role != RoleOwner && !s.Platform {
		return ErrBeyondOwn
	}
	all, err := a.capabilitiesOf(ctx, s.Organization.ID, role)
	if err != nil {
		return err
	}
	return s.covers(all)
}
