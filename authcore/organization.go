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

// Organization is a customer: its members, with roles.
type Organization struct {
	ID     OrganizationID
	Slug   string // names it in addresses and policies; see CheckSlug
	Name   string // to show
	Status OrganizationStatus
	Reason string // of a rejection or suspension
	Tier   Tier
	// FactorRequired says that nothing opens to a member without a second factor.
	FactorRequired bool
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// OrganizationStore keeps organizations. Every method is one transaction that writes its
// event along; what it changes for members counts on every node.
type OrganizationStore interface {
	// CreateOrganization adds an organization with its first owner, who must be there:
	// ErrSlugTaken, ErrUserNotFound.
	CreateOrganization(ctx context.Context, o Organization, owner UserID, ev Event) error
	// OrganizationBySlug finds one, or returns ErrOrganizationNotFound.
	OrganizationBySlug(ctx context.Context, slug string) (Organization, error)
	// OrganizationByID finds one, or returns ErrOrganizationNotFound.
	OrganizationByID(ctx context.Context, id OrganizationID) (Organization, error)
	// SetOrganizationStatus changes the status from one of some, or returns
	// ErrOrganizationState; ErrOrganizationNotFound.
	SetOrganizationStatus(ctx context.Context, id OrganizationID, from []OrganizationStatus, to OrganizationStatus, reason string, ev Event) error
	// SetOrganizationFactor says whether members need a second factor for everything:
	// ErrOrganizationNotFound.
	SetOrganizationFactor(ctx context.Context, id OrganizationID, required bool, ev Event) error
	// RenameOrganization changes the name to show: ErrOrganizationNotFound.
	RenameOrganization(ctx context.Context, id OrganizationID, name string, ev Event) error
	// DeleteOrganization deletes one with all that is its: ErrOrganizationNotFound.
	DeleteOrganization(ctx context.Context, id OrganizationID, ev Event) error
}

// The errors of organizations.
var (
	ErrOrganizationNotFound = &Error{Kind: NotFound, Code: "organization_not_found", Message: "There is no such organization."}
	ErrSlugTaken            = &Error{Kind: Conflict, Code: "slug_taken", Field: "slug", Message: "Another organization has this short name, or had it."}
	ErrSlugInvalid          = &Error{Kind: Invalid, Code: "slug_invalid", Field: "slug", Message: "A short name has 2 to 40 lower-case letters, digits, - and _, and begins with a letter or a digit."}
	ErrOrganizationState    = &Error{Kind: Conflict, Code: "organization_state", Message: "That cannot be done with the organization as it is now."}
	ErrReasonRequired       = &Error{Kind: Invalid, Code: "reason_required", Field: "reason", Message: "Please give a reason: the organization is told it."}
	ErrOrganizationsOff     = &Error{Kind: Forbidden, Code: "organization_register_disabled", Message: "Only platform owners make organizations here. Ask one of them."}
	ErrTooManyWaiting       = &Error{Kind: Conflict, Code: "too_many_organizations", Message: "You have organizations that wait to be approved. Come back when that is done."}
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

// maxWaiting is how many organizations of one user can wait at a time.
const maxWaiting = 3

// RegisterOrganization makes an organization that waits for a platform owner, with the
// user who is to own it. By the word of an operator or platform owner it is active at once;
// others make one for themselves where OrganizationsOpen says so, which waits: ErrNotOwner,
// ErrOrganizationsOff, ErrTooManyWaiting.
func (a *Accounts) RegisterOrganization(ctx context.Context, actor Actor, slug, name string, owner UserID, active bool) (Organization, error) {
	if err := a.mayRegisterOrganization(ctx, actor, owner, active); err != nil {
		return Organization{}, err
	}
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
	err := a.Store.CreateOrganization(ctx, o, owner, a.eventIn(o, actor, OrganizationCreate, o.Slug+", "+string(o.Status)))
	if err == nil {
		a.changed(ChangeUser, string(owner))
	}
	return o, err
}

// mayRegisterOrganization decides whether an actor may make an organization that a user is
// to own.
func (a *Accounts) mayRegisterOrganization(ctx context.Context, actor Actor, owner UserID, active bool) error {
	err := a.platform(ctx, actor)
	if !ErrNotOwner.is(err) {
		return err
	}
	switch {
	case active || owner == "" || owner != actor.User:
		return err
	case !a.OrganizationsOpen:
		return ErrOrganizationsOff
	}
	places, err := a.Store.Memberships(ctx, owner)
	waiting := 0
	for _, m := range places {
		if m.Role == RoleOwner && m.Status == OrganizationPending {
			waiting++
		}
	}
	if err == nil && waiting >= maxWaiting {
		err = ErrTooManyWaiting
	}
	return err
}

// TargetOrganization is the target text for an organization.
func TargetOrganization(id OrganizationID) string { return "organization:" + string(id) }

// eventIn makes an event of now about something of an organization.
func (a *Accounts) eventIn(o Organization, actor Actor, action Action, details string) Event {
	return a.event(actor, action, TargetOrganization(o.ID), Success, details).In(o.ID)
}

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
// activate; to reject and to suspend need a reason. Only those who run the installation
// may. It counts at once: the members of an organization that is not active are none.
func (a *Accounts) StepOrganization(ctx context.Context, actor Actor, slug, step, reason string) error {
	o, err := a.platformOver(ctx, actor, slug)
	if err != nil {
		return err
	}
	s, ok := organizationSteps[step]
	if !ok {
		return ErrOrganizationState
	}
	reason = clean(strings.TrimSpace(reason), maxReason)
	if s.reason && reason == "" {
		return ErrReasonRequired
	}
	return a.afterOrganization(a.Store.SetOrganizationStatus(ctx, o.ID, s.from, s.to, reason, a.eventIn(o, actor, s.action, reason)))
}

// platformOver finds an organization for those who run the installation; ErrNotOwner for
// others, whether it is there or not.
func (a *Accounts) platformOver(ctx context.Context, actor Actor, slug string) (Organization, error) {
	if err := a.platform(ctx, actor); err != nil {
		return Organization{}, err
	}
	return a.Store.OrganizationBySlug(ctx, slug)
}

// RequireFactor says whether nothing opens to the members of an organization without a
// second factor, whatever policies say. It counts while the organization is active, from
// the next request on: who has none is asked to set one up.
func (a *Accounts) RequireFactor(ctx context.Context, actor Actor, slug string, required bool) error {
	o, err := a.authorize(ctx, actor, slug, SettingsManage)
	if err != nil {
		return err
	}
	details := "required of members"
	if !required {
		details = "not required of members any more"
	}
	return a.afterOrganization(a.Store.SetOrganizationFactor(ctx, o.ID, required, a.eventIn(o, actor, FactorRequire, details)))
}

// RenameOrganization changes what an organization is called.
func (a *Accounts) RenameOrganization(ctx context.Context, actor Actor, slug, name string) error {
	o, err := a.authorize(ctx, actor, slug, SettingsManage)
	if err != nil {
		return err
	}
	name = strings.TrimSpace(name)
	if name == "" {
		name = o.Slug
	}
	if err := CheckName(name); err != nil {
		return err
	}
	return a.Store.RenameOrganization(ctx, o.ID, name, a.eventIn(o, actor, OrganizationUpdate, name))
}

// DeleteOrganization deletes an organization with all that is its; its members stay users.
// Its owners may, whatever its status, and those who run the installation.
func (a *Accounts) DeleteOrganization(ctx context.Context, actor Actor, slug string) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	s, err := a.Standing(ctx, actor, slug)
	if err != nil {
		return err
	}
	o := s.Organization
	switch {
	case s.Platform:
	case s.Role != RoleOwner:
		return ErrNotAllowed
	case o.Status == OrganizationSuspended: // what is being looked into is not wiped out
		return ErrOrganizationState
	}
	return a.afterOrganization(a.Store.DeleteOrganization(ctx, o.ID, a.eventIn(o, actor, OrganizationDelete, o.Slug)))
}

// afterOrganization makes a change to an organization count here at once: for its members,
// and for those who use its services, who need not be members. err is the outcome of the
// change.
func (a *Accounts) afterOrganization(err error) error { return a.ended("", err) }
