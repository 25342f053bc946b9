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
	Status    authcore.Status `json:"status" enum:"active disabled" doc:"of the user"`
	CreatedAt time.Time       `json:"created_at" doc:"since when"`
}

// RoleChange gives a member a role.
type RoleChange struct {
	Role authcore.Role `json:"role"`
}

func memberOf(m *authcore.Member) Member {
	return Member{UserID: m.User, Username: m.Username, Name: m.Name, Role: m.Role, Status: m.Status, CreatedAt: m.CreatedAt}
}

// memberRoutes are about the members of an organization.
var memberRoutes = []Route{
	{Method: http.MethodGet, Path: "/organizations/{slug}/members", ID: "listMembers", Summary: "Members", Realm: Organization, Need: authcore.MembersView, Orders: authcore.MemberOrders,
		Params: []Param{{Name: "q", Doc: "what the username begins with"}},
		Do: list(func(c *Call) (Page[Member], error) {
			q := authcore.MemberQuery{Prefix: c.Param("q"), Order: c.Order, After: c.After, Limit: c.Limit + 1}
			found, err := c.Accounts.Members(c.Ctx, c.Actor, c.Slug(), q)
			return cut(c, found, q.Place, memberOf), err
		})},
	{Method: http.MethodPut, Path: "/organizations/{slug}/members/{id}", ID: "setMember", Summary: "Give a member a role; platform owners can add a user so", Realm: Organization, Need: authcore.MembersManage,
		Do: with(func(c *Call, in RoleChange) (Member, error) {
			if err := c.Accounts.SetMember(c.Ctx, c.Actor, c.Slug(), c.User(), in.Role); err != nil {
				return Member{}, err
			}
			m, err := c.Accounts.Member(c.Ctx, c.Actor, c.Slug(), c.User())
			return memberOf(&m), err
		})},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/members/{id}", ID: "removeMember", Summary: "Take a member out", Realm: Organization, Need: authcore.MembersManage,
		Do: do(func(c *Call) error { return c.Accounts.RemoveMember(c.Ctx, c.Actor, c.Slug(), c.User()) })},
	{Method: http.MethodPost, Path: "/organizations/{slug}/leave", ID: "leaveOrganization", Summary: "Leave an organization", Realm: Organization, Scope: ScopeOrganizationsLeave,
		Do: do(func(c *Call) error { return c.Accounts.LeaveOrganization(c.Ctx, c.Actor, c.Slug()) })},
}
