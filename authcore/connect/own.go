package connect

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Clients gives the client that an organization has of its own at the provider of a name;
// an empty id where it has none.
type Clients func(ctx context.Context, organization, name string) (clientID string, secret authcore.Secret, err error)

// WithOwn gives the providers with a Resolver: those of the platform, each with the client
// that an organization has of its own there.
func (ps *Providers) WithOwn(clients Clients) *Providers {
	all := ps.All()
	return NewProviders(all, func(ctx context.Context, organization, name string) (*Provider, error) {
		for _, p := range all {
			if p.Name != name {
				continue
			}
			id, secret, err := clients(ctx, organization, name)
			if id == "" || err != nil {
				return nil, err
			}
			return p.with(id, secret), nil
		}
		return nil, nil
	})
}

// with is the same provider with another client, which is asked as the first one is.
func (p *Provider) with(clientID string, secret authcore.Secret) *Provider {
	own := &Provider{Settings: p.Settings, kind: p.kind, client: p.client, now: p.now}
	own.ClientID, own.ClientSecret, own.AppleKey = clientID, secret, AppleKey{}
	own.known.Store(p.known.Load())
	return own
}
