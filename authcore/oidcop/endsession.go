package oidcop

import (
	"context"
	"net/url"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// EndSession is a request of a service that the user signs out (OpenID Connect RP-Initiated
// Logout 1.0 section 2).
type EndSession struct {
	Service  *authcore.Service  // nil where the request does not tell
	User     authcore.UserID    // by an ID token; empty where there is none
	Session  authcore.SessionID // at the service, by that token
	Redirect string             // where to lead afterwards; empty for nowhere
}

// ReadEndSession reads one. A sign-out is never refused, so a redirect that is not good is
// left out.
func (p *Provider) ReadEndSession(ctx context.Context, text string) (EndSession, error) {
	form, bad := ParseForm(text)
	if bad != nil {
		return EndSession{}, ErrBadRequest.With(bad)
	}
	var e EndSession
	id := form.Get("client_id")
	if claims, err := p.hint(form.Get("id_token_hint")); err == nil && (id == "" || id == claims.Audience) {
		id, e.User, e.Session = claims.Audience, authcore.UserID(claims.Subject), claims.Session
	}
	c, err := p.find(ctx, id)
	if err != nil || c == nil || c.own() {
		return e, err
	}
	e.Service = &c.Service
	for _, one := range c.LogoutURIs {
		if one == form.Get("post_logout_redirect_uri") {
			e.Redirect = one
		}
	}
	if state := form.Get("state"); e.Redirect != "" && state != "" {
		u, err := url.Parse(e.Redirect)
		if err != nil {
			return EndSession{Service: e.Service}, nil
		}
		q := u.Query()
		q.Set("state", state)
		u.RawQuery = q.Encode()
		e.Redirect = u.String()
	}
	return e, nil
}
