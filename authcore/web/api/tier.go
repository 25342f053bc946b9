package api

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Limits bound what an organization may have; 0 is no bound.
type Limits struct {
	Services int      `json:"services" doc:"0 for no limit"`
	Members  int      `json:"members" doc:"0 for no limit"`
	Features []string `json:"features" doc:"that are switched on"`
}

// Tier is what organizations of a tier may have.
type Tier struct {
	Tier authcore.Tier `json:"tier"`
	Limits
}

// Overrides are what an organization has in place of what its tier says; what is missing
// is as the tier says.
type Overrides struct {
	Services *int      `json:"services,omitempty" doc:"0 for no limit"`
	Members  *int      `json:"members,omitempty" doc:"0 for no limit"`
	Features *[]string `json:"features,omitempty"`
}

// Allowance is what an organization may have, and what it has.
type Allowance struct {
	Limits
	Tier         Limits    `json:"tier" doc:"what its tier says"`
	Overrides    Overrides `json:"overrides" doc:"its own, in place of what its tier says"`
	UsedServices int       `json:"used_services"`
	UsedMembers  int       `json:"used_members"`
}

func limitsOf(l *authcore.Limits) Limits {
	return Limits{Services: l.Services, Members: l.Members, Features: append([]string{}, l.Features...)}
}

func tierOf(t *authcore.TierLimits) Tier { return Tier{Tier: t.Tier, Limits: limitsOf(&t.Limits)} }

// allowance answers with what the organization in the path may have.
func allowance(c *Call) (Allowance, error) {
	al, err := c.Accounts.AllowanceOf(c.Ctx, c.Actor, c.Slug())
	o := Overrides{Services: al.Overrides.Services, Members: al.Overrides.Members, Features: al.Overrides.Features}
	return Allowance{Limits: limitsOf(&al.Limits), Tier: limitsOf(&al.Tier), Overrides: o, UsedServices: al.UsedServices, UsedMembers: al.UsedMembers}, err
}

// tierRoutes are about what organizations may have, for those who run the installation.
var tierRoutes = []Route{
	{Method: http.MethodGet, Path: "/platform/tiers", ID: "listTiers", Summary: "Tiers, by name", Realm: Platform, Scope: ScopeOrganizationsManage,
		Do: whole(func(c *Call) ([]Tier, error) {
			found, err := c.Accounts.Tiers(c.Ctx, c.Actor)
			return each(found, tierOf), err
		})},
	{Method: http.MethodPut, Path: "/platform/tiers/{tier}", ID: "setTier", Summary: "Change what a tier allows, or make one", Realm: Platform, Scope: ScopeOrganizationsManage,
		Do: take(func(c *Call, in Limits) error {
			return c.Accounts.SetTier(c.Ctx, c.Actor, authcore.TierLimits{Tier: authcore.Tier(c.Place("tier")), Limits: authcore.Limits{Services: in.Services, Members: in.Members, Features: in.Features}})
		})},
	{Method: http.MethodPut, Path: "/platform/organizations/{slug}/limits", ID: "setLimits", Summary: "Give an organization limits and features of its own", Realm: Platform, Scope: ScopeOrganizationsManage,
		Do: with(func(c *Call, in Overrides) (Allowance, error) {
			if err := c.Accounts.SetOverrides(c.Ctx, c.Actor, c.Slug(), authcore.Overrides{Services: in.Services, Members: in.Members, Features: in.Features}); err != nil {
				return Allowance{}, err
			}
			return allowance(c)
		})},
}
