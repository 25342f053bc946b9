package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// ServiceKey lets a service's own server use the API.
type ServiceKey struct {
	ID         authcore.ServiceKeyID   `json:"id"`
	Name       string                  `json:"name" doc:"what it is for"`
	Scopes     []authcore.ServiceScope `json:"scopes" doc:"users.read, users.manage, sessions.read, sessions.revoke, tokens.read"`
	CreatedBy  authcore.UserID         `json:"created_by" doc:"empty for the command line"`
	CreatedAt  time.Time               `json:"created_at"`
	LastUsedAt *time.Time              `json:"last_used_at,omitempty" doc:"right to within five minutes; missing where it never was"`
	ExpiresAt  *time.Time              `json:"expires_at,omitempty" doc:"missing where it does not"`
}

// NewServiceKey is what an API key is made of.
type NewServiceKey struct {
	Name      string                  `json:"name" doc:"what it is for"`
	Scopes    []authcore.ServiceScope `json:"scopes" doc:"users.read, users.manage, sessions.read, sessions.revoke, tokens.read"`
	ExpiresAt *time.Time              `json:"expires_at,omitempty" doc:"missing for never"`
}

// ServiceKeyMade is an API key just made.
type ServiceKeyMade struct {
	ServiceKey
	Key string `json:"key" doc:"it is not shown again"`
}

func serviceKeyOf(k *authcore.ServiceKey) ServiceKey {
	return ServiceKey{ID: k.ID, Name: k.Name, Scopes: append([]authcore.ServiceScope{}, k.Scopes...), CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt, LastUsedAt: when(k.LastUsed), ExpiresAt: when(k.ExpiresAt)}
}

// serviceKeyRoutes are about the API keys of services, for those who manage them.
var serviceKeyRoutes = []Route{
	{Method: http.MethodGet, Path: "/organizations/{slug}/services/{id}/keys", ID: "listServiceKeys", Summary: "API keys of a service", Realm: Organization, Need: authcore.ServicesManage, Orders: authcore.ServiceKeyOrders,
		Do: list(func(c *Call) (Page[ServiceKey], error) {
			found, err := c.Accounts.ServiceKeys(c.Ctx, c.Actor, c.Slug(), c.ServiceID(), c.page())
			return cut(c, found, func(k authcore.ServiceKey) string { return string(k.ID) }, serviceKeyOf), err
		})},
	{Method: http.MethodPost, Path: "/organizations/{slug}/services/{id}/keys", ID: "createServiceKey", Summary: "Make an API key of a service", Realm: Organization, Need: authcore.ServicesManage, Creates: true,
		Do: with(func(c *Call, in NewServiceKey) (ServiceKeyMade, error) {
			n := authcore.NewServiceKey{Name: in.Name, Scopes: in.Scopes}
			if in.ExpiresAt != nil {
				n.ExpiresAt = *in.ExpiresAt
			}
			text, k, err := c.Accounts.CreateServiceKey(c.Ctx, c.Actor, c.Slug(), c.ServiceID(), n)
			return ServiceKeyMade{ServiceKey: serviceKeyOf(&k), Key: text.Reveal()}, err
		})},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/services/{id}/keys/{key}", ID: "revokeServiceKey", Summary: "End an API key", Realm: Organization, Need: authcore.ServicesManage,
		Do: do(func(c *Call) error {
			return c.Accounts.RevokeServiceKey(c.Ctx, c.Actor, c.Slug(), c.ServiceID(), authcore.ServiceKeyID(c.Place("key")))
		})},
}

// keyRoutes are for the server of a service, with an API key: about the service itself and
// its users.
var keyRoutes = []Route{
	{Method: http.MethodGet, Path: "/service", ID: "getMyService", Summary: "The service whose API key asks", Realm: Service,
		Do: give(func(c *Call) (ServiceView, error) { return serviceOf(&c.Service), nil })},
	{Method: http.MethodGet, Path: "/service/users", ID: "listMyUsers", Summary: "The users of the service", Realm: Service, Scope: string(authcore.ScopeUsersRead), Orders: authcore.EndUserOrders,
		Params: []Param{{Name: "q", Doc: "what the username or the email address begins with"}},
		Do:     list(listEndUsers)},
	{Method: http.MethodGet, Path: "/service/users/{id}", ID: "getMyUser", Summary: "One user of the service", Realm: Service, Scope: string(authcore.ScopeUsersRead), Do: give(getEndUser)},
	{Method: http.MethodGet, Path: "/service/users/{id}/sessions", ID: "listMyUserSessions", Summary: "The sessions of a user at the service, the newest first", Realm: Service, Scope: string(authcore.ScopeSessionsRead),
		Do: whole(listEndUserSessions)},
	{Method: http.MethodDelete, Path: "/service/users/{id}/sessions", ID: "revokeMyUserSessions", Summary: "End the sessions of a user at the service", Realm: Service, Scope: string(authcore.ScopeSessionsRevoke),
		Do: give(revokeEndUserSessions)},
	{Method: http.MethodDelete, Path: "/service/users/{id}/sessions/{session}", ID: "revokeMyUserSession", Summary: "End one session of a user at the service", Realm: Service, Scope: string(authcore.ScopeSessionsRevoke),
		Do: do(revokeEndUserSession)},
	{Method: http.MethodPut, Path: "/service/users/{id}/barred", ID: "barMyUser", Summary: "Keep a user from all services of the organization", Realm: Service, Scope: string(authcore.ScopeUsersManage),
		Do: take(barEndUser)},
	{Method: http.MethodDelete, Path: "/service/users/{id}/barred", ID: "unbarMyUser", Summary: "Let a user in again", Realm: Service, Scope: string(authcore.ScopeUsersManage),
		Do: do(unbarEndUser)},
}
