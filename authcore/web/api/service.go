package api

import (
	"bytes"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// ServiceSettings are what an organization says of a service.
type ServiceSettings struct {
	Name         string               `json:"name"`
	Status       authcore.Status      `json:"status" enum:"active disabled" doc:"disabled: nobody can use it"`
	RedirectURIs []string             `json:"redirect_uris" doc:"where sign-ins may lead, exactly"`
	LogoutURIs   []string             `json:"logout_uris" doc:"where sign-outs may lead, exactly"`
	Device       bool                 `json:"device" doc:"people may sign it in on another device"`
	Access       authcore.Reach       `json:"access" enum:"members chosen everyone" doc:"who may use it"`
	TokenFormat  authcore.TokenFormat `json:"token_format" enum:"jwt opaque" doc:"of access tokens"`
	AccessLife   int64                `json:"access_life" doc:"of access tokens, in seconds"`
	RefreshLife  int64                `json:"refresh_life" doc:"of refresh tokens, in seconds"`
	Algorithm    authcore.Algorithm   `json:"algorithm" enum:"ES256 RS256" doc:"that its tokens are signed with"`
	Scopes       []string             `json:"scopes" doc:"that it may ask for, besides those of the provider"`
	Keys         KeySet               `json:"keys" doc:"public keys of a web or API service (JWK Set), for private_key_jwt; null for none"`
	LogoutURI    string               `json:"backchannel_logout_uri" doc:"is told of sign-outs; empty for none"`
	NoPKCE       bool                 `json:"no_pkce" doc:"a web or API service that cannot do PKCE"`
	PushedOnly   bool                 `json:"pushed_only" doc:"sign-ins begin with a pushed authorization request"`
	DPoP         bool                 `json:"dpop" doc:"its tokens are bound to a key that it proves to have"`
}

// ServiceChange is what GET answers, with other settings. What is no setting may be left out,
// and changes nothing.
type ServiceChange struct {
	ServiceSettings
	ID             authcore.ServiceID   `json:"id,omitempty" doc:"is not changed"`
	Type           authcore.ServiceType `json:"type,omitempty" enum:"web api mobile desktop" doc:"is not changed"`
	ClientID       string               `json:"client_id,omitempty" doc:"is not changed"`
	FirstParty     bool                 `json:"first_party,omitempty" doc:"is not changed here"`
	OldSecretUntil *time.Time           `json:"old_secret_until,omitempty" doc:"is not changed"`
	CreatedAt      time.Time            `json:"created_at,omitzero" doc:"is not changed"`
	UpdatedAt      time.Time            `json:"updated_at,omitzero" doc:"is not changed"`
}

// NewService is what a service is made of. What is missing has its default.
type NewService struct {
	Type         authcore.ServiceType `json:"type" enum:"web api mobile desktop" doc:"web: it keeps a secret, and people sign in; api: it keeps a secret, and no page of it; mobile, desktop: it keeps none"`
	Name         string               `json:"name"`
	RedirectURIs []string             `json:"redirect_uris,omitempty" doc:"where sign-ins may lead, exactly"`
	LogoutURIs   []string             `json:"logout_uris,omitempty" doc:"where sign-outs may lead, exactly"`
	Device       bool                 `json:"device,omitempty" doc:"people may sign it in on another device"`
	Access       authcore.Reach       `json:"access,omitempty" enum:"members chosen everyone" doc:"who may use it; members where it is left out"`
	TokenFormat  authcore.TokenFormat `json:"token_format,omitempty" enum:"jwt opaque" doc:"of access tokens; jwt where it is left out"`
	AccessLife   int64                `json:"access_life,omitempty" doc:"of access tokens, in seconds; 0 for what is usual"`
	RefreshLife  int64                `json:"refresh_life,omitempty" doc:"of refresh tokens, in seconds; 0 for what is usual"`
	Algorithm    authcore.Algorithm   `json:"algorithm,omitempty" enum:"ES256 RS256" doc:"that its tokens are signed with"`
	Scopes       []string             `json:"scopes,omitempty" doc:"that it may ask for, besides those of the provider"`
	Keys         KeySet               `json:"keys,omitempty" doc:"public keys of a web or API service (JWK Set), for private_key_jwt; null for none"`
	LogoutURI    string               `json:"backchannel_logout_uri,omitempty" doc:"is told of sign-outs"`
	NoPKCE       bool                 `json:"no_pkce,omitempty" doc:"a web or API service that cannot do PKCE"`
	PushedOnly   bool                 `json:"pushed_only,omitempty" doc:"sign-ins begin with a pushed authorization request"`
	DPoP         bool                 `json:"dpop,omitempty" doc:"its tokens are bound to a key that it proves to have"`
}

// KeySet is a JWK Set (RFC 7517) as JSON; empty for none, which is null.
type KeySet string

// MarshalJSON gives the set.
func (k KeySet) MarshalJSON() ([]byte, error) {
	if k == "" {
		return []byte("null"), nil
	}
	return []byte(k), nil
}

// UnmarshalJSON takes any object, or null.
func (k *KeySet) UnmarshalJSON(text []byte) error {
	switch text = bytes.TrimSpace(text); {
	case string(text) == "null":
		*k = ""
	case len(text) > 0 && text[0] == '{':
		*k = KeySet(text)
	default:
		return errors.New("this is no object")
	}
	return nil
}

// ServiceView is an application of an organization: an OAuth client.
type ServiceView struct {
	ID       authcore.ServiceID   `json:"id"`
	Type     authcore.ServiceType `json:"type" enum:"web api mobile desktop"`
	ClientID string               `json:"client_id"`
	ServiceSettings
	FirstParty     bool       `json:"first_party" doc:"the platform's own: nobody is asked to consent"`
	OldSecretUntil *time.Time `json:"old_secret_until,omitempty" doc:"how long the secret before this one is good"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
}

// ServiceMade is a service just made.
type ServiceMade struct {
	ServiceView
	Secret string `json:"secret,omitempty" doc:"of a web or API service; it is not shown again"`
}

// SecretChange gives a service another secret.
type SecretChange struct {
	Overlap int64 `json:"overlap,omitempty" doc:"for how many seconds the one before is good, 604800 at most"`
}

// SecretMade is a secret just made.
type SecretMade struct {
	Secret string `json:"secret" doc:"it is not shown again"`
}

// TrustChange says whether a service is the platform's own.
type TrustChange struct {
	FirstParty bool `json:"first_party"`
}

// Grantee is a member who was given access to a service.
type Grantee struct {
	UserID    authcore.UserID `json:"user_id"`
	Username  string          `json:"username"`
	Name      string          `json:"name"`
	CreatedAt time.Time       `json:"created_at" doc:"since when"`
}

func serviceOf(s *authcore.Service) ServiceView {
	v := ServiceView{ID: s.ID, Type: s.Type, ClientID: s.ClientID, FirstParty: s.FirstParty, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
		ServiceSettings: ServiceSettings{Name: s.Name, Status: s.Status, RedirectURIs: append([]string{}, s.RedirectURIs...), LogoutURIs: append([]string{}, s.LogoutURIs...), Device: s.Device,
			Access: s.Access, TokenFormat: s.TokenFormat, AccessLife: int64(s.AccessLife / time.Second), RefreshLife: int64(s.RefreshLife / time.Second),
			Algorithm: s.Algorithm, Scopes: append([]string{}, s.Scopes...), Keys: KeySet(s.Keys), LogoutURI: s.LogoutURI, NoPKCE: s.NoPKCE, PushedOnly: s.PushedOnly, DPoP: s.DPoP}}
	if (s.OldSecret != authcore.TokenHash{}) {
		v.OldSecretUntil = when(s.OldUntil)
	}
	return v
}

func granteeOf(g *authcore.Grantee) Grantee {
	return Grantee{UserID: g.User, Username: g.Username, Name: g.Name, CreatedAt: g.CreatedAt}
}

// seconds is a time in seconds, or nothing that any bound lets through where it is none.
func seconds(n int64) time.Duration {
	if n < 0 || n > int64(1<<62/time.Second) {
		return -time.Second
	}
	return time.Duration(n) * time.Second
}

// ServiceID is the service in the path.
func (c *Call) ServiceID() authcore.ServiceID { return authcore.ServiceID(c.places["id"]) }

// Member is the member in the path, below a service.
func (c *Call) Member() authcore.UserID { return authcore.UserID(c.places["user"]) }

// serviceNow answers with the service in the path as it is now.
func serviceNow(c *Call) (ServiceView, error) {
	s, err := c.Accounts.Service(c.Ctx, c.Actor, c.Slug(), c.ServiceID())
	return serviceOf(&s), err
}

// serviceRoutes are about the services of an organization.
var serviceRoutes = []Route{
	{Method: http.MethodGet, Path: "/organizations/{slug}/services", ID: "listServices", Summary: "Services", Realm: Organization, Need: authcore.ServicesView, Orders: authcore.ServiceOrders,
		Params: []Param{{Name: "q", Doc: "what the name holds"}},
		Do: list(func(c *Call) (Page[ServiceView], error) {
			q := authcore.ServiceQuery{Search: c.Param("q"), Order: c.Order, After: c.After, Limit: c.Limit + 1}
			found, err := c.Accounts.Services(c.Ctx, c.Actor, c.Slug(), q)
			return cut(c, found, q.Place, serviceOf), err
		})},
	{Method: http.MethodPost, Path: "/organizations/{slug}/services", ID: "createService", Summary: "Make a service, with its secret", Realm: Organization, Need: authcore.ServicesCreate, Creates: true,
		Do: with(func(c *Call, in NewService) (ServiceMade, error) {
			secret, s, err := c.Accounts.CreateService(c.Ctx, c.Actor, c.Slug(), in.Type, authcore.ServiceSettings{Name: in.Name, RedirectURIs: in.RedirectURIs, LogoutURIs: in.LogoutURIs, Device: in.Device,
				Access: in.Access, TokenFormat: in.TokenFormat, AccessLife: seconds(in.AccessLife), RefreshLife: seconds(in.RefreshLife),
				Algorithm: in.Algorithm, Scopes: in.Scopes, Keys: string(in.Keys), LogoutURI: in.LogoutURI, NoPKCE: in.NoPKCE, PushedOnly: in.PushedOnly, DPoP: in.DPoP})
			return ServiceMade{ServiceView: serviceOf(&s), Secret: secret.Reveal()}, err
		})},
	{Method: http.MethodGet, Path: "/organizations/{slug}/services/{id}", ID: "getService", Summary: "One service", Realm: Organization, Need: authcore.ServicesView, Do: give(serviceNow)},
	{Method: http.MethodPut, Path: "/organizations/{slug}/services/{id}", ID: "changeService", Summary: "Change the settings of a service, all of them", Realm: Organization, Need: authcore.ServicesManage,
		Do: with(func(c *Call, in ServiceChange) (ServiceView, error) {
			s, err := c.Accounts.UpdateService(c.Ctx, c.Actor, c.Slug(), c.ServiceID(), authcore.ServiceSettings{Name: in.Name, Status: in.Status, RedirectURIs: in.RedirectURIs, LogoutURIs: in.LogoutURIs,
				Device: in.Device, Access: in.Access, TokenFormat: in.TokenFormat, AccessLife: seconds(in.AccessLife), RefreshLife: seconds(in.RefreshLife),
				Algorithm: in.Algorithm, Scopes: in.Scopes, Keys: string(in.Keys), LogoutURI: in.LogoutURI, NoPKCE: in.NoPKCE, PushedOnly: in.PushedOnly, DPoP: in.DPoP})
			return serviceOf(&s), err
		})},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/services/{id}", ID: "deleteService", Summary: "Delete a service, with all that is its", Realm: Organization, Need: authcore.ServicesManage,
		Do: do(func(c *Call) error { return c.Accounts.DeleteService(c.Ctx, c.Actor, c.Slug(), c.ServiceID()) })},
	{Method: http.MethodPost, Path: "/organizations/{slug}/services/{id}/secret", ID: "rotateServiceSecret", Summary: "Give a service another secret", Realm: Organization, Need: authcore.ServicesManage, Creates: true,
		Do: with(func(c *Call, in SecretChange) (SecretMade, error) {
			secret, err := c.Accounts.RotateServiceSecret(c.Ctx, c.Actor, c.Slug(), c.ServiceID(), seconds(in.Overlap))
			return SecretMade{Secret: secret.Reveal()}, err
		})},
	{Method: http.MethodPut, Path: "/platform/organizations/{slug}/services/{id}/first-party", ID: "setServiceTrust", Summary: "Say whether a service is the platform's own", Realm: Platform, Scope: ScopeOrganizationsManage,
		Do: with(func(c *Call, in TrustChange) (ServiceView, error) {
			if err := c.Accounts.SetServiceTrust(c.Ctx, c.Actor, c.Slug(), c.ServiceID(), in.FirstParty); err != nil {
				return ServiceView{}, err
			}
			return serviceNow(c)
		})},
	{Method: http.MethodGet, Path: "/organizations/{slug}/services/{id}/access", ID: "listAccess", Summary: "Who was given access to a service, by username", Realm: Organization, Need: authcore.ServicesManage,
		Do: list(func(c *Call) (Page[Grantee], error) {
			found, err := c.Accounts.Grantees(c.Ctx, c.Actor, c.Slug(), c.ServiceID(), c.After, c.Limit+1)
			return cut(c, found, func(g authcore.Grantee) string { return authcore.UsernameKey(g.Username) }, granteeOf), err
		})},
	{Method: http.MethodPut, Path: "/organizations/{slug}/services/{id}/access/{user}", ID: "grantAccess", Summary: "Give a member access to a service that is for chosen ones", Realm: Organization, Need: authcore.ServicesManage,
		Do: do(func(c *Call) error {
			return c.Accounts.GrantService(c.Ctx, c.Actor, c.Slug(), c.ServiceID(), c.Member())
		})},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/services/{id}/access/{user}", ID: "withdrawAccess", Summary: "Take a member's access away, and end the sessions there", Realm: Organization, Need: authcore.ServicesManage,
		Do: do(func(c *Call) error {
			return c.Accounts.WithdrawService(c.Ctx, c.Actor, c.Slug(), c.ServiceID(), c.Member())
		})},
}
