package api

import (
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Realm says whose things a route is about.
type Realm uint8

// The realms.
const (
	Account      Realm = iota // the account of who asks
	Everybody                 // what any user may ask
	Organization              // an organization, by {slug}: who has no place in it gets 404
	Platform                  // the installation: for platform owners, with a second factor
	Service                   // the service whose API key asks
)

// Route is one operation of the API.
type Route struct {
	Method  string
	Path    string // under /.gate/api/v1, with places such as {slug} and {id}
	ID      string // of the operation; unique
	Summary string
	Realm   Realm
	// Need is the capability that the route needs in the organization; empty where to have
	// a place in it is enough.
	Need authcore.Capability
	// Owners says that the route is for owners of the organization, whatever other roles
	// allow, and with a session for a proof that is fresh.
	Owners bool
	// InPerson says that an access token will not do: the route needs a session.
	InPerson bool
	// Scope is what an access token must have, and for a Service the API key, where any will
	// do if it is empty; else it is the name of Need where it is empty.
	Scope  string
	Params []Param         // of the query, besides limit, after and sort
	Orders authcore.Orders // of a list that can be sorted; the first is its own
	// Creates says that the route makes something new: it takes an Idempotency-Key, and
	// answers 201.
	Creates bool
	Do      Handler
}

// Scope names that are not those of capabilities.
const (
	ScopeAccountView         = "account.view"
	ScopeAccountManage       = "account.manage"
	ScopeOrganizationsCreate = "organizations.create"
	ScopeOrganizationOwn     = "organizations.own" // what only its owners may
	ScopeOrganizationsLeave  = "organizations.leave"
	ScopeUsersView           = "platform.users.view"
	ScopeUsersManage         = "platform.users.manage"
	ScopeOrganizationsManage = "platform.organizations.manage"
	ScopeSessionsManage      = "platform.sessions.manage"
	ScopeAuditView           = "platform.audit.view"
	ScopeWebhooksManage      = "platform.webhooks.manage"
)

// Routes is the one table of the API.
var Routes = slices.Concat(accountRoutes, organizationRoutes, memberRoutes, roleRoutes, invitationRoutes, serviceRoutes, serviceKeyRoutes, endUserRoutes, providerRoutes, webhookRoutes,
	platformOrganizationRoutes, tierRoutes, userRoutes, sessionRoutes, eventRoutes, keyRoutes)

// NeedsScope is the scope that an access token must have for the route.
func (rt *Route) NeedsScope() string {
	if rt.Scope == "" {
		return string(rt.Need)
	}
	return rt.Scope
}

// Changes tells whether the route changes something.
func (rt *Route) Changes() bool { return rt.Method != http.MethodGet }

// status is that of an answer that worked.
func (rt *Route) status() int {
	switch {
	case rt.Creates:
		return http.StatusCreated
	case rt.Do.answer == nil:
		return http.StatusNoContent
	}
	return http.StatusOK
}

// Param is a parameter of the query.
type Param struct {
	Name, Doc string
	Form      Form
	Values    []string // that it can have, for a Word
}

// Form is what a parameter looks like.
type Form uint8

// The forms of parameters.
const (
	Text Form = iota // at most 254 bytes without control characters
	Word             // one of Values
	ID               // a UUID
	Time             // RFC 3339
)

// Handler carries out a route. It is made by give, list, with and do.
type Handler struct {
	body, answer reflect.Type // nil for none
	list, whole  bool         // a list, by pages or whole
	run          func(c *Call, in any) (any, error)
}

// give answers without a body in the request.
func give[A any](f func(c *Call) (A, error)) Handler {
	return Handler{answer: reflect.TypeFor[A](), run: func(c *Call, _ any) (any, error) { return f(c) }}
}

// list answers a page.
func list[A any](f func(c *Call) (Page[A], error)) Handler {
	return Handler{answer: reflect.TypeFor[A](), list: true, run: func(c *Call, _ any) (any, error) { return f(c) }}
}

// whole answers a list that is short enough to be given whole.
func whole[A any](f func(c *Call) ([]A, error)) Handler {
	return Handler{answer: reflect.TypeFor[A](), whole: true, run: func(c *Call, _ any) (any, error) {
		all, err := f(c)
		return Page[A]{Items: all}, err
	}}
}

// with answers a request that has a body.
func with[B, A any](f func(c *Call, body B) (A, error)) Handler {
	return Handler{body: reflect.TypeFor[B](), answer: reflect.TypeFor[A](), run: func(c *Call, in any) (any, error) { return f(c, *in.(*B)) }}
}

// take takes a body and has nothing to answer.
func take[B any](f func(c *Call, body B) error) Handler {
	return Handler{body: reflect.TypeFor[B](), run: func(c *Call, in any) (any, error) { return nil, f(c, *in.(*B)) }}
}

// do has nothing to answer.
func do(f func(c *Call) error) Handler {
	return Handler{run: func(c *Call, _ any) (any, error) { return nil, f(c) }}
}

// Find gives the route of a method and a path, and what stands in the path's places.
// Where only other methods are there, it gives those.
func Find(method, path string) (rt *Route, places map[string]string, others []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range Routes {
		found, ok := match(Routes[i].Path, path)
		switch {
		case !ok:
		case Routes[i].Method == method:
			return &Routes[i], found, nil
		default:
			others = append(others, Routes[i].Method)
		}
	}
	if slices.Contains(others, http.MethodGet) {
		others = append(others, http.MethodHead)
	}
	slices.Sort(others)
	return nil, nil, slices.Compact(others)
}

// match compares a path with a pattern, segment by segment.
func match(pattern, path string) (places map[string]string, ok bool) {
	for {
		want, wantRest, wantMore := strings.Cut(pattern, "/")
		got, gotRest, gotMore := strings.Cut(path, "/")
		name, place := placeName(want)
		if wantMore != gotMore || !place && want != got || place && got == "" {
			return nil, false
		}
		if place {
			if places == nil {
				places = make(map[string]string)
			}
			places[name] = got
		}
		if !wantMore {
			return places, true
		}
		pattern, path = wantRest, gotRest
	}
}

// placeName is the name in {name}.
func placeName(segment string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(segment, "{"); ok {
		name, ok = strings.CutSuffix(name, "}")
	}
	return name, ok
}
