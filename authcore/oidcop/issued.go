package oidcop

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// maxToken is longer than any access token, in bytes.
const maxToken = 8 << 10

// WrittenLikeToken tells whether text may be an access token of the provider: an opaque one,
// or a JWT. Of the latter others are there too.
func WrittenLikeToken(text string) bool {
	if len(text) > maxToken {
		return false
	}
	return strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2 || authcore.KindAccess.Plausible(text)
}

// Lookup finds what an access token of the provider stands for, from memory where it can:
// with the errors of authcore.Sessions.Lookup.
func (p *Provider) Lookup(ctx context.Context, text string) (*authcore.Live, error) {
	if !WrittenLikeToken(text) {
		return nil, authcore.ErrNoSession
	}
	return p.Accounts.Sessions.LookupIssued(ctx, text, p.now(), func(ctx context.Context, hash authcore.TokenHash) (authcore.Session, authcore.User, error) {
		return p.read(ctx, text, hash)
	})
}

// Ours tells whether a text is a token that the provider signed, or made, whether it is good
// still or not.
func (p *Provider) Ours(text string) bool {
	var claims accessClaims
	return authcore.KindAccess.Plausible(text) || WrittenLikeToken(text) && p.Keys.Verify(text, authcore.TypeAccessToken, p.now(), &claims) == nil && claims.Issuer == p.Issuer
}

// read reads what an access token stands for.
func (p *Provider) read(ctx context.Context, text string, hash authcore.TokenHash) (authcore.Session, authcore.User, error) {
	claims, err := p.claimsIn(ctx, text, hash)
	if err != nil {
		return authcore.Session{}, authcore.User{}, err
	}
	now := p.now()
	if claims.Session == "" {
		s, o, err := p.Accounts.Store.ServiceForToken(ctx, claims.Service)
		if err != nil {
			return authcore.Session{}, authcore.User{}, err
		}
		claims.ClientID, claims.Subject = s.ClientID, s.ClientID
		session := authcore.Session{ID: authcore.SessionID(claims.ID), Root: authcore.SessionID(s.ID), LastSeen: now, CreatedAt: time.Unix(claims.IssuedAt, 0), ExpiresAt: time.Unix(claims.Expires, 0)}
		p.standFor(&session, claims, o.ID, "")
		return session, authcore.User{Status: authcore.Active}, nil
	}
	g, err := p.Accounts.Store.GrantBySession(ctx, claims.Session, now, p.idleSince(now))
	if err != nil {
		return authcore.Session{}, authcore.User{}, err
	}
	if g.Service.ID != claims.Service {
		return authcore.Session{}, authcore.User{}, authcore.ErrNoSession
	}
	claims.ClientID = g.Service.ClientID
	if authcore.KindAccess.Plausible(text) {
		claims.of(&g, claims.scopes())
	}
	session := authcore.Session{ID: g.Session.ID, Root: g.Session.Root, UserID: g.User.ID, AMR: g.Session.AMR, AuthTime: g.Session.AuthTime, LastSeen: g.RootSeen,
		CreatedAt: time.Unix(claims.IssuedAt, 0), ExpiresAt: time.Unix(claims.Expires, 0), Act: g.Session.Act}
	if g.Session.Offline {
		session.Root, session.LastSeen = g.Session.ID, now
	}
	p.standFor(&session, claims, g.Organization.ID, g.User.Username)
	return session, g.User, nil
}

// claimsIn reads the claims of an access token that has not expired: ErrNoSession where it is
// none of ours, or was revoked.
func (p *Provider) claimsIn(ctx context.Context, text string, hash authcore.TokenHash) (*accessClaims, error) {
	now, claims := p.now(), new(accessClaims)
	if authcore.KindAccess.Plausible(text) {
		t, err := p.Accounts.Store.GrantTokenByHash(ctx, hash, now)
		if err != nil {
			return nil, err
		}
		*claims = accessClaims{Issuer: p.Issuer, Audience: t.Resources, Scope: strings.Join(t.Scopes, " "), ID: hash.Hex()[:32], IssuedAt: t.CreatedAt.Unix(), Expires: t.ExpiresAt.Unix(),
			Session: t.Session, Service: t.Service}
		if t.KeyHash != "" {
			claims.Confirm = &confirmation{t.KeyHash}
		}
		return claims, nil
	}
	switch err := p.Keys.Verify(text, authcore.TypeAccessToken, now, claims); {
	case errors.Is(err, authcore.ErrNotSigned):
		return nil, authcore.ErrNoSession
	case err != nil:
		return nil, authcore.ErrUnavailable.With(err)
	case claims.Issuer != p.Issuer || !now.Before(time.Unix(claims.Expires, 0)):
		return nil, authcore.ErrNoSession
	}
	revoked, err := p.Accounts.Store.TokenRevoked(ctx, revocable(text))
	if err == nil && revoked {
		err = authcore.ErrNoSession
	}
	return claims, err
}

// standFor says what a session stands for: a token. Where that is good, GoodAt tells.
func (p *Provider) standFor(s *authcore.Session, c *accessClaims, organization authcore.OrganizationID, username string) {
	if len(c.Audience) == 0 { // an opaque one without sites, as begin says of others
		c.Audience = audience{p.Issuer, c.ClientID}
	}
	kind, key := "Bearer", ""
	if c.Confirm != nil {
		kind, key = "DPoP", c.Confirm.KeyHash
	}
	says, err := json.Marshal(introspected{Active: true, Username: named(username, c.scopes()), Kind: kind, accessClaims: *c})
	if err != nil {
		says = notActive
	}
	s.Issued = &authcore.IssuedToken{ClientID: c.ClientID, Service: c.Service, Organization: organization, Session: c.Session, Audience: c.Audience, Scopes: c.scopes(), KeyHash: key, Introspected: says}
	s.Access = &authcore.AccessToken{ID: s.ID, UserID: s.UserID, Username: username, CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt, Grant: access.Grant{Scopes: s.Issued.Scopes}}
}

// GoodAt tells whether a token is for the site of a gate, by a host that the gate stands on:
// whether the site is in its audience.
func (p *Provider) GoodAt(t *authcore.IssuedToken, host string, gate any) bool {
	return slices.ContainsFunc(t.Audience, func(resource string) bool {
		site, ok := p.SiteOf(resource)
		return ok && strings.EqualFold(site.Host, host) && slices.Contains(site.Gates, gate)
	})
}

func (c *accessClaims) scopes() []string { return strings.Fields(c.Scope) }

// ended makes the end of a session at a service count on this node at once.
func (p *Provider) ended(user authcore.UserID) {
	p.Accounts.Sessions.Apply(authcore.Change{Kind: authcore.ChangeUser, Subject: string(user)})
}
