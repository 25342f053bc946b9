package authcore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// Tier names what an organization may have.
type Tier string

// DefaultTier is that of a new organization.
const DefaultTier Tier = "free"

// Limits bound what an organization may have; a number of 0 is no bound.
type Limits struct {
	Services, Members int
	Features          []string // that are switched on, sorted
}

// Has tells whether a feature is switched on.
func (l *Limits) Has(feature string) bool { return slices.Contains(l.Features, feature) }

// TierLimits are what a tier allows.
type TierLimits struct {
	Tier Tier
	Limits
}

// Overrides are what an organization has in place of what its tier says; nil is as the
// tier says.
type Overrides struct {
	Services, Members *int
	Features          *[]string
}

// over gives the limits with the overrides.
func (o *Overrides) over(l Limits) Limits {
	if o.Services != nil {
		l.Services = *o.Services
	}
	if o.Members != nil {
		l.Members = *o.Members
	}
	if o.Features != nil {
		l.Features = *o.Features
	}
	return l
}

// Allowance is what an organization may have, and what it has.
type Allowance struct {
	Limits           // that hold
	Tier      Limits // what its tier says
	Overrides Overrides
	// What there is.
	UsedServices, UsedMembers int
}

// TierStore keeps what tiers allow. Every method that changes something is one transaction
// that writes its event along.
type TierStore interface {
	// Tiers lists all tiers by name.
	Tiers(ctx context.Context) ([]TierLimits, error)
	// SetTier changes what a tier allows, or makes one.
	SetTier(ctx context.Context, t TierLimits, ev Event) error
	// SetOrganizationTier changes the tier of an organization: ErrOrganizationNotFound,
	// ErrTierInvalid where there is no such tier.
	SetOrganizationTier(ctx context.Context, id OrganizationID, tier Tier, ev Event) error
	// SetOverrides changes what an organization has in place of what its tier says:
	// ErrOrganizationNotFound.
	SetOverrides(ctx context.Context, id OrganizationID, o Overrides, ev Event) error
	// Overrides reads them.
	Overrides(ctx context.Context, id OrganizationID) (Overrides, error)
	// Used counts services and members.
	Used(ctx context.Context, id OrganizationID) (services, members int, err error)
}

// The errors of tiers.
var (
	ErrTierInvalid    = &Error{Kind: Invalid, Code: "tier_invalid", Field: "tier", Message: "There is no such tier."}
	ErrLimitInvalid   = &Error{Kind: Invalid, Code: "limit_invalid", Field: "limit", Message: "A limit is a number from 1 to 1,000,000, or 0 for none."}
	ErrFeatureInvalid = &Error{Kind: Invalid, Code: "feature_invalid", Field: "features", Message: "A feature has up to 40 lower-case letters, digits, - and _; there can be 32 of them."}
)

// The bounds of limits.
const (
	maxLimit    = 1_000_000
	maxFeatures = 32
	maxTier     = 32 // characters
)

// normal checks limits and gives them in one form.
func (l Limits) normal() (Limits, error) {
	if l.Services < 0 || l.Services > maxLimit || l.Members < 0 || l.Members > maxLimit {
		return l, ErrLimitInvalid
	}
	all := slices.Clone(l.Features)
	slices.Sort(all)
	l.Features = slices.Compact(all)
	if len(l.Features) > maxFeatures {
		return l, ErrFeatureInvalid
	}
	for _, f := range l.Features {
		if len(f) > maxSlug || !access.ValidSlug(f) {
			return l, ErrFeatureInvalid
		}
	}
	return l, nil
}

func (l Limits) text() string {
	return fmt.Sprintf("services %d, members %d, features %s", l.Services, l.Members, cmp.Or(strings.Join(l.Features, " "), "none"))
}

// Tiers lists what tiers there are, for those who run the installation.
func (a *Accounts) Tiers(ctx context.Context, actor Actor) ([]TierLimits, error) {
	if err := a.platform(ctx, actor); err != nil {
		return nil, err
	}
	return a.Store.Tiers(ctx)
}

// SetTier changes what a tier allows, or makes a tier. What organizations have beyond that
// stays.
func (a *Accounts) SetTier(ctx context.Context, actor Actor, t TierLimits) error {
	if err := a.platform(ctx, actor); err != nil {
		return err
	}
	if len(t.Tier) > maxTier || CheckSlug(string(t.Tier)) != nil {
		return ErrTierInvalid
	}
	var err error
	if t.Limits, err = t.Limits.normal(); err != nil {
		return err
	}
	return a.Store.SetTier(ctx, t, a.event(actor, TierSet, "tier:"+string(t.Tier), Success, t.Limits.text()))
}

// SetOrganizationTier changes what an organization may have. What it has beyond that stays.
func (a *Accounts) SetOrganizationTier(ctx context.Context, actor Actor, slug string, tier Tier) error {
	o, err := a.platformOver(ctx, actor, slug)
	if err != nil {
		return err
	}
	return a.Store.SetOrganizationTier(ctx, o.ID, tier, a.eventIn(o, actor, OrganizationTier, string(tier)))
}

// SetOverrides says what an organization may have in place of what its tier says.
func (a *Accounts) SetOverrides(ctx context.Context, actor Actor, slug string, over Overrides) error {
	o, err := a.platformOver(ctx, actor, slug)
	if err != nil {
		return err
	}
	l, err := over.over(Limits{}).normal()
	if err != nil {
		return err
	}
	if over.Features != nil {
		over.Features = &l.Features
	}
	details := ""
	for _, n := range []struct {
		name string
		of   *int
	}{{"services", over.Services}, {"members", over.Members}} {
		if n.of != nil {
			details += fmt.Sprint(n.name, " ", *n.of, ", ")
		}
	}
	if over.Features != nil {
		details += "features " + cmp.Or(strings.Join(l.Features, " "), "none")
	}
	return a.Store.SetOverrides(ctx, o.ID, over, a.eventIn(o, actor, OrganizationLimits, cmp.Or(strings.TrimSuffix(details, ", "), "as the tier says")))
}

// AllowanceOf tells what an organization may have and has.
func (a *Accounts) AllowanceOf(ctx context.Context, actor Actor, slug string) (Allowance, error) {
	o, err := a.authorize(ctx, actor, slug, MembersView)
	if err != nil {
		return Allowance{}, err
	}
	al, err := a.allowance(ctx, o)
	if err == nil {
		al.UsedServices, al.UsedMembers, err = a.Store.Used(ctx, o.ID)
	}
	return al, err
}

// LimitsOf are the limits that hold for an organization.
func (a *Accounts) LimitsOf(ctx context.Context, o Organization) (Limits, error) {
	al, err := a.allowance(ctx, o)
	return al.Limits, err
}

func (a *Accounts) allowance(ctx context.Context, o Organization) (Allowance, error) {
	all, err := a.Store.Tiers(ctx)
	if err != nil {
		return Allowance{}, err
	}
	i := slices.IndexFunc(all, func(t TierLimits) bool { return t.Tier == o.Tier })
	if i < 0 {
		return Allowance{}, ErrTierInvalid // which no limit must follow from
	}
	al := Allowance{Tier: all[i].Limits}
	if al.Overrides, err = a.Store.Overrides(ctx, o.ID); err != nil {
		return Allowance{}, err
	}
	al.Limits = al.Overrides.over(al.Tier)
	return al, nil
}
