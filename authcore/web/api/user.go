package api

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// OwnerChange makes a user a platform owner, or takes that away.
type OwnerChange struct {
	Owner bool `json:"owner"`
}

// FactorChange says whether a user needs a second factor for everything.
type FactorChange struct {
	Required bool `json:"required"`
}

// AdmitChange says whether a user belongs to organizations only.
type AdmitChange struct {
	OrganizationOnly bool `json:"organization_only"`
}

// Revoked tells how many sessions ended.
type Revoked struct {
	Revoked int `json:"revoked"`
}

// errOwnFactor keeps a session that was stolen from losing the factor of its user.
var errOwnFactor = &authcore.Error{Kind: authcore.Forbidden, Code: "own_factor", Message: "Remove your own second factor on the account page, with a code."}

// changed answers a change to a user with the user as it is now.
func changed(c *Call, err error) (UserDetails, error) {
	if err != nil {
		return UserDetails{}, err
	}
	u, err := c.Accounts.UserByID(c.Ctx, c.Actor, c.User())
	return userDetailsOf(&u), err
}

func setStatus(to authcore.Status) Handler {
	return give(func(c *Call) (UserDetails, error) {
		return changed(c, c.Accounts.SetStatus(c.Ctx, c.Actor, c.User(), to))
	})
}

// NewUser is what an account is made of.
type NewUser struct {
	Username      string   `json:"username"`
	Email         string   `json:"email,omitempty"`
	EmailVerified bool     `json:"email_verified,omitempty" doc:"whoever makes the account vouches for the address"`
	Name          string   `json:"name,omitempty"`
	Password      string   `json:"password,omitempty" doc:"without one, nobody signs in with a password"`
	Groups        []string `json:"groups,omitempty"`
	Owner         bool     `json:"owner,omitempty" doc:"a platform owner"`
}

// errOwnAccount keeps a session that was stolen from deleting its user.
var errOwnAccount = &authcore.Error{Kind: authcore.Forbidden, Code: "own_account", Message: "Delete your own account on the account page."}

// userRoutes are about the users of the installation.
var userRoutes = []Route{
	{Method: http.MethodGet, Path: "/platform/users", ID: "listUsers", Summary: "Users; the name of one that q finds is the one that begins so", Realm: Platform, Scope: ScopeUsersView, Orders: authcore.UserOrders,
		Params: []Param{{Name: "q", Doc: "what the username or the email address begins with"}, {Name: "status", Form: Word, Values: []string{"active", "disabled"}}, {Name: "owner", Doc: "platform owners only", Form: Word, Values: []string{"true"}}},
		Do: list(func(c *Call) (Page[User], error) {
			found, err := c.Accounts.Users(c.Ctx, c.Actor, authcore.UserQuery{Prefix: c.Param("q"), Status: authcore.Status(c.Param("status")), Owners: c.Param("owner") != "", Order: c.Order, After: c.After, Limit: c.Limit})
			p := Page[User]{Next: found.Next}
			for i := range found.Users {
				p.Items = append(p.Items, userOf(&found.Users[i]))
			}
			return p, err
		})},
	{Method: http.MethodGet, Path: "/platform/users/{id}", ID: "getUser", Summary: "One user", Realm: Platform, Scope: ScopeUsersView,
		Do: give(func(c *Call) (UserDetails, error) {
			return changed(c, nil)
		})},
	{Method: http.MethodPost, Path: "/platform/users", ID: "createUser", Summary: "Make an account", Realm: Platform, Scope: ScopeUsersManage, Creates: true,
		Do: with(func(c *Call, in NewUser) (UserDetails, error) {
			u, err := c.Accounts.CreateUser(c.Ctx, c.Actor, authcore.NewUser{Username: in.Username, Email: in.Email, EmailVerified: in.EmailVerified, Name: in.Name,
				Password: authcore.Secret(in.Password), Groups: in.Groups, Owner: in.Owner})
			return userDetailsOf(&u), err
		})},
	{Method: http.MethodDelete, Path: "/platform/users/{id}", ID: "deleteUser", Summary: "Delete an account at once, with all that is its", Realm: Platform, Scope: ScopeUsersManage,
		Do: do(func(c *Call) error {
			if c.User() == c.Actor.User {
				return errOwnAccount
			}
			_, err := c.Accounts.DeleteUser(c.Ctx, c.Actor, c.User(), 0)
			return err
		})},
	{Method: http.MethodPost, Path: "/platform/users/{id}/disable", ID: "disableUser", Summary: "Disable a user, and end all sessions", Realm: Platform, Scope: ScopeUsersManage, Do: setStatus(authcore.Disabled)},
	{Method: http.MethodPost, Path: "/platform/users/{id}/enable", ID: "enableUser", Summary: "Let a disabled user sign in again", Realm: Platform, Scope: ScopeUsersManage, Do: setStatus(authcore.Active)},
	{Method: http.MethodPut, Path: "/platform/users/{id}/owner", ID: "setUserOwner", Summary: "Make a user a platform owner, or take that away", Realm: Platform, Scope: ScopeUsersManage,
		Do: with(func(c *Call, in OwnerChange) (UserDetails, error) {
			return changed(c, c.Accounts.SetOwner(c.Ctx, c.Actor, c.User(), in.Owner))
		})},
	{Method: http.MethodPut, Path: "/platform/users/{id}/factor-required", ID: "setUserFactorRequired", Summary: "Say whether a user needs a second factor for everything", Realm: Platform, Scope: ScopeUsersManage,
		Do: with(func(c *Call, in FactorChange) (UserDetails, error) {
			return changed(c, c.Accounts.SetFactorRequired(c.Ctx, c.Actor, c.User(), in.Required))
		})},
	{Method: http.MethodPut, Path: "/platform/users/{id}/organization-only", ID: "setUserOrganizationOnly", Summary: "Say whether a user belongs to organizations only, or to the installation", Realm: Platform, Scope: ScopeUsersManage,
		Do: with(func(c *Call, in AdmitChange) (UserDetails, error) {
			return changed(c, c.Accounts.AdmitUser(c.Ctx, c.Actor, c.User(), in.OrganizationOnly))
		})},
	{Method: http.MethodPost, Path: "/platform/users/{id}/reset-factor", ID: "resetUserFactor", Summary: "Take the second factor from a user who lost it, and end all sessions", Realm: Platform, Scope: ScopeUsersManage,
		Do: give(func(c *Call) (UserDetails, error) {
			if c.User() == c.Actor.User {
				return UserDetails{}, errOwnFactor
			}
			return changed(c, c.Accounts.RemoveFactors(c.Ctx, c.Actor, c.User()))
		})},
	{Method: http.MethodPost, Path: "/platform/users/{id}/sign-out", ID: "signUserOut", Summary: "End all sessions of a user", Realm: Platform, Scope: ScopeUsersManage,
		Do: give(func(c *Call) (Revoked, error) {
			n, err := c.Accounts.RevokeAll(c.Ctx, c.Actor, c.User())
			return Revoked{n}, err
		})},
}
