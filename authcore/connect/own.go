package connect

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Clients gives the client that an organization has of its own at the provider of a name;
// nil where it has none.
type Clients func(ctx context.Context, organization, name string) (*authcore.OwnClient, error)

// WithOwn gives the providers with a Resolver: those of the platform, each with the client
// that an organization has of its own there.
func (ps *Providers) WithOwn(clients Clients) *Providers {
	all := ps.All()
	return NewProviders(all, func(ctx context.Context, organization, name string) (*Provider, error) {
		for _, p := range all {
			if p.Name != name {
				continue
			}
			own, err := clients(ctx, organization, name)
			if own == nil || err != nil {
				return nil, err
			}
			return p.with(own), nil
		}
		return nil, nil
	})
}

// with is the same provider with another client. What it says of itself, and its rules, are
// the same for all.
func (p *Provider) with(own *authcore.OwnClient) *Provider {
	with := *p
	with.Own = own
	with.ClientID, with.ClientSecret, with.AppleKey = own.ClientID, own.Secret, AppleKey{}
	return &with
}

// IssuedTo is what the tokens that the provider issues are kept with.
func (p *Provider) IssuedTo() authcore.IssuedTo {
	if p.Own == nil {
		return authcore.IssuedTo{}
	}
	return authcore.IssuedTo{Organization: p.Own.Slug, Client: p.ClientID}
}

// ErrClientGone is where the client of an organization that was used before is there no
// more, or is another one.
var ErrClientGone = errors.New("the organization's client is there no more, or is another one")

// FindIssuer gives the provider of a name with the client that something was issued to: no
// other can use it. ErrUnknownProvider, ErrClientGone.
func (ps *Providers) FindIssuer(ctx context.Context, name string, to authcore.IssuedTo) (*Provider, error) {
	p, err := ps.Find(ctx, to.Organization, name)
	if err == nil && p.IssuedTo() != to {
		return nil, ErrClientGone
	}
	return p, err
}
