package web

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// claims are what an assertion says of a user, by the names of OpenID Connect Core
// (section 5.1).
type claims struct {
	Subject       authcore.UserID `json:"sub"`
	Username      string          `json:"preferred_username"`
	Name          string          `json:"name,omitempty"`
	Email         string          `json:"email,omitempty"` // only one that is verified
	EmailVerified bool            `json:"email_verified,omitempty"`
	Groups        []string        `json:"groups,omitempty"`
}

// signedClaims are all claims of an assertion (RFC 7519 section 4.1).
type signedClaims struct {
	Issuer   string      `json:"iss"`
	Audience string      `json:"aud"`
	IssuedAt int64       `json:"iat"` // seconds since 1970
	Expires  int64       `json:"exp"`
	Actor    *actorClaim `json:"act,omitempty"`
	claims
	Organization string `json:"org,omitempty"` // slug of the one for which the user is there
	Role         string `json:"org_role,omitempty"`
}

// actorClaim says who acts as the subject (RFC 8693 section 4.1).
type actorClaim struct {
	Subject authcore.UserID `json:"sub"`
}

// assertion is one that was signed, for the requests that follow soon.
type assertion struct {
	issuer, audience string
	act              authcore.UserID
	signer           *authcore.Signer
	from, until      time.Time
	text             string
}

// An assertion is good for a minute, and is told for half of it.
const (
	assertionLife  = time.Minute
	assertionReuse = assertionLife / 2
)

// Assertion tells who is there in a JWT for one host, signed by the key of now: the
// issuer is the portal, or the host where it is its own, the audience the host's
// name. It is told of the user in one organization, see In, or in none; act is who acts as
// the user, or empty. The error says that there is no key.
func (k *Known) Assertion(keys *authcore.Keys, active *Active, p Place, act authcore.UserID, now time.Time) (string, error) {
	by, err := keys.Signer(now)
	if err != nil {
		return "", err
	}
	if p.Portal == "" {
		return "", ErrUnknownHost
	}
	if a := active.assertion.Load(); a != nil && a.signer.ID == by.ID && a.audience == p.Host && a.issuer == p.Portal && a.act == act && !now.Before(a.from) && now.Before(a.until) {
		return a.text, nil
	}
	says := signedClaims{Issuer: p.Portal, Audience: p.Host, IssuedAt: now.Unix(), Expires: now.Add(assertionLife).Unix(), claims: k.claims,
		Organization: active.Organization, Role: active.Role}
	if act != "" {
		says.Actor = &actorClaim{act}
	}
	text, err := by.Sign(says)
	if err == nil {
		active.assertion.Store(&assertion{p.Portal, p.Host, act, by, now, now.Add(assertionReuse), text})
	}
	return text, err
}

// publicKeys serves the keys by which assertions are checked (RFC 7517 section 5).
// Anybody may read them, pages of other origins too.
func (h *Handler) publicKeys(w http.ResponseWriter, _ *http.Request, _ Place) error {
	set, err := json.Marshal(h.Keys.Public(h.Accounts.Now()))
	if err != nil {
		return err
	}
	head := w.Header()
	secureHeaders(head)
	head.Set("Content-Type", "application/jwk-set+json")
	head.Set("Cache-Control", "public, max-age=300")
	head.Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write(set) // a lost client is all that can fail
	return nil
}
