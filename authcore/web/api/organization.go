package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// OrganizationView is an organization.
type OrganizationView struct {
	ID     authcore.OrganizationID     `json:"id"`
	Slug   string                      `json:"slug"`
	Name   string                      `json:"name"`
	Status authcore.OrganizationStatus `json:"status" enum:"pending active rejected suspended"`
	Reason string                      `json:"reason" doc:"of a rejection or suspension"`
	Tier   authcore.Tier               `json:"tier"`
	// FactorRequired is said by the organization, for all its members.
	FactorRequired bool      `json:"factor_required" doc:"nothing opens to its members without a second factor"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// OrganizationDetails is an organization with what who asks may do in it.
type OrganizationDetails struct {
	OrganizationView
	Role         authcore.Role         `json:"role" doc:"of who asks; empty for a platform owner who is no member"`
	Capabilities []authcore.Capability `json:"capabilities"`
}

// NewOrganization is what an organization is made of.
type NewOrganization struct {
	Slug string `json:"slug" doc:"2 to 40 lower-case letters, digits, - and _"`
	Name string `json:"name,omitempty" doc:"to show; the slug where it is missing"`
}

// OrganizationChange changes what is there.
type OrganizationChange struct {
	Name           *string `json:"name,omitempty"`
	FactorRequired *bool   `json:"factor_required,omitempty" doc:"of all members, for everything"`
}

// Successor becomes the owner in the place of who gives it, who becomes an admin.
type Successor struct {
	UserID authcore.UserID `json:"user_id"`
}

// Reason is why an organization is rejected or suspended: it is told.
type Reason struct {
	Reason string `json:"reason"`
}

// TierChange changes what an organization may have.
type TierChange struct {
	Tier authcore.Tier `json:"tier"`
}

func organizationOf(o *authcore.Organization) OrganizationView {
	return OrganizationView{ID: o.ID, Slug: o.Slug, Name: o.Name, Status: o.Status, Reason: o.Reason, Tier: o.Tier, FactorRequired: o.FactorRequired, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt}
}

// organizationPage reads a page of organizations.
func organizationPage(c *Call, q authcore.OrganizationQuery) (Page[OrganizationView], error) {
	q.Order, q.After, q.Limit = c.Order, c.After, c.Limit
	found, err := c.Accounts.Organizations(c.Ctx, c.Actor, q)
	return Page[OrganizationView]{Items: each(found.Organizations, organizationOf), Next: found.Next}, err
}

// standing answers with the organization in the path as it is now.
func standing(c *Call) (OrganizationDetails, error) {
	s, err := c.Accounts.Standing(c.Ctx, c.Actor, c.Slug())
	return OrganizationDetails{OrganizationView: organizationOf(&s.Organization), Role: s.Role, Capabilities: append([]authcore.Capability{}, s.Capabilities...)}, err
}

// organizationRoutes are about the organizations of who asks.
var organizationRoutes = []Route{
	{Method: http.MethodGet, Path: "/organizations", ID: "listMyOrganizations", Summary: "The organizations in which one has a place", Realm: Everybody, Scope: ScopeAccountView, Orders: authcore.OrganizationOrders,
		Do: list(func(c *Call) (Page[OrganizationView], error) {
			return organizationPage(c, authcore.OrganizationQuery{Member: c.Actor.User})
		})},
	{Method: http.MethodPost, Path: "/organizations", ID: "registerOrganization", Summary: "Register an organization of one's own; it waits for a platform owner unless one registers it", Realm: Everybody, Scope: ScopeOrganizationsCreate, Creates: true,
		Do: with(func(c *Call, in NewOrganization) (OrganizationView, error) {
			active := c.Accounts.MayRunPlatform(c.Ctx, c.Actor) == nil
			o, err := c.Accounts.RegisterOrganization(c.Ctx, c.Actor, in.Slug, in.Name, c.Actor.User, active)
			return organizationOf(&o), err
		})},
	{Method: http.MethodGet, Path: "/organizations/{slug}", ID: "getOrganization", Summary: "One organization, and what one may do in it", Realm: Organization, Scope: ScopeAccountView, Do: give(standing)},
	{Method: http.MethodPatch, Path: "/organizations/{slug}", ID: "changeOrganization", Summary: "Change the settings of an organization", Realm: Organization, Need: authcore.SettingsManage,
		Do: with(func(c *Call, in OrganizationChange) (OrganizationDetails, error) {
			if in.Name == nil && in.FactorRequired == nil {
				return OrganizationDetails{}, invalid("nothing_to_change", "", "Say what is to change: name or factor_required.")
			}
			if in.Name != nil {
				if err := c.Accounts.RenameOrganization(c.Ctx, c.Actor, c.Slug(), *in.Name); err != nil {
					return OrganizationDetails{}, err
				}
			}
			if in.FactorRequired != nil {
				if err := c.Accounts.RequireFactor(c.Ctx, c.Actor, c.Slug(), *in.FactorRequired); err != nil {
					return OrganizationDetails{}, err
				}
			}
			return standing(c)
		})},
	{Method: http.MethodDelete, Path: "/organizations/{slug}", ID: "deleteMyOrganization", Summary: "Delete an organization of one's own, with all that is its", Realm: Organization, Owners: true, Scope: ScopeOrganizationOwn,
		Do: do(func(c *Call) error { return c.Accounts.DeleteOrganization(c.Ctx, c.Actor, c.Slug()) })},
	{Method: http.MethodPost, Path: "/organizations/{slug}/transfer", ID: "transferOwnership", Summary: "Make another member the owner in one's own place", Realm: Organization, Owners: true, Scope: ScopeOrganizationOwn,
		Do: take(func(c *Call, in Successor) error {
			return c.Accounts.TransferOwnership(c.Ctx, c.Actor, c.Slug(), in.UserID)
		})},
	{Method: http.MethodGet, Path: "/organizations/{slug}/limits", ID: "getLimits", Summary: "What an organization may have, and has", Realm: Organization, Need: authcore.MembersView, Do: give(allowance)},
}

// organizationNow answers with the organization in the path after a change by who runs
// the installation.
func organizationNow(c *Call, err error) (OrganizationView, error) {
	if err != nil {
		return OrganizationView{}, err
	}
	o, err := c.Accounts.OrganizationBySlug(c.Ctx, c.Actor, c.Slug())
	return organizationOf(&o), err
}

func step(name string) Handler {
	return give(func(c *Call) (OrganizationView, error) {
		return organizationNow(c, c.Accounts.StepOrganization(c.Ctx, c.Actor, c.Slug(), name, ""))
	})
}

func stepWithReason(name string) Handler {
	return with(func(c *Call, in Reason) (OrganizationView, error) {
		return organizationNow(c, c.Accounts.StepOrganization(c.Ctx, c.Actor, c.Slug(), name, in.Reason))
	})
}

// platformOrganizationRoutes are about all organizations of the installation.
var platformOrganizationRoutes = []Route{
	{Method: http.MethodGet, Path: "/platform/organizations", ID: "listOrganizations", Summary: "All organizations", Realm: Platform, Scope: ScopeOrganizationsManage, Orders: authcore.OrganizationOrders,
		Params: []Param{{Name: "q", Doc: "what the slug begins with"}, {Name: "status", Form: Word, Values: []string{"pending", "active", "rejected", "suspended"}}},
		Do: list(func(c *Call) (Page[OrganizationView], error) {
			return organizationPage(c, authcore.OrganizationQuery{Prefix: c.Param("q"), Status: authcore.OrganizationStatus(c.Param("status"))})
		})},
	{Method: http.MethodGet, Path: "/platform/organizations/{slug}", ID: "getAnyOrganization", Summary: "Any organization", Realm: Platform, Scope: ScopeOrganizationsManage,
		Do: give(func(c *Call) (OrganizationView, error) { return organizationNow(c, nil) })},
	{Method: http.MethodPost, Path: "/platform/organizations/{slug}/approve", ID: "approveOrganization", Summary: "Approve one that waits or was rejected", Realm: Platform, Scope: ScopeOrganizationsManage, Do: step("approve")},
	{Method: http.MethodPost, Path: "/platform/organizations/{slug}/reject", ID: "rejectOrganization", Summary: "Reject one that waits", Realm: Platform, Scope: ScopeOrganizationsManage, Do: stepWithReason("reject")},
	{Method: http.MethodPost, Path: "/platform/organizations/{slug}/suspend", ID: "suspendOrganization", Summary: "Suspend one that is active", Realm: Platform, Scope: ScopeOrganizationsManage, Do: stepWithReason("suspend")},
	{Method: http.MethodPost, Path: "/platform/organizations/{slug}/activate", ID: "activateOrganization", Summary: "Activate one that is suspended", Realm: Platform, Scope: ScopeOrganizationsManage, Do: step("activate")},
	{Method: http.MethodPut, Path: "/platform/organizations/{slug}/tier", ID: "setOrganizationTier", Summary: "Change what an organization may have", Realm: Platform, Scope: ScopeOrganizationsManage,
		Do: with(func(c *Call, in TierChange) (OrganizationView, error) {
			return organizationNow(c, c.Accounts.SetOrganizationTier(c.Ctx, c.Actor, c.Slug(), in.Tier))
		})},
	{Method: http.MethodDelete, Path: "/platform/organizations/{slug}", ID: "deleteOrganization", Summary: "Delete an organization, with all that is its", Realm: Platform, Scope: ScopeOrganizationsManage,
		Do: do(func(c *Call) error { return c.Accounts.DeleteOrganization(c.Ctx, c.Actor, c.Slug()) })},
}
