package authcore

import (
	"context"
	"slices"
	"strings"
)

// maxWaiting is how many organizations that wait one user can have.
const maxWaiting = 3

// The errors of registering organizations.
var (
	ErrOrganizationsOff = &Error{Kind: Forbidden, Code: "organization_register_disabled", Message: "Only platform owners make organizations here. Ask one of them."}
	ErrTooManyWaiting   = &Error{Kind: Conflict, Code: "too_many_waiting", Message: "Three organizations of yours wait for approval already."}
)

// mayRegisterOrganization decides whether an actor may make an organization that a user is to own.
func (a *Accounts) mayRegisterOrganization(ctx context.Context, actor Actor, owner UserID, active bool) error {
	switch err := a.platform(ctx, actor); {
	case !ErrNotOwner.is(err):
		return err
	case active || actor.User == "" || owner != actor.User:
		return err
	case !a.OrganizationsOpen:
		return ErrOrganizationsOff
	}
	places, err := a.Store.Memberships(ctx, owner)
	waiting := 0
	for _, m := range places {
		if m.Status == OrganizationPending && m.Role == RoleOwner {
			waiting++
		}
	}
	if err == nil && waiting >= maxWaiting {
		err = ErrTooManyWaiting
	}
	return err
}

// RenameOrganization changes the name of an organization that is shown.
func (a *Accounts) RenameOrganization(ctx context.Context, actor Actor, slug, name string) (Organization, error) {
	o, err := a.authorize(ctx, actor, slug, SettingsManage)
	if err != nil {
		return o, err
	}
	if name = strings.TrimSpace(name); name == "" {
		return o, &Error{Kind: Invalid, Code: "name_invalid", Field: "name", Message: "Please give the organization a name."}
	}
	if err := CheckName(name); err != nil {
		return o, err
	}
	ev := a.event(actor, OrganizationUpdate, TargetOrganization(o.ID), Success, name)
	o.Name, o.UpdatedAt = name, ev.Time
	return o, a.Store.RenameOrganization(ctx, o.ID, name, ev)
}

// MembersOf reads a page of the members of an organization, in the order of the users' ids.
func (a *Accounts) MembersOf(ctx context.Context, actor Actor, slug string, after UserID, limit int) ([]Member, error) {
	o, err := a.authorize(ctx, actor, slug, MembersView)
	if err != nil {
		return nil, err
	}
	return a.Store.FindMembers(ctx, o.ID, after, limit)
}

// GiveRole changes the role of a member. Nobody gives a role, or takes one away, that
// allows more than they may do themselves. Who runs the installation can make any user a
// member; others cannot: whoever is to join is invited.
func (a *Accounts) GiveRole(ctx context.Context, actor Actor, slug string, user UserID, role Role) (Member, error) {
	s, err := a.overMember(ctx, actor, slug, user)
	if err != nil && (!ErrMemberNotFound.is(err) || !s.Platform) {
		return Member{}, err
	}
	if err := role.Validate(); err != nil {
		return Member{}, err
	}
	if !s.covers(role) {
		return Member{}, ErrNotAllowed
	}
	if err := a.SetMember(ctx, actor, s.Organization, user, role); err != nil {
		return Member{}, err
	}
	return a.Store.MemberOf(ctx, s.Organization.ID, user)
}

// ExpelMember takes a member out of an organization. Members can take themselves out.
func (a *Accounts) ExpelMember(ctx context.Context, actor Actor, slug string, user UserID) error {
	s, err := a.overMember(ctx, actor, slug, user)
	if err != nil && actor.User == user && s.Role != "" {
		err = nil
	}
	if err != nil {
		return err
	}
	return a.RemoveMember(ctx, actor, s.Organization, user)
}

// overMember decides whether an actor may change the place of a user in an organization.
func (a *Accounts) overMember(ctx context.Context, actor Actor, slug string, user UserID) (Standing, error) {
	s, err := a.Standing(ctx, actor, slug)
	if err == nil {
		err = s.May(MembersManage)
	}
	if err != nil {
		return s, err
	}
	m, err := a.Store.MemberOf(ctx, s.Organization.ID, user)
	if err == nil && !s.covers(m.Role) {
		err = ErrNotAllowed
	}
	return s, err
}

// covers tells whether who stands so may do all that a role allows.
func (s *Standing) covers(role Role) bool {
	return !slices.ContainsFunc(builtIn[role], func(c Capability) bool { return !slices.Contains(s.Capabilities, c) })
}
