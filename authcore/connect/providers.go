package connect

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Resolver finds the provider of a name that an organization has a client of its own
// at. It returns nil where the organization has none.
type Resolver func(ctx context.Context, organization, name string) (*Provider, error)

// Providers are those of an installation, in the order in which they were written. The
// nil Providers have none.
type Providers struct {
	all []*Provider
	own Resolver
}

// NewProviders makes the providers of an installation. own may be nil.
func NewProviders(all []*Provider, own Resolver) *Providers { return &Providers{all, own} }

// All gives the platform's own providers.
func (ps *Providers) All() []*Provider {
	if ps == nil {
		return nil
	}
	return ps.all
}

// Find gives the provider of a name: that of an organization, where one is named and
// has its own client there, else the platform's. ErrUnknownProvider for none.
func (ps *Providers) Find(ctx context.Context, organization, name string) (*Provider, error) {
	if ps == nil {
		return nil, ErrUnknownProvider
	}
	if organization != "" && ps.own != nil {
		if p, err := ps.own(ctx, organization, name); p != nil || err != nil {
			return p, err
		}
	}
	for _, p := range ps.all {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, ErrUnknownProvider
}

// ErrUnknownProvider is for a provider that the configuration does not name, or does
// not name any more.
var ErrUnknownProvider = &authcore.Error{Kind: authcore.NotFound, Code: "provider_unknown", Message: "There is no such sign-in provider here. Choose one on the sign-in page."}
