package oidcop

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The grants (RFC 6749 section 1.3, RFC 8628 section 3.4).
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	grantClient  = "client_credentials"
)

// tokens is the answer to a grant (RFC 6749 section 5.1, OpenID Connect Core section
// 3.1.3.3).
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"` // seconds
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
	Scope   string `json:"scope,omitempty"`
}

// token answers the requests for tokens (RFC 6749 section 3.2).
func (p *Provider) token(w http.ResponseWriter, r *http.Request, from authcore.Client) {
	out, err := p.grant(w, r, from)
	if err != nil {
		p.fail(w, r, from, err)
		return
	}
	answer(w, http.StatusOK, out)
}

func (p *Provider) grant(w http.ResponseWriter, r *http.Request, from authcore.Client) (*tokens, error) {
	c, form, err := p.asked(w, r, from)
	if err != nil {
		return nil, err
	}
	jkt, err := p.keyFor(r, c, from)
	if err != nil {
		return nil, err
	}
	ask := &asking{client: c, form: form, from: from, key: jkt}
	kind := form.Get("grant_type")
	switch {
	case kind == "":
		return nil, invalid("The grant_type is missing.")
	case kind == grantDevice:
		return p.byDevice(r.Context(), ask)
	case c.own():
		return nil, &Error{Code: "unauthorized_client", Description: "The command line signs in as a device."}
	case kind == grantCode:
		return p.byCode(r.Context(), ask)
	case kind == grantRefresh:
		return p.byRefresh(r.Context(), ask)
	case kind == grantClient:
		return p.byClient(r.Context(), ask)
	}
	return nil, &Error{Code: "unsupported_grant_type", Description: "There is no such grant here: " + plain(kind) + "."}
}

// asking is a request for tokens of a client that has proven who it is.
type asking struct {
	client *client
	form   url.Values
	from   authcore.Client
	key    string // the thumbprint of the key that was proven; empty for none
}

// audience is a claim with one text or many (RFC 7519 section 4.1.3).
type audience []string

// MarshalJSON implements json.Marshaler.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// accessClaims are those of an access token (RFC 9068 section 2.2).
type accessClaims struct {
	Issuer       string             `json:"iss"`
	Subject      string             `json:"sub"`
	Audience     audience           `json:"aud"`
	ClientID     string             `json:"client_id"`
	ID           string             `json:"jti"`
	IssuedAt     int64              `json:"iat"` // seconds since 1970
	Expires      int64              `json:"exp"`
	Scope        string             `json:"scope,omitempty"`
	AuthTime     int64              `json:"auth_time,omitempty"`
	Class        string             `json:"acr,omitempty"`
	AMR          []string           `json:"amr,omitempty"`
	Session      authcore.SessionID `json:"sid,omitempty"`
	Service      authcore.ServiceID `json:"service"`
	Organization string             `json:"org,omitempty"`
	Roles        []string           `json:"roles,omitempty"`
	Groups       []string           `json:"groups,omitempty"`
	Actor        *actorClaim        `json:"act,omitempty"`
	Confirm      *confirmation      `json:"cnf,omitempty"`
}

// actorClaim says who acts as the subject (RFC 8693 section 4.1).
type actorClaim struct {
	Subject authcore.UserID `json:"sub"`
}

// confirmation says to which key a token is bound (RFC 9449 section 6.1).
type confirmation struct {
	KeyHash string `json:"jkt"`
}

// idClaims are those of an ID token (OpenID Connect Core section 2).
type idClaims struct {
	Issuer   string             `json:"iss"`
	Audience string             `json:"aud"`
	IssuedAt int64              `json:"iat"`
	Expires  int64              `json:"exp"`
	AuthTime int64              `json:"auth_time"`
	Nonce    string             `json:"nonce,omitempty"`
	Class    string             `json:"acr"`
	AMR      []string           `json:"amr,omitempty"`
	Session  authcore.SessionID `json:"sid"`
	Access   string             `json:"at_hash,omitempty"`
	Actor    *actorClaim        `json:"act,omitempty"`
	userClaims
}

// idLife is how long an ID token can be shown to a client.
const idLife = 10 * time.Minute

// actLife is how long a token is good by which somebody acts as the user: an app may not ask
// whether that has ended.
const actLife = time.Minute

// issue is what is about to be issued.
type issue struct {
	client   *client
	granted  *authcore.Granted // nil where the service acts for itself
	scopes   []string
	key      string
	now, end time.Time // of the access token
	stored   *authcore.GrantToken
	access   string
	audience audience
}

// begin decides how long an access token is good, and for whom: gated sites, or else the
// provider, which answers userinfo, and the service's own API.
func (p *Provider) begin(c *client, g *authcore.Granted, scopes, resources []string, key string) *issue {
	now := p.now()
	i := &issue{client: c, granted: g, scopes: scopes, key: key, now: now, end: now.Add(c.AccessLife), audience: audience{p.Issuer, c.ClientID}}
	if len(resources) > 0 {
		i.audience = resources
	}
	if g != nil && g.Session.Act != "" {
		i.end = now.Add(min(c.AccessLife, actLife))
	}
	return i
}

// make makes the access token: signed, or one that is to be stored with what was redeemed for
// it.
func (p *Provider) make(ctx context.Context, i *issue) error {
	if i.client.TokenFormat == authcore.TokenOpaque {
		text, hash := authcore.KindAccess.New()
		i.access = text.Reveal()
		i.stored = &authcore.GrantToken{Hash: hash, Service: i.client.Service.ID, Scopes: i.scopes, Resources: i.resources(p), KeyHash: i.key, CreatedAt: i.now, ExpiresAt: i.end}
		if i.granted != nil {
			i.stored.Session = i.granted.Session.ID
		}
		return nil
	}
	by, err := p.Keys.SignerOf(ctx, i.client.algorithm(), i.now)
	if err != nil {
		return err
	}
	i.access, err = by.SignAs(authcore.TypeAccessToken, i.claims(p))
	return err
}

// resources are those of the audience but the provider and the service themselves.
func (i *issue) resources(p *Provider) []string {
	return slices.DeleteFunc(slices.Clone(i.audience), func(a string) bool { return a == p.Issuer || a == i.client.ClientID })
}

func (c *client) algorithm() authcore.Algorithm {
	if c.Algorithm == "" {
		return authcore.ES256
	}
	return c.Algorithm
}

func (i *issue) claims(p *Provider) *accessClaims {
	var id [16]byte
	rand.Read(id[:])
	c := &accessClaims{Issuer: p.Issuer, Subject: i.client.ClientID, Audience: i.audience, ClientID: i.client.ClientID, ID: base64.RawURLEncoding.EncodeToString(id[:]),
		IssuedAt: i.now.Unix(), Expires: i.end.Unix(), Scope: strings.Join(i.scopes, " "), Service: i.client.Service.ID}
	if i.key != "" {
		c.Confirm = &confirmation{i.key}
	}
	if i.granted != nil {
		c.of(i.granted, i.scopes)
	}
	return c
}

// of adds what a token tells of a user.
func (c *accessClaims) of(g *authcore.Granted, scopes []string) {
	s := &g.Session
	c.Subject, c.AuthTime, c.Class, c.AMR, c.Session = string(s.User), s.AuthTime.Unix(), classOf(s.AMR), s.AMR, s.ID
	c.Organization, c.Roles = placeOf(g, scopes)
	if slices.Contains(scopes, ScopeGroups) {
		c.Groups = g.User.Groups
	}
	if s.Act != "" {
		c.Actor = &actorClaim{s.Act}
	}
}

// answerTo gives the tokens to the client, with an ID token where the user signed in by OpenID
// Connect.
func (p *Provider) answerTo(ctx context.Context, i *issue, refresh authcore.Secret, nonce string) (*tokens, error) {
	out := &tokens{Access: i.access, Type: "Bearer", Expires: int64(i.end.Sub(i.now) / time.Second), Refresh: refresh.Reveal(), Scope: strings.Join(i.scopes, " ")}
	if i.key != "" {
		out.Type = "DPoP"
	}
	if i.granted == nil || !slices.Contains(i.scopes, ScopeOpenID) {
		return out, nil
	}
	by, err := p.Keys.SignerOf(ctx, i.client.algorithm(), i.now)
	if err != nil {
		return nil, err
	}
	s := &i.granted.Session
	sum := sha256.Sum256([]byte(i.access))
	claims := idClaims{Issuer: p.Issuer, Audience: i.client.ClientID, IssuedAt: i.now.Unix(), Expires: i.now.Add(idLife).Unix(), AuthTime: s.AuthTime.Unix(), Nonce: nonce,
		Class: classOf(s.AMR), AMR: s.AMR, Session: s.ID, Access: base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2]), userClaims: claimsOf(i.granted, i.scopes)}
	if s.Act != "" {
		claims.Actor = &actorClaim{s.Act}
	}
	out.ID, err = by.Sign(claims)
	return out, err
}

// narrowed gives the scopes that a client asks for out of those that were granted
// (RFC 6749 section 6).
func narrowed(has []string, asked string) ([]string, error) {
	if asked == "" {
		return has, nil
	}
	var all []string
	for s := range strings.FieldsSeq(asked) {
		if !slices.Contains(has, s) {
			return nil, &Error{Code: "invalid_scope", Description: "The grant has not this scope: " + plain(s) + "."}
		}
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all, nil
}

// maxResources bounds those of one request.
const maxResources = 8

// resourcesOf reads for which gated sites tokens are to be good (RFC 8707 section 2): all are
// sites that take them. Users are not asked about sites, so a service gets tokens for those
// of its own organization only, and one that is the platform's own for all.
func (p *Provider) resourcesOf(ctx context.Context, c *client, form url.Values) ([]string, error) {
	asked := form["resource"]
	if len(asked) > maxResources {
		return nil, &Error{Code: "invalid_target", Description: "There are too many resources."}
	}
	for _, a := range asked {
		site, ok := p.SiteOf(a)
		if ok && !c.FirstParty {
			var err error
			if ok, err = p.isOf(ctx, c, site.Organization); err != nil {
				return nil, err
			}
		}
		if !ok {
			return nil, &Error{Code: "invalid_target", Description: "No site here takes the access tokens of this service by this name: " + plain(a) + "."}
		}
	}
	return asked, nil
}

// isOf tells whether a service is of the organization with a slug.
func (p *Provider) isOf(ctx context.Context, c *client, slug string) (bool, error) {
	if slug == "" {
		return false, nil
	}
	o, err := p.Accounts.Store.OrganizationBySlug(ctx, slug)
	if errors.Is(err, authcore.ErrOrganizationNotFound) {
		return false, nil
	}
	return err == nil && o.ID == c.Service.Organization, err
}

// fewer gives the resources that a client asks for out of those that were granted; all where
// it asks for none.
func fewer(has, asked []string) ([]string, error) {
	for _, a := range asked {
		if !slices.Contains(has, a) {
			return nil, &Error{Code: "invalid_target", Description: "The grant is not for this resource: " + plain(a) + "."}
		}
	}
	if len(asked) > 0 {
		return asked, nil
	}
	return has, nil
}
