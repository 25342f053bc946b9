package api

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// UserSession is a portal session with its user.
type UserSession struct {
	Session
	UserID   authcore.UserID `json:"user_id"`
	Username string          `json:"username"`
}

// sortNewest puts sessions in the order of their ids, the newest first.
func sortNewest(all []authcore.Session) {
	slices.SortFunc(all, func(a, b authcore.Session) int { return cmp.Compare(b.ID, a.ID) })
}

// sessionRoutes are about the sessions of the installation.
var sessionRoutes = []Route{
	{Method: http.MethodGet, Path: "/platform/sessions", ID: "listSessions", Summary: "Portal sessions", Realm: Platform, Scope: ScopeSessionsManage, Orders: authcore.SessionOrders,
		Params: []Param{{Name: "user", Doc: "of this user only, by id", Form: ID}},
		Do: list(func(c *Call) (Page[UserSession], error) {
			found, err := c.Accounts.LiveSessions(c.Ctx, c.Actor, authcore.SessionQuery{User: authcore.UserID(c.Param("user")), Order: c.Order, After: c.After, Limit: c.Limit + 1})
			return cut(c, found, func(s authcore.UserSession) string { return string(s.ID) }, func(s *authcore.UserSession) UserSession {
				return UserSession{Session: sessionOf(&s.Session, c.Actor), UserID: s.UserID, Username: s.Username}
			}), err
		})},
	{Method: http.MethodDelete, Path: "/platform/sessions/{id}", ID: "revokeSession", Summary: "End a session, with all that it opened", Realm: Platform, Scope: ScopeSessionsManage,
		Do: do(func(c *Call) error { return c.Accounts.RevokeSession(c.Ctx, c.Actor, c.Session()) })},
}
