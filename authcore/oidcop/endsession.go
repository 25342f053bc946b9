package oidcop

import (
	"context"
	"errors"
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
	if err != nil || c == nil || c.own() || !c.usable() {
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

// Knows tells whether a request comes from who knows the session in which a user is signed in:
// by an ID token of a session at the service that hangs on it.
func (p *Provider) Knows(ctx context.Context, e EndSession, live *authcore.Session) (bool, error) {
	if e.Service == nil || e.User != live.UserID || e.Session == "" {
		return false, nil
	}
	now := p.now()
	g, err := p.Accounts.Store.GrantBySession(ctx, e.Session, now, p.idleSince(now))
	if errors.Is(err, authcore.ErrNoSession) {
		return false, nil
	}
	return err == nil && g.Session.Root == live.Root && g.Service.ID == e.Service.ID, err
}
