package oidcop

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	// codeLife is how long an authorization code is good (RFC 6749 section 4.1.2).
	codeLife = time.Minute
	// The length of a verifier (RFC 7636 section 4.1).
	minVerifier, maxVerifier = 43, 128
)

// NewCode signs the user of a session in to the service of a request, and gives the code that
// brings its tokens.
func (p *Provider) NewCode(ctx context.Context, q *Request, live *authcore.Live, from authcore.Client) (authcore.Secret, error) {
	c, now := q.client, p.now()
	s := sessionFor(c, &live.Session, q.Scopes, q.Resources, from, now)
	s.Offline = s.Act == "" && slices.Contains(q.Scopes, ScopeOffline)
	s.KeyHash, s.ExpiresAt = q.Key, now.Add(codeLife)
	text, hash := authcore.KindCode.New()
	code := authcore.GrantCode{Hash: hash, Session: s.ID, Service: c.Service.ID, RedirectURI: q.RedirectURI, Challenge: q.Challenge, Nonce: q.Nonce, CreatedAt: now, ExpiresAt: now.Add(codeLife)}
	actor := authcore.Actor{Kind: authcore.ActorUser, User: s.User, Session: s.Root, Client: from, Act: s.Act}
	return text, p.Accounts.Store.BeginGrant(ctx, s, code, q.pushed, signedIn(now, actor, c, strings.Join(q.Scopes, " ")))
}

// sessionFor is the session of a user at a service, by the session that vouches.
func sessionFor(c *client, by *authcore.Session, scopes, resources []string, from authcore.Client, now time.Time) authcore.ServiceSession {
	return authcore.ServiceSession{ID: authcore.NewSessionID(), Organization: c.Service.Organization, Service: c.Service.ID, User: by.UserID, Root: by.Root, Scopes: scopes, Resources: resources,
		AMR: by.AMR, AuthTime: by.AuthTime, Act: by.Act, Address: from.Address, Agent: from.Agent, CreatedAt: now}
}

// signedIn is the event of a sign-in at a service.
func signedIn(now time.Time, by authcore.Actor, c *client, details string) authcore.Event {
	return authcore.NewEvent(now, by, authcore.ServiceLogin, authcore.TargetService(c.Service.ID), authcore.Success, details).In(c.Service.Organization)
}

// replayed is the event of a grant that was used twice.
func (p *Provider) replayed(ask *asking, what string) authcore.Event {
	return authcore.NewEvent(p.now(), actor(ask.from), authcore.ServiceReplay, authcore.TargetService(ask.client.Service.ID), authcore.Refused, what+" was used twice; the session at the service ended").In(ask.client.Service.Organization)
}

// afterReplay makes the end of a session count on this node at once, where err says that what
// brought its tokens was used twice.
func (p *Provider) afterReplay(err error, g *authcore.Granted) error {
	if errors.Is(err, authcore.ErrGrantUsed) {
		p.ended(g.Session.User)
	}
	return err
}

// byCode issues the tokens of an authorization code (RFC 6749 section 4.1.3). One that was
// used before ends what it gave.
func (p *Provider) byCode(ctx context.Context, ask *asking) (*tokens, error) {
	c, text := ask.client, ask.form.Get("code")
	if text == "" {
		return nil, invalid("The code is missing.")
	}
	if !authcore.KindCode.Plausible(text) {
		return nil, errGrant
	}
	hash := authcore.HashToken(text)
	code, g, err := p.Accounts.Store.GrantByCode(ctx, hash, p.now())
	if err != nil {
		return nil, err
	}
	if code.Service != c.Service.ID || code.RedirectURI != ask.form.Get("redirect_uri") {
		return nil, errGrant
	}
	if err := verify(code.Challenge, ask.form.Get("code_verifier")); err != nil {
		return nil, err
	}
	if g.Session.KeyHash != "" && g.Session.KeyHash != ask.key { // the request named the key (RFC 9449 section 10)
		return nil, errProof
	}
	scopes, resources, err := p.less(ctx, ask, &g.Session)
	if err != nil {
		return nil, err
	}
	i := p.begin(c, &g, scopes, resources, ask.key)
	if err := p.make(ctx, i); err != nil {
		return nil, err
	}
	text2, refresh := newRefresh(&g.Session, c, i.now)
	if err := p.Accounts.Store.RedeemGrantCode(ctx, hash, i.now.Add(c.RefreshLife), ask.key, refresh, i.stored, p.replayed(ask, "a code")); err != nil {
		return nil, p.afterReplay(err, &g)
	}
	return p.answerTo(ctx, i, text2, code.Nonce)
}

// less gives the scopes and resources of an access token: what is asked for of what was
// granted, and the service can still have.
func (p *Provider) less(ctx context.Context, ask *asking, s *authcore.ServiceSession) (scopes, resources []string, err error) {
	if err := p.still(ctx, ask.client, s); err != nil {
		return nil, nil, err
	}
	if scopes, err = narrowed(s.Scopes, ask.form.Get("scope")); err != nil {
		return nil, nil, err
	}
	resources, err = fewer(s.Resources, ask.form["resource"])
	return scopes, resources, err
}

// still takes from what was granted the scopes that the service cannot have any more. Where a
// site is not for it any more it is an error: a token without would be for other places.
func (p *Provider) still(ctx context.Context, c *client, s *authcore.ServiceSession) error {
	s.Scopes = granted(c, strings.Join(s.Scopes, " "))
	_, err := p.resourcesOf(ctx, c, url.Values{"resource": s.Resources})
	return err
}

// verify checks the verifier of a code against its challenge (RFC 7636 section 4.6). One that
// has no challenge has no verifier either, against a downgrade (RFC 9700 section 4.8.2).
func verify(challenge, verifier string) error {
	if challenge == "" && verifier == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(verifier))
	if len(verifier) < minVerifier || len(verifier) > maxVerifier ||
		subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) != 1 {
		return &Error{Code: "invalid_grant", Description: "The code_verifier is missing, or is not that of the code_challenge."}
	}
	return nil
}
