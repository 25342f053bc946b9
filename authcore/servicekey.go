package authcore

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ServiceKeyID is a UUIDv7 in its text form. It is not a secret: the key is.
type ServiceKeyID string

// ServiceScope is one thing that an API key of a service is good for.
type ServiceScope string

// The scopes of API keys. All are about the end users of the key's own service.
const (
	ScopeUsersRead      ServiceScope = "users.read"
	ScopeUsersManage    ServiceScope = "users.manage"
	ScopeSessionsRead   ServiceScope = "sessions.read"
	ScopeSessionsRevoke ServiceScope = "sessions.revoke"
	ScopeTokensRead     ServiceScope = "tokens.read" // to introspect tokens of the service
)

// scopeNeeds is what whoever makes a key must be able to do, to give it a scope: nobody
// gives what they lack.
var scopeNeeds = map[ServiceScope]Capability{
	ScopeUsersRead: EndUsersView, ScopeUsersManage: EndUsersManage, ScopeSessionsRead: EndUsersView,
	ScopeSessionsRevoke: EndUsersManage, ScopeTokensRead: ServicesManage,
}

// ServiceScopes are all that there are.
var ServiceScopes = []ServiceScope{ScopeUsersRead, ScopeUsersManage, ScopeSessionsRead, ScopeSessionsRevoke, ScopeTokensRead}

// ServiceKey lets a service's own server use the API.
type ServiceKey struct {
	ID           ServiceKeyID
	Organization OrganizationID
	Service      ServiceID
	Name         string // what it is for
	Scopes       []ServiceScope
	CreatedBy    UserID // empty for the command line
	CreatedAt    time.Time
	LastUsed     time.Time // right to within keyUseEvery; zero: never
	ExpiresAt    time.Time // zero: never
}

// Has tells whether the key is good for something.
func (k *ServiceKey) Has(scope ServiceScope) bool { return slices.Contains(k.Scopes, scope) }

// Actor is who acts with the key, with the client of a request.
func (k *ServiceKey) Actor(c Client) Actor {
	return Actor{Kind: ActorService, Session: SessionID(k.ID), Client: c}
}

const (
	// MaxServiceKeys is how many API keys a service can have.
	MaxServiceKeys = 50
	// serviceKeyPrefix begins every API key, so that people and scanners know it.
	serviceKeyPrefix = "gate_sk_"
	// keyUseEvery is how often the last use of a key is written at most.
	keyUseEvery = 5 * time.Minute
)

// PlausibleServiceKey tells whether text is written like an API key, with the right
// checksum: anything else no database is asked for.
func PlausibleServiceKey(text string) bool { return checked(text, serviceKeyPrefix) }

// ServiceKeyStore keeps API keys. Every method that changes something but TouchServiceKey
// is one transaction that writes its event along.
type ServiceKeyStore interface {
	// CreateServiceKey adds a key: ErrServiceNotFound, ErrTooManyKeys.
	CreateServiceKey(ctx context.Context, k ServiceKey, hash TokenHash, ev Event) error
	// ServiceKeys lists the keys of a service.
	ServiceKeys(ctx context.Context, s Service, q ListQuery) ([]ServiceKey, error)
	// RevokeServiceKey deletes a key of a service, or returns ErrKeyNotFound.
	RevokeServiceKey(ctx context.Context, s Service, id ServiceKeyID, ev Event) error
	// ServiceKeyByHash finds a key, its service and the status of its organization, or
	// returns ErrKeyInvalid.
	ServiceKeyByHash(ctx context.Context, hash TokenHash) (ServiceKey, Service, OrganizationStatus, error)
	// ServiceKeyByID is ServiceKeyByHash by the id.
	ServiceKeyByID(ctx context.Context, id ServiceKeyID) (ServiceKey, Service, OrganizationStatus, error)
	// TouchServiceKey writes when a key was last used, unless that is newer.
	TouchServiceKey(ctx context.Context, id ServiceKeyID, at time.Time) error
}

// The errors of API keys.
var (
	ErrKeyNotFound  = &Error{Kind: NotFound, Code: "api_key_not_found", Message: "There is no such API key."}
	ErrKeyInvalid   = &Error{Kind: Unauthenticated, Code: "api_key_invalid", Message: "This API key is not valid, or not any more."}
	ErrTooManyKeys  = &Error{Kind: Conflict, Code: "too_many_api_keys", Message: "The service has as many API keys as it can have. Revoke one first."}
	ErrScopeInvalid = &Error{Kind: Invalid, Code: "scope_invalid", Field: "scopes", Message: "An API key needs one scope at least, of those that there are."}
	ErrKeyEnd       = &Error{Kind: Invalid, Code: "api_key_end_invalid", Field: "expires_at", Message: "An API key ends in the future, or never."}
)

// NewServiceKey is what an API key is made of.
type NewServiceKey struct {
	Name      string
	Scopes    []ServiceScope
	ExpiresAt time.Time // zero: never
}

func (n *NewServiceKey) check(now time.Time) error {
	n.Name = strings.TrimSpace(n.Name)
	if count := utf8.RuneCountInString(n.Name); count == 0 || count > maxTokenName || hasControl(n.Name) || !utf8.ValidString(n.Name) {
		return &Error{Kind: Invalid, Code: "api_key_name_invalid", Field: "name", Message: "Please say what the key is for, in 64 characters at most, without control characters."}
	}
	if !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now) {
		return ErrKeyEnd
	}
	var sorted []ServiceScope
	for _, s := range ServiceScopes {
		if slices.Contains(n.Scopes, s) {
			sorted = append(sorted, s)
		}
	}
	for _, s := range n.Scopes {
		if !slices.Contains(ServiceScopes, s) {
			return ErrScopeInvalid
		}
	}
	if n.Scopes = sorted; len(sorted) == 0 {
		return ErrScopeInvalid
	}
	return nil
}

// CreateServiceKey makes an API key of a service and gives its text, which nothing can show
// again. A scope that allows more than the actor's role is not theirs to give:
// ErrBeyondOwn.
func (a *Accounts) CreateServiceKey(ctx context.Context, actor Actor, slug string, id ServiceID, n NewServiceKey) (Secret, ServiceKey, error) {
	if err := actor.inPerson(); err != nil {
		return "", ServiceKey{}, err
	}
	s, err := a.authorized(ctx, actor, slug, ServicesManage)
	if err != nil {
		return "", ServiceKey{}, err
	}
	service, err := a.Store.ServiceByID(ctx, s.Organization.ID, id)
	if err != nil {
		return "", ServiceKey{}, err
	}
	now := a.Now()
	if err := n.check(now); err != nil {
		return "", ServiceKey{}, err
	}
	for _, scope := range n.Scopes {
		if err := s.covers([]Capability{scopeNeeds[scope]}); err != nil {
			return "", ServiceKey{}, err
		}
	}
	text, hash := makeChecked(serviceKeyPrefix)
	k := ServiceKey{ID: ServiceKeyID(newID()), Organization: service.Organization, Service: id, Name: n.Name, Scopes: n.Scopes, CreatedBy: actor.User, CreatedAt: now, ExpiresAt: n.ExpiresAt}
	if err := a.Store.CreateServiceKey(ctx, k, hash, a.serviceEvent(s.Organization, actor, APIKeyCreate, id, k.text())); err != nil {
		return "", ServiceKey{}, err
	}
	return text, k, nil
}

func (k *ServiceKey) text() string {
	out := k.Name + ":"
	for _, s := range k.Scopes {
		out += " " + string(s)
	}
	return out
}

// ServiceKeys lists the API keys of a service, as ServiceKeyStore does.
func (a *Accounts) ServiceKeys(ctx context.Context, actor Actor, slug string, id ServiceID, q ListQuery) ([]ServiceKey, error) {
	_, s, err := a.serviceFor(ctx, actor, slug, id, ServicesManage)
	if err != nil {
		return nil, err
	}
	return a.Store.ServiceKeys(ctx, s, q)
}

// RevokeServiceKey ends an API key of a service. It counts at once, on every node: keys are
// kept in no memory.
func (a *Accounts) RevokeServiceKey(ctx context.Context, actor Actor, slug string, id ServiceID, key ServiceKeyID) error {
	o, s, err := a.serviceFor(ctx, actor, slug, id, ServicesManage)
	if err != nil {
		return err
	}
	return a.Store.RevokeServiceKey(ctx, s, key, a.serviceEvent(o, actor, APIKeyRevoke, id, "key "+string(key)))
}

// ServiceByKey finds the service and the key of a text that a client sent. ErrKeyInvalid
// where it is none, or has ended; ErrServiceDisabled where the service or its organization
// is not active.
func (a *Accounts) ServiceByKey(ctx context.Context, token string) (Service, ServiceKey, error) {
	if !PlausibleServiceKey(token) {
		return Service{}, ServiceKey{}, ErrKeyInvalid
	}
	k, s, status, err := a.Store.ServiceKeyByHash(ctx, HashToken(token))
	now := a.Now()
	if err == nil {
		err = k.good(now, s, status)
	}
	if err != nil {
		return Service{}, ServiceKey{}, err
	}
	if now.Sub(k.LastUsed) >= keyUseEvery {
		if err := a.Store.TouchServiceKey(ctx, k.ID, now); err == nil { // one that cannot be written keeps nobody out
			k.LastUsed = now
		}
	}
	return s, k, nil
}

// ServiceOf finds the service whose API key acts, with its organization. ErrKeyInvalid where
// the key has ended, or nobody acts with one; ErrServiceDisabled.
func (a *Accounts) ServiceOf(ctx context.Context, actor Actor) (Service, Organization, error) {
	if actor.Kind != ActorService {
		return Service{}, Organization{}, ErrKeyInvalid
	}
	k, s, status, err := a.Store.ServiceKeyByID(ctx, ServiceKeyID(actor.Session))
	if err == nil {
		err = k.good(a.Now(), s, status)
	}
	if err != nil {
		return Service{}, Organization{}, err
	}
	o, err := a.Store.OrganizationByID(ctx, s.Organization)
	if ErrOrganizationNotFound.is(err) { // deleted between the two readings, with its keys
		err = ErrKeyInvalid
	}
	return s, o, err
}

func (k *ServiceKey) good(now time.Time, s Service, status OrganizationStatus) error {
	if !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) {
		return ErrKeyInvalid
	}
	return usable(s, status)
}

// keyStanding fills in what an API key may do in the organization of its service; nothing
// in another one.
func (a *Accounts) keyStanding(ctx context.Context, actor Actor, s *Standing) error {
	k, service, status, err := a.Store.ServiceKeyByID(ctx, ServiceKeyID(actor.Session))
	if ErrKeyInvalid.is(err) || err == nil && (service.Organization != s.Organization.ID || k.good(a.Now(), service, status) != nil) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Service = service.ID
	for _, scope := range []struct {
		has  ServiceScope
		does Capability
	}{{ScopeUsersRead, EndUsersView}, {ScopeUsersManage, EndUsersManage}} {
		if k.Has(scope.has) {
			s.Capabilities = append(s.Capabilities, scope.does)
		}
	}
	if k.Has(ScopeSessionsRead) {
		s.Capabilities = append(s.Capabilities, sessionsView)
	}
	if k.Has(ScopeSessionsRevoke) {
		s.Capabilities = append(s.Capabilities, sessionsRevoke)
	}
	return nil
}
