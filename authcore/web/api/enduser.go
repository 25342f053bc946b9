package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// EndUser is a user who has signed in to a service.
type EndUser struct {
	ID       authcore.UserID `json:"id"`
	Username string          `json:"username"`
	Name     string          `json:"name"`
	Email    string          `json:"email"`
	FirstAt  time.Time       `json:"first_at" doc:"of the first sign-in"`
	LastAt   time.Time       `json:"last_at" doc:"of the last sign-in"`
	Barred   bool            `json:"barred" doc:"kept from the organization's services"`
}

// EndUserSession is a sign-in of a user at a service.
type EndUserSession struct {
	ID        authcore.SessionID `json:"id"`
	ServiceID authcore.ServiceID `json:"service_id"`
	Device    string             `json:"device" doc:"browser and system, in words"`
	Address   string             `json:"address" doc:"IP address of the sign-in"`
	CreatedAt time.Time          `json:"created_at"`
	ExpiresAt time.Time          `json:"expires_at"`
}

// Bar is why a user is kept out.
type Bar struct {
	Reason string `json:"reason,omitempty" doc:"for the organization to remember"`
}

// BarredUser is a user who is kept from an organization's services.
type BarredUser struct {
	UserID    authcore.UserID `json:"user_id"`
	Username  string          `json:"username"`
	Reason    string          `json:"reason"`
	CreatedAt time.Time       `json:"created_at" doc:"since when"`
}

func endUserOf(u *authcore.EndUser) EndUser {
	return EndUser{ID: u.User, Username: u.Username, Name: u.Name, Email: u.Email, FirstAt: u.FirstAt, LastAt: u.LastAt, Barred: u.Barred}
}

func endUserSessionOf(s *authcore.ServiceSession) EndUserSession {
	return EndUserSession{ID: s.ID, ServiceID: s.Service, Device: authcore.AgentName(s.Agent), Address: s.Address, CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt}
}

func barredOf(b *authcore.Barred) BarredUser {
	return BarredUser{UserID: b.User, Username: b.Username, Reason: b.Reason, CreatedAt: b.CreatedAt}
}

// What follows is for those who may in the organization, and for the API keys of services,
// which reach the users of their own service only.

func listEndUsers(c *Call) (Page[EndUser], error) {
	q := authcore.EndUserQuery{Service: authcore.ServiceID(c.Param("service")), Search: c.Param("q"), Order: c.Order, After: c.After, Limit: c.Limit + 1}
	found, err := c.Accounts.EndUsers(c.Ctx, c.Actor, c.Slug(), q)
	return cut(c, found, q.Place, endUserOf), err
}

func getEndUser(c *Call) (EndUser, error) {
	u, err := c.Accounts.EndUser(c.Ctx, c.Actor, c.Slug(), c.User())
	return endUserOf(&u), err
}

func listEndUserSessions(c *Call) ([]EndUserSession, error) {
	found, err := c.Accounts.EndUserSessions(c.Ctx, c.Actor, c.Slug(), c.User())
	return each(found, endUserSessionOf), err
}

func revokeEndUserSessions(c *Call) (Revoked, error) {
	n, err := c.Accounts.RevokeEndUserSessions(c.Ctx, c.Actor, c.Slug(), c.User(), "")
	return Revoked{n}, err
}

func revokeEndUserSession(c *Call) error {
	_, err := c.Accounts.RevokeEndUserSessions(c.Ctx, c.Actor, c.Slug(), c.User(), authcore.SessionID(c.Place("session")))
	return err
}

func barEndUser(c *Call, in Bar) error {
	return c.Accounts.BarEndUser(c.Ctx, c.Actor, c.Slug(), c.User(), in.Reason)
}

func unbarEndUser(c *Call) error {
	return c.Accounts.UnbarEndUser(c.Ctx, c.Actor, c.Slug(), c.User())
}

// endUserRoutes are about the users of an organization's services.
var endUserRoutes = []Route{
	{Method: http.MethodGet, Path: "/organizations/{slug}/end-users", ID: "listEndUsers", Summary: "The users of the services", Realm: Organization, Need: authcore.EndUsersView, Orders: authcore.EndUserOrders,
		Params: []Param{{Name: "q", Doc: "what the username or the email address begins with"}, {Name: "service", Doc: "of this service only, by id", Form: ID}},
		Do:     list(listEndUsers)},
	{Method: http.MethodGet, Path: "/organizations/{slug}/end-users/{id}", ID: "getEndUser", Summary: "One user of the services", Realm: Organization, Need: authcore.EndUsersView, Do: give(getEndUser)},
	{Method: http.MethodGet, Path: "/organizations/{slug}/end-users/{id}/sessions", ID: "listEndUserSessions", Summary: "The sessions of a user at the services, the newest first", Realm: Organization, Need: authcore.EndUsersView,
		Do: whole(listEndUserSessions)},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/end-users/{id}/sessions", ID: "revokeEndUserSessions", Summary: "End the sessions of a user at the services", Realm: Organization, Need: authcore.EndUsersManage,
		Do: give(revokeEndUserSessions)},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/end-users/{id}/sessions/{session}", ID: "revokeEndUserSession", Summary: "End one session of a user at a service", Realm: Organization, Need: authcore.EndUsersManage,
		Do: do(revokeEndUserSession)},
	{Method: http.MethodPut, Path: "/organizations/{slug}/end-users/{id}/barred", ID: "barEndUser", Summary: "Keep a user from the services, and end the sessions there", Realm: Organization, Need: authcore.EndUsersManage,
		Do: take(barEndUser)},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/end-users/{id}/barred", ID: "unbarEndUser", Summary: "Let a user in again", Realm: Organization, Need: authcore.EndUsersManage, Do: do(unbarEndUser)},
	{Method: http.MethodGet, Path: "/organizations/{slug}/barred", ID: "listBarred", Summary: "Who is kept out, by username", Realm: Organization, Need: authcore.EndUsersView,
		Do: list(func(c *Call) (Page[BarredUser], error) {
			found, err := c.Accounts.BarredUsers(c.Ctx, c.Actor, c.Slug(), c.After, c.Limit+1)
			return cut(c, found, func(b authcore.Barred) string { return authcore.UsernameKey(b.Username) }, barredOf), err
		})},
}
