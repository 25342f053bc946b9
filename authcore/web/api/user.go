package api

import (
	"net/http"
	"time"

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

// UserCredentials are the ways in to an account, without what is secret of them.
type UserCredentials struct {
	Password      bool           `json:"password"`
	Passkeys      int            `json:"passkeys"`
	AppSince      *time.Time     `json:"app_since,omitempty" doc:"when the authenticator app was set up"`
	RecoveryCodes int            `json:"recovery_codes" doc:"how many are left"`
	Identities    []UserIdentity `json:"identities"`
}

// UserIdentity is an account at an outside provider that is linked to a user.
type UserIdentity struct {
	ID         authcore.IdentityID `json:"id"`
	Provider   string              `json:"provider"`
	Issuer     string              `json:"issuer"`
	Subject    string              `json:"subject"`
	Username   string              `json:"username"`
	Email      string              `json:"email"`
	LinkedAt   time.Time           `json:"linked_at"`
	LastUsedAt time.Time           `json:"last_used_at"`
}

// credentials are those of the user in the path.
func credentials(c *Call) (UserCredentials, error) {
	if _, err := changed(c, nil); err != nil {
		return UserCredentials{}, err
	}
	v := UserCredentials{Identities: []UserIdentity{}}
	var err error
	if v.Password, err = c.Accounts.HasPassword(c.Ctx, c.User()); err != nil {
		return v, err
	}
	factors, err := c.Accounts.Factors(c.Ctx, c.User())
	if err != nil {
		return v, err
	}
	v.Passkeys = factors.Passkeys
	if factors.TOTP != nil {
		v.AppSince, v.RecoveryCodes = when(factors.TOTP.CreatedAt), factors.Codes
	}
	linked, err := c.Accounts.Identities(c.Ctx, c.User())
	for _, i := range linked {
		v.Identities = append(v.Identities, UserIdentity{i.ID, i.Provider, i.Issuer, i.Subject, i.Username, i.Email, i.CreatedAt, i.UsedAt})
	}
	return v, err
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
	{Method: http.MethodGet, Path: "/platform/users/{id}/credentials", ID: "getUserCredentials", Summary: "The ways in to an account: password, passkeys, second factor, accounts at providers", Realm: Platform, Scope: ScopeUsersView,
		Do: give(credentials)},
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
