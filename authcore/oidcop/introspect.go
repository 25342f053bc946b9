package oidcop

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// introspected is the answer about a token (RFC 7662 section 2.2).
type introspected struct {
	Active   bool   `json:"active"`
	Username string `json:"username,omitempty"`
	Kind     string `json:"token_type,omitempty"`
	accessClaims
}

// notActive is all that is said of a token that is not good, or not for who asks.
var notActive = []byte(`{"active":false}`)

// introspect answers whether a token is good, and what it is for (RFC 7662): to the service
// that it was issued to, and to the API services of the same organization.
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request, from authcore.Client) {
	says, err := p.look(w, r, from)
	if err != nil {
		p.fail(w, r, from, err)
		return
	}
	answerJSON(w, http.StatusOK, says)
}

func (p *Provider) look(w http.ResponseWriter, r *http.Request, from authcore.Client) ([]byte, error) {
	c, form, err := p.asked(w, r, from)
	if err != nil {
		return nil, err
	}
	if !c.Type.Confidential() {
		return nil, &Error{Code: "invalid_client", Description: "Only a service that keeps a secret can ask.", Status: http.StatusUnauthorized}
	}
	text := form.Get("token")
	if text == "" {
		return nil, invalid("The token is missing.")
	}
	return p.Introspect(r.Context(), c.Service, text)
}

// Introspect says in JSON what a token is for, to a service (RFC 7662 section 2.2).
func (p *Provider) Introspect(ctx context.Context, to authcore.Service, text string) ([]byte, error) {
	if authcore.KindRefresh.Plausible(text) {
		return p.introspectRefresh(ctx, to, text)
	}
	live, err := p.Lookup(ctx, text)
	if errors.Is(err, authcore.ErrNoSession) {
		return notActive, nil
	}
	if err != nil {
		return nil, err
	}
	if t := live.Session.Issued; tells(to, t.Service, t.Organization) {
		return t.Introspected, nil
	}
	return notActive, nil
}

// tells tells whether a service may know of the tokens of another.
func tells(to authcore.Service, of authcore.ServiceID, organization authcore.OrganizationID) bool {
	return to.ID == of || to.Type == authcore.ServiceAPI && to.Organization == organization
}

// named is a username where scopes tell it; else empty.
func named(username string, scopes []string) string {
	if !slices.Contains(scopes, ScopeProfile) {
		return ""
	}
	return username
}

func (p *Provider) introspectRefresh(ctx context.Context, to authcore.Service, text string) ([]byte, error) {
	now := p.now()
	t, g, err := p.Accounts.Store.GrantByRefresh(ctx, authcore.HashToken(text), now, p.idleSince(now))
	if errors.Is(err, authcore.ErrGrantInvalid) || err == nil && (!t.UsedAt.IsZero() || to.ID != g.Service.ID) {
		return notActive, nil
	}
	if err != nil {
		return nil, err
	}
	c := accessClaims{Issuer: p.Issuer, Audience: audience{p.Issuer}, ClientID: g.Service.ClientID, ID: t.Hash.Hex()[:32], IssuedAt: t.CreatedAt.Unix(), Expires: t.ExpiresAt.Unix(),
		Scope: strings.Join(g.Session.Scopes, " "), Service: g.Service.ID}
	c.of(&g, g.Session.Scopes)
	return json.Marshal(introspected{Active: true, Username: named(g.User.Username, g.Session.Scopes), Kind: "refresh_token", accessClaims: c})
}
