package oidcop

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// userinfo tells a service of the user whose access token it shows (OpenID Connect Core
// section 5.3).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request, from authcore.Client) {
	claims, err := p.tell(w, r)
	if err != nil {
		p.fail(w, r, from, err)
		return
	}
	answer(w, http.StatusOK, claims)
}

// unauthorized refuses a token (RFC 6750 section 3).
func (p *Provider) unauthorized(scheme, code, description string) *Error {
	e := &Error{Code: code, Description: description, Status: http.StatusUnauthorized, Challenge: scheme + ` realm="` + p.Issuer + `"`}
	if code == "insufficient_scope" {
		e.Status = http.StatusForbidden
	}
	if code != "" {
		e.Challenge += `, error="` + code + `", error_description="` + description + `"`
	}
	if scheme == "DPoP" {
		e.Challenge += `, algs="` + strings.Join(namesOf(proofAlgorithms), " ") + `"`
	}
	if e.Code == "" {
		e.Code = "invalid_token"
	}
	return e
}

func (p *Provider) tell(w http.ResponseWriter, r *http.Request) (*userClaims, error) {
	scheme, text, err := p.bearer(w, r)
	if err != nil {
		return nil, err
	}
	live, err := p.Lookup(r.Context(), text)
	if errors.Is(err, authcore.ErrNoSession) || err == nil && (live.Session.Issued.Session == "" || !slices.Contains(live.Session.Issued.Audience, p.Issuer)) {
		return nil, p.unauthorized(scheme, "invalid_token", "The access token is not valid, or not any more.")
	}
	if err != nil {
		return nil, err
	}
	t := live.Session.Issued
	jkt, err := p.proven(r, PathUserinfo, text, byClient(t.ClientID))
	switch {
	case errors.Is(err, errProof):
		return nil, p.unauthorized("DPoP", errProof.Code, errProof.Description)
	case err != nil:
		return nil, err
	case t.KeyHash != "" && (scheme != "DPoP" || jkt != t.KeyHash), t.KeyHash == "" && scheme == "DPoP":
		return nil, p.unauthorized("DPoP", "invalid_token", "The access token is bound to another key, or to none.")
	case !slices.Contains(t.Scopes, ScopeOpenID):
		return nil, p.unauthorized(scheme, "insufficient_scope", "The access token has not the scope openid.")
	}
	g := authcore.Granted{User: *live.User(), Organization: authcore.Organization{ID: t.Organization}}
	for _, m := range g.User.Memberships {
		if m.Organization == t.Organization {
			g.Organization.Slug = m.Slug
		}
	}
	claims := claimsOf(&g, t.Scopes)
	return &claims, nil
}

// bearer finds the access token of a request: in the Authorization header, or in a form
// (RFC 6750 section 2).
func (p *Provider) bearer(w http.ResponseWriter, r *http.Request) (scheme, text string, err error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		return "", "", &Error{Code: "invalid_request", Description: "Send this with GET or POST.", Status: http.StatusMethodNotAllowed}
	}
	lines := r.Header["Authorization"]
	if len(lines) == 1 {
		scheme, rest, _ := strings.Cut(lines[0], " ")
		for _, known := range []string{"Bearer", "DPoP"} {
			if rest = strings.TrimSpace(rest); strings.EqualFold(scheme, known) && rest != "" {
				return known, rest, nil
			}
		}
	}
	if len(lines) == 0 && r.Method == http.MethodPost && r.Header.Get("Content-Type") != "" {
		form, bad := readForm(w, r)
		if bad != nil {
			return "", "", bad
		}
		if text := form.Get("access_token"); text != "" {
			return "Bearer", text, nil
		}
	}
	if len(lines) > 1 {
		return "", "", invalid("There is more than one Authorization header.")
	}
	return "", "", p.unauthorized("Bearer", "", "Show an access token.")
}
