package authcore

import (
	"context"
	"time"
)

// Membership is one user's place in an organization.
type Membership struct {
	Organization OrganizationID
	Slug         string
	Role         Role
	Status       OrganizationStatus // only in an active one it counts
	// FactorRequired says that the organization asks its members for a second factor.
	FactorRequired bool
}

// Member is a user in an organization, as lists show one.
type Member struct {
	User      UserID
	Username  string
	Name      string
	Role      Role
	Status    Status
	CreatedAt time.Time
}

// MemberQuery asks for members of an organization.
type MemberQuery struct {
	Prefix string // of the username, in any case; empty for any
	Order  Order
	After  string // Place of the last one of the page before
	Limit  int
}

// MemberChange makes a user a member, or gives a member another role.
type MemberChange struct {
	Organization OrganizationID
	User         UserID
	From         Role // which the member has; empty for who is none
	To           Role
}

// MemberStore keeps the members of organizations. Every method that changes something is
// one transaction that writes its event along, and locks the organization.
type MemberStore interface {
	// SetMember changes a user's place: ErrUserNotFound, ErrOrganizationNotFound,
	// ErrRoleNotFound, ErrMemberChanged where From is not so any more, ErrBarred,
	// ErrMemberLimit, ErrLastOrganizationOwner.
	SetMember(ctx context.Context, c MemberChange, ev Event) error
	// RemoveMember takes a user with a role out, and withdraws what only a member has: the
	// access to services, and the invitations that the user made. ErrMemberNotFound,
	// ErrMemberChanged, ErrLastOrganizationOwner.
	RemoveMember(ctx context.Context, id OrganizationID, user UserID, role Role, ev Event) error
	// TransferOwnership makes an active member an owner, and the owner who gives it an
	// admin: ErrMemberNotFound, ErrMemberDisabled, ErrMemberChanged where from is no owner.
	TransferOwnership(ctx context.Context, id OrganizationID, from, to UserID, ev Event) error
	// Memberships lists the places of a user, by slug.
	Memberships(ctx context.Context, user UserID) ([]Membership, error)
	// Members reads a page of members. That takes longer the more members there are.
	Members(ctx context.Context, id OrganizationID, q MemberQuery) ([]Member, error)
	// MemberOf finds one member, or returns ErrMemberNotFound.
	MemberOf(ctx context.Context, id OrganizationID, user UserID) (Member, error)
	// RoleOf is the role of a user in an organization; empty for none.
	RoleOf(ctx context.Context, id OrganizationID, user UserID) (Role, error)
}

// The errors of members.
var (
	ErrMemberNotFound        = &Error{Kind: NotFound, Code: "member_not_found", Message: "This user is not a member of the organization."}
	ErrMemberChanged         = &Error{Kind: Conflict, Code: "member_changed", Message: "Somebody else has changed this member just now. Load the page again."}
	ErrMemberDisabled        = &Error{Kind: Conflict, Code: "member_disabled", Message: "This user is disabled."}
	ErrAlreadyMember         = &Error{Kind: Conflict, Code: "already_member", Message: "This user is a member of the organization already."}
	ErrMemberLimit           = &Error{Kind: Conflict, Code: "member_limit_exceeded", Message: "The organization has as many members as its tier allows."}
	ErrLastOrganizationOwner = &Error{Kind: Conflict, Code: "last_organization_owner", Message: "The organization would be left without an owner who is active. Make another member an owner first."}
)

// Members lists the members of an organization, as MemberStore does.
func (a *Accounts) Members(ctx context.Context, actor Actor, slug string, q MemberQuery) ([]Member, error) {
	o, err := a.authorize(ctx, actor, slug, MembersView)
	if err != nil {
		return nil, err
	}
	return a.Store.Members(ctx, o.ID, q)
}

// Member gives one member of an organization, for who manages them. ErrMemberNotFound.
func (a *Accounts) Member(ctx context.Context, actor Actor, slug string, user UserID) (Member, error) {
	o, err := a.authorize(ctx, actor, slug, MembersManage)
	if err != nil {
		return Member{}, err
	}
	return a.Store.MemberOf(ctx, o.ID, user)
}

// AddMember makes a user a member at once, which is for those who run the installation:
// others invite. ErrAlreadyMember.
func (a *Accounts) AddMember(ctx context.Context, actor Actor, slug string, user UserID, role Role) error {
	o, err := a.platformOver(ctx, actor, slug)
	if err != nil {
		return err
	}
	if err := role.Validate(); err != nil {
		return err
	}
	was, err := a.Store.RoleOf(ctx, o.ID, user)
	if err == nil && was != "" {
		err = ErrAlreadyMember
	}
	if err != nil {
		return err
	}
	return a.setMember(ctx, actor, o, MemberChange{Organization: o.ID, User: user, To: role})
}

// SetMember gives a member of an organization another role; those who run the installation
// also make members of users with it. Nobody gives or takes a role that allows more than
// their own: ErrBeyondOwn. ErrMemberNotFound.
func (a *Accounts) SetMember(ctx context.Context, actor Actor, slug string, user UserID, role Role) error {
	s, err := a.authorized(ctx, actor, slug, MembersManage)
	if err != nil {
		return err
	}
	if role == RoleOwner { // with which the organization would be given away
		if err := actor.inPerson(); err != nil {
			return err
		}
	}
	was, err := a.Store.RoleOf(ctx, s.Organization.ID, user)
	switch {
	case err != nil:
		return err
	case was == "" && s.Platform:
		return a.AddMember(ctx, actor, slug, user, role)
	case was == "":
		return ErrMemberNotFound
	}
	for _, r := range []Role{was, role} {
		if err := a.mayTouch(ctx, &s, r); err != nil {
			return err
		}
	}
	return a.setMember(ctx, actor, s.Organization, MemberChange{Organization: s.Organization.ID, User: user, From: was, To: role})
}

func (a *Accounts) setMember(ctx context.Context, actor Actor, o Organization, c MemberChange) error {
	err := a.Store.SetMember(ctx, c, a.eventIn(o, actor, MemberSet, string(c.To)+": user "+string(c.User)))
	if err == nil {
		a.changed(ChangeUser, string(c.User))
	}
	return err
}

// RemoveMember takes a user out of an organization: not one whose role allows more than
// the actor's.
func (a *Accounts) RemoveMember(ctx context.Context, actor Actor, slug string, user UserID) error {
	s, err := a.authorized(ctx, actor, slug, MembersManage)
	if err != nil {
		return err
	}
	was, err := a.Store.RoleOf(ctx, s.Organization.ID, user)
	if err == nil && was == "" {
		err = ErrMemberNotFound
	}
	if err == nil {
		err = a.mayTouch(ctx, &s, was)
	}
	if err != nil {
		return err
	}
	return a.removeMember(ctx, actor, s.Organization, user, was, MemberRemove)
}

func (a *Accounts) removeMember(ctx context.Context, actor Actor, o Organization, user UserID, role Role, action Action) error {
	err := a.Store.RemoveMember(ctx, o.ID, user, role, a.eventIn(o, actor, action, string(role)+": user "+string(user)))
	if err == nil {
		a.changed(ChangeUser, string(user))
	}
	return err
}

// LeaveOrganization takes the user who acts out of an organization, whatever its status.
// The last active owner stays: ErrLastOrganizationOwner.
func (a *Accounts) LeaveOrganization(ctx context.Context, actor Actor, slug string) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	s, err := a.Standing(ctx, actor, slug)
	if err != nil {
		return err
	}
	if s.Role == "" {
		return ErrMemberNotFound
	}
	return a.removeMember(ctx, actor, s.Organization, actor.User, s.Role, MemberLeave)
}

// TransferOwnership makes another member the owner in the place of the owner who acts, and
// who becomes an admin. ErrMemberNotFound, ErrMemberDisabled.
func (a *Accounts) TransferOwnership(ctx context.Context, actor Actor, slug string, to UserID) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	s, err := a.authorized(ctx, actor, slug, MembersManage)
	if err != nil {
		return err
	}
	switch {
	case s.Role != RoleOwner:
		return ErrNotAllowed
	case to == actor.User:
		return ErrAlreadyMember
	}
	err = a.Store.TransferOwnership(ctx, s.Organization.ID, actor.User, to, a.eventIn(s.Organization, actor, OwnershipTransfer, "to user "+string(to)))
	if err == nil {
		a.changed(ChangeUser, string(actor.User))
		a.changed(ChangeUser, string(to))
	}
	return err
}
