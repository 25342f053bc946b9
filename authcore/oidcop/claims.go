package oidcop

import (
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The scopes of the provider: what each lets a service know or do.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile" // name, preferred_username, updated_at
	ScopeEmail   = "email"   // email, email_verified
	ScopeGroups  = "groups"
	ScopeOrg     = "org"            // the organization of the service, where the user is a member
	ScopeRoles   = "roles"          // the roles there
	ScopeOffline = "offline_access" // to go on after the user has signed out
)

// granted are the scopes of a request that a service can have, each once; those that it
// cannot are left out (OpenID Connect Core section 3.1.2.1).
func granted(c *client, asked string) []string {
	var all []string
	for s := range strings.FieldsSeq(asked) {
		if (slices.Contains(authcore.ProviderScopes, s) || slices.Contains(c.Service.Scopes, s)) && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// userClaims are what scopes tell of a user (OpenID Connect Core section 5.1).
type userClaims struct {
	Subject       string   `json:"sub"`
	Name          string   `json:"name,omitempty"`
	Username      string   `json:"preferred_username,omitempty"`
	UpdatedAt     int64    `json:"updated_at,omitempty"` // seconds since 1970
	Email         string   `json:"email,omitempty"`
	EmailVerified *bool    `json:"email_verified,omitempty"`
	Groups        []string `json:"groups,omitempty"`
	Organization  string   `json:"org,omitempty"` // slug
	Roles         []string `json:"roles,omitempty"`
}

func claimsOf(g *authcore.Granted, scopes []string) userClaims {
	u := &g.User
	c := userClaims{Subject: string(u.ID)}
	if slices.Contains(scopes, ScopeProfile) {
		c.Name, c.Username, c.UpdatedAt = u.DisplayName(), u.Username, seconds(u.UpdatedAt)
	}
	if slices.Contains(scopes, ScopeEmail) && u.Email != "" {
		c.Email, c.EmailVerified = u.Email, &u.EmailVerified
	}
	if slices.Contains(scopes, ScopeGroups) {
		c.Groups = u.Groups
	}
	c.Organization, c.Roles = placeOf(g, scopes)
	return c
}

// placeOf gives the organization of a service and the user's roles there, as far as scopes
// tell them and the user is a member.
func placeOf(g *authcore.Granted, scopes []string) (slug string, roles []string) {
	for _, m := range g.User.Memberships {
		if m.Organization != g.Organization.ID {
			continue
		}
		if slices.Contains(scopes, ScopeOrg) {
			slug = g.Organization.Slug
		}
		if slices.Contains(scopes, ScopeRoles) {
			roles = []string{string(m.Role)}
		}
	}
	return slug, roles
}

// The classes of proof ("acr").
const (
	ClassSingle = "single-factor"
	ClassMulti  = "mfa"
)

// classOf is the class of a proof by its ways (RFC 8176).
func classOf(amr []string) string {
	if slices.Contains(amr, "mfa") {
		return ClassMulti
	}
	return ClassSingle
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
