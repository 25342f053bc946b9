package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Member is a user in an organization.
type Member struct {
	UserID    authcore.UserID `json:"user_id"`
	Username  string          `json:"username"`
	Name      string          `json:"name"`
	Role      authcore.Role   `json:"role"`
	CreatedAt time.Time       `json:"created_at" doc:"since when"`
}

// RoleChange gives a member a role.
type RoleChange struct {
	Role authcore.Role `json:"role"`
}

func memberOf(m *authcore.Member) Member {
	return Member{UserID: m.User, Username: m.Username, Name: m.Name, Role: m.Role, CreatedAt: m.CreatedAt}
}

// memberRoutes are about the members of an organization.
var memberRoutes = []Route{
	{Method: http.MethodGet, Path: "/organizations/{slug}/members", ID: "listMembers", Summary: "Members, in the order of their ids", Realm: Organization, Need: authcore.MembersView,
		Do: list(func(c *Call) (Page[Member], error) {
			found, err := c.Accounts.MembersOf(c.Ctx, c.Actor, c.Slug(), authcore.UserID(c.After), c.Limit+1)
			return cut(c, found, func(m *authcore.Member) string { return string(m.User) }, memberOf), err
		})},
	{Method: http.MethodPut, Path: "/organizations/{slug}/members/{id}", ID: "setMember", Summary: "Give a member a role; platform owners can add a user so", Realm: Organization, Need: authcore.MembersManage,
		Do: with(func(c *Call, in RoleChange) (Member, error) {
			m, err := c.Accounts.GiveRole(c.Ctx, c.Actor, c.Slug(), c.User(), in.Role)
			return memberOf(&m), err
		})},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/members/{id}", ID: "removeMember", Summary: "Take a member out; members can leave so", Realm: Organization, Need: authcore.MembersManage,
		Do: do(func(c *Call) error { return c.Accounts.ExpelMember(c.Ctx, c.Actor, c.Slug(), c.User()) })},
}
