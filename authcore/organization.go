package authcore

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// OrganizationID is a UUIDv7 in its text form.
type OrganizationID string

// OrganizationStatus is where an organization is in its life.
type OrganizationStatus string

// The statuses. Only an active organization counts for anything.
const (
	OrganizationPending   OrganizationStatus = "pending" // waits for a platform owner
	OrganizationActive    OrganizationStatus = "active"
	OrganizationRejected  OrganizationStatus = "rejected"
	OrganizationSuspended OrganizationStatus = "suspended"
)

// Tier names what an organization may have.
type Tier string

// Limits bound what an organization may have; 0 is no bound.
type Limits struct{ Services, Members int }

// Tiers are the tiers that there are, with their limits.
var Tiers = map[Tier]Limits{"free": {2, 3}, "starter": {10, 10}, "pro": {50, 50}, "enterprise": {}}

// DefaultTier is that of a new organization.
const DefaultTier Tier = "free"

// Organization is a customer: its members, with roles.
type Organization struct {
	ID        OrganizationID
	Slug      string // names it in addresses and policies; see CheckSlug
	Name      string // to show
	Status    OrganizationStatus
	Reason    string // of a rejection or suspension
	Tier      Tier
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Role is what a member may do in an organization, by its slug.
type Role string

// The roles that every organization has.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
)

// Validate refuses what is no role.
func (r Role) Validate() error {
	switch r {
	case RoleOwner, RoleAdmin, RoleMember:
		return nil
	}
	return &Error{Kind: Invalid, Code: "role_invalid", Field: "role", Message: "A role is owner, admin or member."}
}

// Membership is one user's place in an organization.
type Membership struct {
	Organization OrganizationID
	Slug         string
	Role         Role
	Status       OrganizationStatus // only in an active one it counts
}

// Member is a user in an organization, as lists show one.
type Member struct {
	User      UserID
	Username  string
	Name      string
	Role      Role
	CreatedAt time.Time
}

// OrganizationStore keeps organizations. Every method is one transaction that writes its
// event along; what it changes for members counts on every node.
type OrganizationStore interface {
	// CreateOrganization adds an organization with its first owner, who must be there:
	// ErrSlugTaken, ErrUserNotFound.
	CreateOrganization(ctx context.Context, o Organization, owner UserID, ev Event) error
	// OrganizationBySlug finds one, or returns ErrOrganizationNotFound.
	OrganizationBySlug(ctx context.Context, slug string) (Organization, error)
	// Organizations lists them in the order of their slugs, after one of them; of one
	// status, or all where that is empty.
	Organizations(ctx context.Context, status OrganizationStatus, after string, limit int) ([]Organization, error)
	// SetOrganizationStatus changes the status from one of some, or returns
	// ErrOrganizationState; ErrOrganizationNotFound.
	SetOrganizationStatus(ctx context.Context, id OrganizationID, from []OrganizationStatus, to OrganizationStatus, reason string, ev Event) error
	// SetOrganizationTier changes the tier: ErrOrganizationNotFound.
	SetOrganizationTier(ctx context.Context, id OrganizationID, tier Tier, ev Event) error
	// DeleteOrganization deletes one with all that is its: ErrOrganizationNotFound.
	DeleteOrganization(ctx context.Context, id OrganizationID, ev Event) error
	// SetMember makes a user a member with a role, or changes the role: ErrUserNotFound,
	// ErrOrganizationNotFound, ErrMemberLimit where there are most members already,
	// ErrLastOrganizationOwner.
	SetMember(ctx context.Context, id OrganizationID, user UserID, role Role, most int, ev Event) error
	// RemoveMember takes a user out: ErrMemberNotFound, ErrLastOrganizationOwner.
	RemoveMember(ctx context.Context, id OrganizationID, user UserID, ev Event) error
	// Memberships lists the places of a user, by slug.
	Memberships(ctx context.Context, user UserID) ([]Membership, error)
	// Members lists the members in the order of their usernames, after one of them.
	Members(ctx context.Context, id OrganizationID, after string, limit int) ([]Member, error)
}

// The errors of organizations.
var (
	ErrOrganizationNotFound  = &Error{Kind: NotFound, Code: "organization_not_found", Message: "There is no such organization."}
	ErrSlugTaken             = &Error{Kind: Conflict, Code: "slug_taken", Field: "slug", Message: "Another organization has this short name."}
	ErrSlugInvalid           = &Error{Kind: Invalid, Code: "slug_invalid", Field: "slug", Message: "A short name has 2 to 40 lower-case letters, digits, - and _, and begins with a letter or a digit."}
	ErrOrganizationState     = &Error{Kind: Conflict, Code: "organization_state", Message: "That cannot be done with the organization as it is now."}
	ErrReasonRequired        = &Error{Kind: Invalid, Code: "reason_required", Field: "reason", Message: "Please give a reason: the organization is told it."}
	ErrTierInvalid           = &Error{Kind: Invalid, Code: "tier_invalid", Field: "tier", Message: "A tier is free, starter, pro or enterprise."}
	ErrMemberNotFound        = &Error{Kind: NotFound, Code: "member_not_found", Message: "This user is not a member of the organization."}
	ErrMemberLimit           = &Error{Kind: Conflict, Code: "member_limit_exceeded", Message: "The organization has as many members as its tier allows."}
	ErrLastOrganizationOwner = &Error{Kind: Conflict, Code: "last_organization_owner", Message: "The organization would be left without an owner. Make another member an owner first."}
)

// The bounds of slugs, in characters.
const (
	minSlug = 2
	maxSlug = 40
)

// CheckSlug refuses what cannot name an organization in policies and addresses.
func CheckSlug(slug string) error {
	if len(slug) < minSlug || len(slug) > maxSlug || !access.ValidSlug(slug) || strings.Trim(slug[:1], "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return ErrSlugInvalid
	}
	return nil
}

// maxReason is the longest reason that is kept, in bytes.
const maxReason = 512

// RegisterOrganization makes an organization that waits for a platform owner, with the
// user who is to own it. By the word of an operator or platform owner it is active at once.
func (a *Accounts) RegisterOrganization(ctx context.Context, actor Actor, slug, name string, owner UserID, active bool) (Organization, error) {
	now := a.Now()
	o := Organization{ID: OrganizationID(uuid.Must(uuid.NewV7()).String()), Slug: strings.TrimSpace(slug), Name: strings.TrimSpace(name), Status: OrganizationPending,
		Tier: DefaultTier, CreatedAt: now, UpdatedAt: now}
	if o.Name == "" {
		o.Name = o.Slug
	}
	if err := CheckSlug(o.Slug); err != nil {
		return o, err
	}
	if err := CheckName(o.Name); err != nil {
		return o, err
	}
	if active {
		o.Status = OrganizationActive
	}
	err := a.Store.CreateOrganization(ctx, o, owner, a.event(actor, OrganizationCreate, TargetOrganization(o.ID), Success, o.Slug+", "+string(o.Status)).In(o.ID))
	if err == nil {
		a.changed(ChangeUser, string(owner))
	}
	return o, err
}

// TargetOrganization is the target text for an organization.
func TargetOrganization(id OrganizationID) string { return "organization:" + string(id) }

// organizationStep is one step in the life of an organization.
type organizationStep struct {
	from   []OrganizationStatus
	to     OrganizationStatus
	action Action
	reason bool // one is needed
}

// The steps that platform owners take.
var organizationSteps = map[string]organizationStep{
	"approve":  {[]OrganizationStatus{OrganizationPending, OrganizationRejected}, OrganizationActive, OrganizationApprove, false},
	"reject":   {[]OrganizationStatus{OrganizationPending}, OrganizationRejected, OrganizationReject, true},
	"suspend":  {[]OrganizationStatus{OrganizationActive}, OrganizationSuspended, OrganizationSuspend, true},
	"activate": {[]OrganizationStatus{OrganizationSuspended}, OrganizationActive, OrganizationActivate, false},
}

// StepOrganization takes a step in the life of an organization: approve, reject, suspend or
// activate; to reject and to suspend need a reason. It counts at once: the members of an
// organization that is not active are none.
func (a *Accounts) StepOrganization(ctx context.Context, actor Actor, id OrganizationID, step, reason string) error {
	s, ok := organizationSteps[step]
	if !ok {
		return ErrOrganizationState
	}
	reason = clean(strings.TrimSpace(reason), maxReason)
	if s.reason && reason == "" {
		return ErrReasonRequired
	}
	return a.afterOrganization(a.Store.SetOrganizationStatus(ctx, id, s.from, s.to, reason, a.event(actor, s.action, TargetOrganization(id), Success, reason).In(id)), id)
}

// SetOrganizationTier changes what an organization may have. What it has beyond that stays.
func (a *Accounts) SetOrganizationTier(ctx context.Context, actor Actor, id OrganizationID, tier Tier) error {
	if _, ok := Tiers[tier]; !ok {
		return ErrTierInvalid
	}
	return a.Store.SetOrganizationTier(ctx, id, tier, a.event(actor, OrganizationTier, TargetOrganization(id), Success, string(tier)).In(id))
}

// DeleteOrganization deletes an organization, with its members' places in it.
func (a *Accounts) DeleteOrganization(ctx context.Context, actor Actor, id OrganizationID) error {
	return a.afterOrganization(a.Store.DeleteOrganization(ctx, id, a.event(actor, OrganizationDelete, TargetOrganization(id), Success, "").In(id)), id)
}

// afterOrganization makes a change to an organization count for its members here at once.
func (a *Accounts) afterOrganization(err error, id OrganizationID) error {
	if err == nil {
		a.changed(ChangeOrganization, string(id))
	}
	return err
}

// SetMember makes a user a member of an organization with a role, or changes the role.
func (a *Accounts) SetMember(ctx context.Context, actor Actor, o Organization, user UserID, role Role) error {
	if err := role.Validate(); err != nil {
		return err
	}
	err := a.Store.SetMember(ctx, o.ID, user, role, Tiers[o.Tier].Members, a.event(actor, MemberSet, TargetOrganization(o.ID), Success, string(role)+": user "+string(user)).In(o.ID))
	if err == nil {
		a.changed(ChangeUser, string(user))
	}
	return err
}

// RemoveMember takes a user out of an organization.
func (a *Accounts) RemoveMember(ctx context.Context, actor Actor, o Organization, user UserID) error {
	err := a.Store.RemoveMember(ctx, o.ID, user, a.event(actor, MemberRemove, TargetOrganization(o.ID), Success, "user "+string(user)).In(o.ID))
	if err == nil {
		a.changed(ChangeUser, string(user))
	}
	return err
}
