package authcore

import (
	"context"
	"slices"
)

// Capability is one thing that may be done in an organization.
type Capability string

// The capabilities.
const (
	SettingsManage     Capability = "org.settings.manage"
	MembersView        Capability = "org.members.view"
	MembersManage      Capability = "org.members.manage"
	RolesManage        Capability = "org.roles.manage"
	ServicesView       Capability = "services.view"
	ServicesCreate     Capability = "services.create"
	ServicesManage     Capability = "services.manage"
	EndUsersView       Capability = "end_users.view"
	EndUsersManage     Capability = "end_users.manage"
	WebhooksManage     Capability = "webhooks.manage"
	IntegrationsManage Capability = "integrations.manage"
	AuditView          Capability = "audit.view"
	RiskView           Capability = "risk.view"
	RiskManage         Capability = "risk.manage"
	BillingManage      Capability = "billing.manage"
)

// Capabilities are all that there are.
var Capabilities = []Capability{SettingsManage, MembersView, MembersManage, RolesManage, ServicesView, ServicesCreate, ServicesManage,
	EndUsersView, EndUsersManage, WebhooksManage, IntegrationsManage, AuditView, RiskView, RiskManage, BillingManage}

// builtIn are the capabilities of the roles that every organization has.
var builtIn = map[Role][]Capability{
	RoleOwner:  Capabilities,
	RoleAdmin:  slices.DeleteFunc(slices.Clone(Capabilities), func(c Capability) bool { return c == BillingManage }),
	RoleMember: {MembersView, ServicesView},
}

// Standing is what an actor may do in one organization.
type Standing struct {
	Organization Organization
	Role         Role      // empty for who is no member
	Platform     bool      // a platform owner, or the operator at the command line: may do everything
	Service      ServiceID // whose API key acts, which reaches no further; empty for people
	Capabilities []Capability
}

// The errors of what somebody may not do.
var (
	ErrNotAllowed = &Error{Kind: Forbidden, Code: "not_allowed", Message: "Your role does not allow this. Ask an owner of the organization."}
	ErrNotOwner   = &Error{Kind: Forbidden, Code: "not_owner", Message: "Only platform owners may do this."}
)

// May returns ErrNotAllowed where the actor lacks a capability, and ErrOrganizationState
// where the organization is not active, in which only platform owners change anything.
func (s *Standing) May(need Capability) error {
	switch {
	case s.Platform:
		return nil
	case !slices.Contains(s.Capabilities, need):
		return ErrNotAllowed
	case s.Organization.Status != OrganizationActive:
		return ErrOrganizationState
	}
	return nil
}

// covers returns ErrBeyondOwn where some capability is not among the actor's: nobody gives
// what they lack.
func (s *Standing) covers(all []Capability) error {
	for _, c := range all {
		if !s.Platform && !slices.Contains(s.Capabilities, c) {
			return ErrBeyondOwn
		}
	}
	return nil
}

// Standing finds what an actor may do in the organization with a slug. Whoever has no place
// in it gets ErrOrganizationNotFound, as if there was none.
func (a *Accounts) Standing(ctx context.Context, actor Actor, slug string) (Standing, error) {
	platform := a.platform(ctx, actor)
	if platform != nil && !ErrNotOwner.is(platform) && !ErrImpersonating.is(platform) {
		return Standing{}, platform
	}
	o, err := a.Store.OrganizationBySlug(ctx, slug)
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Organization: o, Platform: platform == nil}
	switch {
	case actor.Kind == ActorService:
		err = a.keyStanding(ctx, actor, &s)
	case actor.User != "":
		err = a.memberStanding(ctx, actor.User, &s)
	}
	if err != nil {
		return Standing{}, err
	}
	switch {
	case s.Platform:
		s.Capabilities = Capabilities
	case s.Role == "" && s.Service == "":
		return Standing{}, ErrOrganizationNotFound
	}
	return s, nil
}

// memberStanding fills in what a user may do as a member.
func (a *Accounts) memberStanding(ctx context.Context, user UserID, s *Standing) error {
	places, err := a.Store.Memberships(ctx, user)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(places, func(m Membership) bool { return m.Organization == s.Organization.ID })
	if i < 0 {
		return nil
	}
	s.Role = places[i].Role
	s.Capabilities, err = a.capabilitiesOf(ctx, s.Organization.ID, s.Role)
	if ErrRoleNotFound.is(err) { // it was deleted between the two readings, and the member has another
		err = nil
	}
	return err
}

// authorize is the one place that decides whether an actor may do something in an
// organization, which it finds by its slug.
func (a *Accounts) authorize(ctx context.Context, actor Actor, slug string, need Capability) (Organization, error) {
	s, err := a.authorized(ctx, actor, slug, need)
	return s.Organization, err
}

// authorized is authorize for those who want to know more of the actor.
func (a *Accounts) authorized(ctx context.Context, actor Actor, slug string, need Capability) (Standing, error) {
	s, err := a.Standing(ctx, actor, slug)
	if err == nil {
		err = s.May(need)
	}
	if err != nil {
		return Standing{}, err
	}
	return s, nil
}

// platform returns ErrNotOwner unless the actor runs the installation: an active platform
// owner, or the operator at the command line.
//
// Whoever acts as a user has left that behind: ErrImpersonating.
func (a *Accounts) platform(ctx context.Context, actor Actor) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	switch actor.Kind {
	case ActorCommand, ActorSystem:
		return nil
	case ActorUser, ActorToken:
		if actor.Ordinary {
			return ErrNotOwner
		}
		u, _, err := a.Store.UserByID(ctx, actor.User)
		if err == nil && (!u.Owner || u.Status != Active) {
			err = ErrNotOwner
		}
		return err
	}
	return ErrNotOwner
}

// over returns ErrNotOwner unless the actor acts on their own account, or runs the
// installation; and ErrImpersonating for who acts as the user.
func (a *Accounts) over(ctx context.Context, actor Actor, user UserID) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	if user != "" && actor.User == user {
		return nil
	}
	return a.platform(ctx, actor)
}
