package oidcop

import (
	"context"
)

// byClient issues a token to a service that acts for itself (RFC 6749 section 4.4). It is
// told nothing of anybody, so the scopes are the service's own.
func (p *Provider) byClient(ctx context.Context, ask *asking) (*tokens, error) {
	c := ask.client
	if !c.Type.Confidential() {
		return nil, &Error{Code: "unauthorized_client", Description: "Only a web or API service can act for itself."}
	}
	var scopes []string
	if asked := ask.form.Get("scope"); asked != "" {
		var err error
		if scopes, err = narrowed(c.Service.Scopes, asked); err != nil {
			return nil, err
		}
	}
	resources, err := p.resourcesOf(ctx, c, ask.form)
	if err != nil {
		return nil, err
	}
	i := p.begin(c, nil, scopes, resources, ask.key)
	if err := p.make(ctx, i); err != nil {
		return nil, err
	}
	if i.stored != nil {
		if err := p.Accounts.Store.AddGrantToken(ctx, *i.stored); err != nil {
			return nil, err
		}
	}
	return p.answerTo(ctx, i, "", "")
}
