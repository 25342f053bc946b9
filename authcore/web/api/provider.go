package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
)

// ProviderClient is an organization's own client at an outside provider.
type ProviderClient struct {
	Provider    string    `json:"provider"`
	ClientID    string    `json:"client_id"`
	RedirectURI string    `json:"redirect_uri" doc:"to be registered at the provider"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// ClientChange gives an organization a client, or another one.
type ClientChange struct {
	ClientID string `json:"client_id"`
	Secret   string `json:"secret" doc:"it is kept encrypted, and not shown again"`
}

func (c *Call) provider(p *authcore.ProviderClient) ProviderClient {
	return ProviderClient{Provider: p.Name, ClientID: p.ClientID, RedirectURI: connect.Redirect(c.Origin, p.Name), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
}

// providerRoutes are about the clients of an organization at providers.
var providerRoutes = []Route{
	{Method: http.MethodGet, Path: "/organizations/{slug}/providers", ID: "listProviders", Summary: "The organization's own clients at providers, by name", Realm: Organization, Need: authcore.IntegrationsManage,
		Do: whole(func(c *Call) ([]ProviderClient, error) {
			found, err := c.Accounts.OrganizationProviders(c.Ctx, c.Actor, c.Slug())
			return each(found, c.provider), err
		})},
	{Method: http.MethodPut, Path: "/organizations/{slug}/providers/{provider}", ID: "setProvider", Summary: "Give the organization a client of its own at a provider", Realm: Organization, Need: authcore.IntegrationsManage,
		Do: with(func(c *Call, in ClientChange) (ProviderClient, error) {
			name := c.Place("provider")
			if err := c.Accounts.SetOrganizationProvider(c.Ctx, c.Actor, c.Slug(), name, in.ClientID, authcore.Secret(in.Secret)); err != nil {
				return ProviderClient{}, err
			}
			p, err := c.Accounts.OrganizationProvider(c.Ctx, c.Actor, c.Slug(), name)
			return c.provider(&p), err
		})},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/providers/{provider}", ID: "deleteProvider", Summary: "Delete a client: the platform's takes its place", Realm: Organization, Need: authcore.IntegrationsManage,
		Do: do(func(c *Call) error {
			return c.Accounts.DeleteOrganizationProvider(c.Ctx, c.Actor, c.Slug(), c.Place("provider"))
		})},
}
