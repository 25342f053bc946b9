package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// User is a user as lists show one.
type User struct {
	ID             authcore.UserID `json:"id"`
	Username       string          `json:"username"`
	Email          string          `json:"email"`
	EmailVerified  bool            `json:"email_verified"`
	Name           string          `json:"name"`
	Status         authcore.Status `json:"status" enum:"active disabled"`
	Owner          bool            `json:"owner" doc:"a platform owner"`
	FactorRequired bool            `json:"factor_required" doc:"nothing opens without a second factor"`
	// OrganizationOnly is the mark that AdmitUser sets and takes away.
	OrganizationOnly bool       `json:"organization_only" doc:"only rules of policies that name an organization of the user's let in"`
	Groups           []string   `json:"groups"`
	CreatedAt        time.Time  `json:"created_at"`
	UpdatedAt        time.Time  `json:"updated_at"`
	DeleteAt         *time.Time `json:"delete_at,omitempty" doc:"when the account will be deleted"`
}

// UserDetails is a user with all that belongs to one.
type UserDetails struct {
	User
	Organizations []Place `json:"organizations"`
}

// Place is a user's place in an organization.
type Place struct {
	Slug   string                      `json:"slug"`
	Role   authcore.Role               `json:"role"`
	Status authcore.OrganizationStatus `json:"status" enum:"pending active rejected suspended" doc:"of the organization"`
}

func userOf(u *authcore.User) User {
	v := User{ID: u.ID, Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified, Name: u.Name, Status: u.Status, Owner: u.Owner,
		FactorRequired: u.FactorRequired, OrganizationOnly: u.OrganizationOnly, Groups: append([]string{}, u.Groups...), CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt}
	if !u.DeleteAt.IsZero() {
		v.DeleteAt = &u.DeleteAt
	}
	return v
}

func userDetailsOf(u *authcore.User) UserDetails {
	d := UserDetails{User: userOf(u), Organizations: []Place{}}
	for _, m := range u.Memberships {
		d.Organizations = append(d.Organizations, Place{Slug: m.Slug, Role: m.Role, Status: m.Status})
	}
	return d
}

// Session is a portal session: a sign-in, with all that it opened.
type Session struct {
	ID           authcore.SessionID `json:"id"`
	Host         string             `json:"host"`
	Device       string             `json:"device" doc:"browser and system, in words"`
	Address      string             `json:"address" doc:"IP address of the sign-in"`
	CreatedAt    time.Time          `json:"created_at"`
	LastSeenAt   time.Time          `json:"last_seen_at"`
	ExpiresAt    time.Time          `json:"expires_at"`
	SecondFactor bool               `json:"second_factor"`
	Current      bool               `json:"current" doc:"the session that asks"`
}

func sessionOf(s *authcore.Session, actor authcore.Actor) Session {
	return Session{ID: s.ID, Host: s.Host, Device: authcore.AgentName(s.Agent), Address: s.Address, CreatedAt: s.CreatedAt, LastSeenAt: s.LastSeen,
		ExpiresAt: s.ExpiresAt, SecondFactor: s.Proven("mfa"), Current: s.Root == actor.Session}
}

// accountRoutes are about the account of who asks.
var accountRoutes = []Route{
	{Method: http.MethodGet, Path: "/me", ID: "getMe", Summary: "The user who asks", Realm: Account, Scope: ScopeAccountView,
		Do: give(func(c *Call) (UserDetails, error) {
			u, err := c.Accounts.UserByID(c.Ctx, c.Actor, c.Actor.User)
			return userDetailsOf(&u), err
		})},
	{Method: http.MethodGet, Path: "/me/sessions", ID: "listMySessions", Summary: "One's own sessions, the newest first", Realm: Account, Scope: ScopeAccountView,
		Do: list(func(c *Call) (Page[Session], error) {
			all, err := c.Accounts.SessionsOf(c.Ctx, c.Actor.User)
			var found []authcore.Session
			for _, s := range all {
				if s.IsRoot() && (c.After == "" || string(s.ID) < c.After) {
					found = append(found, s)
				}
			}
			sortNewest(found)
			return cut(c, found, func(s authcore.Session) string { return string(s.ID) }, func(s *authcore.Session) Session { return sessionOf(s, c.Actor) }), err
		})},
	{Method: http.MethodDelete, Path: "/me/sessions/{id}", ID: "revokeMySession", Summary: "End one of one's own sessions", Realm: Account, Scope: ScopeAccountManage,
		Do: do(func(c *Call) error { return c.Accounts.Revoke(c.Ctx, c.Actor, c.Session()) })},
}
