package authcore

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"time"
)

// ServiceID is a UUIDv7 in its text form.
type ServiceID string

// ServiceType says what kind of program a service is.
type ServiceType string

// The types of service. Web and API services run on servers and keep a secret; mobile and
// desktop ones cannot, and prove themselves by PKCE alone (RFC 8252 section 8.5).
const (
	ServiceWeb     ServiceType = "web"
	ServiceAPI     ServiceType = "api"
	ServiceMobile  ServiceType = "mobile"
	ServiceDesktop ServiceType = "desktop"
)

// Confidential tells whether a service of the type keeps a secret (RFC 6749 section 2.1).
func (t ServiceType) Confidential() bool { return t == ServiceWeb || t == ServiceAPI }

// Native tells whether a service of the type is an app on a person's device (RFC 8252).
func (t ServiceType) Native() bool { return t == ServiceMobile || t == ServiceDesktop }

// Reach says who may use a service.
type Reach string

// The reaches. Whoever is barred from the organization uses none of its services.
const (
	ReachMembers  Reach = "members"  // all members of the organization
	ReachChosen   Reach = "chosen"   // the members who were given access
	ReachEveryone Reach = "everyone" // every user of the installation
)

// TokenFormat is the form of the access tokens that a service gets.
type TokenFormat string

// The forms of access tokens.
const (
	TokenJWT    TokenFormat = "jwt"
	TokenOpaque TokenFormat = "opaque"
)

// ServiceSettings are what an organization says of a service.
type ServiceSettings struct {
	Name         string
	Status       Status   // active or disabled
	RedirectURIs []string // exact (RFC 9700 section 2.1)
	LogoutURIs   []string // where the provider may lead after a sign-out
	Device       bool     // people may sign it in on another device (RFC 8628)
	Access       Reach
	TokenFormat  TokenFormat
	AccessLife   time.Duration // of access tokens; whole seconds
	RefreshLife  time.Duration // of refresh tokens; whole seconds
	Algorithm    Algorithm     // that its tokens are signed with
	Scopes       []string      // that it may ask for, besides those of the provider
	Keys         string        // its public keys (JWK Set, RFC 7517), by which private_key_jwt is checked; empty for none
	LogoutURI    string        // is told of sign-outs (OpenID Connect Back-Channel Logout); empty for none
	NoPKCE       bool          // a confidential service that cannot do PKCE
	PushedOnly   bool          // it begins with a pushed authorization request (RFC 9126)
	DPoP         bool          // its tokens are bound to a key (RFC 9449)
}

// Algorithm is one of signatures (RFC 7518 section 3.1).
type Algorithm string

// The algorithms of signatures.
const (
	ES256 Algorithm = "ES256"
	RS256 Algorithm = "RS256" // for clients that know nothing newer
)

// Service is an application of an organization: an OAuth client.
type Service struct {
	ID           ServiceID
	Organization OrganizationID
	Type         ServiceType
	ClientID     string
	ServiceSettings
	FirstParty bool // the platform's own: nobody is asked to consent
	// The hashes of the secret, and of the one before while that is good; zero for none.
	Secret, OldSecret TokenHash
	OldUntil          time.Time
	CreatedAt         time.Time
	UpdatedAt         time.Time
}

// The bounds of services, and what they have unless somebody says otherwise.
const (
	MaxSecretOverlap   = 7 * 24 * time.Hour
	DefaultAccessLife  = 10 * time.Minute
	DefaultRefreshLife = 30 * 24 * time.Hour
	minTokenLife       = time.Minute
	maxAccessLife      = 24 * time.Hour
	maxRefreshLife     = 366 * 24 * time.Hour
	MaxServiceScopes   = 50
	maxServiceScope    = 64 // bytes of one
)

// ProviderScopes are those of the provider, which every service may ask for.
var ProviderScopes = []string{"openid", "profile", "email", "groups", "org", "roles", "offline_access"}

// clientSecretPrefix begins every secret of a service, so that people and scanners know it.
const clientSecretPrefix = "gate_cs_"

// SecretIs tells whether a text is a secret of the service that is good now, in a time that
// does not depend on which.
func (s *Service) SecretIs(secret Secret, now time.Time) bool {
	if !s.Type.Confidential() || !checked(secret.Reveal(), clientSecretPrefix) {
		return false
	}
	hash, none := HashToken(secret.Reveal()), TokenHash{}
	is := subtle.ConstantTimeCompare(hash[:], s.Secret[:])
	was := subtle.ConstantTimeCompare(hash[:], s.OldSecret[:])
	return is == 1 && s.Secret != none || was == 1 && s.OldSecret != none && now.Before(s.OldUntil)
}

// Redirects tells whether the service may be answered at an address: one that it has, as it
// is; on a loopback IP address any port will do (RFC 8252 section 7.3).
func (s *Service) Redirects(address string) bool {
	for _, one := range s.RedirectURIs {
		if address == one || s.Type.Native() && sameButPort(address, one) {
			return true
		}
	}
	return false
}

// ServiceQuery asks for services of an organization.
type ServiceQuery struct {
	Search string // what the name holds; ASCII letters in any case
	Order  Order
	After  string // Place of the last one of the page before
	Limit  int
}

// Grantee is a user who was given access to a service.
type Grantee struct {
	User      UserID
	Username  string
	Name      string
	CreatedAt time.Time
}

// ServiceStore keeps services. Every method that changes something is one transaction that
// writes its event along.
type ServiceStore interface {
	// CreateService adds a service, where the organization may have one more:
	// ErrServiceLimit, ErrOrganizationNotFound.
	CreateService(ctx context.Context, s Service, ev Event) error
	// Services lists those of an organization; those of one name in the order of their ids.
	Services(ctx context.Context, id OrganizationID, q ServiceQuery) ([]Service, error)
	// ServiceByID finds one of an organization, or returns ErrServiceNotFound.
	ServiceByID(ctx context.Context, id OrganizationID, of ServiceID) (Service, error)
	// ServiceByClientID finds one with the status of its organization, or returns
	// ErrServiceNotFound.
	ServiceByClientID(ctx context.Context, clientID string) (Service, OrganizationStatus, error)
	// UpdateService changes the settings; one that is disabled loses its sessions.
	// ErrServiceNotFound.
	UpdateService(ctx context.Context, s Service, ev Event) error
	// SetServiceTrust changes FirstParty: ErrServiceNotFound.
	SetServiceTrust(ctx context.Context, s Service, firstParty bool, ev Event) error
	// RotateServiceSecret makes another secret that of a service; the one before is good
	// until a time. ErrServiceNotFound.
	RotateServiceSecret(ctx context.Context, s Service, secret TokenHash, until time.Time, ev Event) error
	// DeleteService deletes one with all that is its: ErrServiceNotFound.
	DeleteService(ctx context.Context, s Service, ev Event) error
	// GrantService gives a member access: ErrServiceNotFound, ErrMemberNotFound.
	GrantService(ctx context.Context, s Service, user UserID, ev Event) error
	// WithdrawService takes it away, with the sessions there: ErrMemberNotFound where the
	// user has none.
	WithdrawService(ctx context.Context, s Service, user UserID, ev Event) error
	// Grantees lists who was given access, in the order of their usernames.
	Grantees(ctx context.Context, s Service, after string, limit int) ([]Grantee, error)
}

// The errors of services.
var (
	ErrServiceNotFound   = &Error{Kind: NotFound, Code: "service_not_found", Message: "There is no such service."}
	ErrServiceLimit      = &Error{Kind: Conflict, Code: "service_limit_exceeded", Message: "The organization has as many services as its tier allows. Delete one, or have a platform owner give it another tier."}
	ErrServiceDisabled   = &Error{Kind: Forbidden, Code: "service_disabled", Message: "This service cannot be used at present."}
	ErrServiceNotAllowed = &Error{Kind: Forbidden, Code: "service_not_allowed", Message: "You may not use this service: it is not for everybody. Ask whoever runs it."}
	ErrServiceTrusted    = &Error{Kind: Forbidden, Code: "service_trusted", Message: "This service is the platform's own: only platform owners change its settings and its secret. You can switch it off and on."}
	ErrServicePublic     = &Error{Kind: Conflict, Code: "service_without_secret", Message: "A mobile or desktop app has no secret: it could not keep one."}
	ErrOverlapInvalid    = &Error{Kind: Invalid, Code: "overlap_invalid", Field: "overlap", Message: "The old secret can be good for 7 days more at most."}
)

// TargetService is the target text for a service.
func TargetService(id ServiceID) string { return "service:" + string(id) }

// check refuses settings that no service of a type can have, and fills in what they leave
// open.
func (n *ServiceSettings) check(t ServiceType) error {
	n.defaults()
	if !t.Confidential() && !t.Native() {
		return badSetting("type", "A service is web, api, mobile or desktop.")
	}
	if n.Name = strings.TrimSpace(n.Name); n.Name == "" {
		return badSetting("name", "Please give the service a name.")
	}
	if err := CheckName(n.Name); err != nil {
		return err
	}
	if err := n.Status.Validate(); err != nil {
		return badSetting("status", "A service is active or disabled.")
	}
	switch {
	case n.Access != ReachMembers && n.Access != ReachChosen && n.Access != ReachEveryone:
		return badSetting("access", "A service is for members, chosen or everyone.")
	case n.TokenFormat != TokenJWT && n.TokenFormat != TokenOpaque:
		return badSetting("token_format", "A token is jwt or opaque.")
	case n.AccessLife < minTokenLife || n.AccessLife > maxAccessLife:
		return badSetting("access_life", "An access token can be good for a minute at least and a day at most.")
	case n.RefreshLife < minTokenLife || n.RefreshLife > maxRefreshLife:
		return badSetting("refresh_life", "A refresh token can be good for a minute at least and 366 days at most.")
	}
	if err := checkRedirectURIs(t, "redirect_uris", n.RedirectURIs); err != nil {
		return err
	}
	if err := checkRedirectURIs(t, "logout_uris", n.LogoutURIs); err != nil {
		return err
	}
	return n.checkProtocol(t)
}

func badSetting(field, msg string) error {
	return &Error{Kind: Invalid, Code: "service_" + field + "_invalid", Field: field, Message: msg}
}

// checkProtocol is check for how a service speaks OAuth. It brings the keys into their
// normal form.
func (n *ServiceSettings) checkProtocol(t ServiceType) error {
	if n.Algorithm != ES256 && n.Algorithm != RS256 {
		return badSetting("algorithm", "Tokens are signed with ES256 or RS256.")
	}
	if fault := scopesFault(n.Scopes); fault != "" {
		return badSetting("scopes", fault)
	}
	if n.Keys = strings.TrimSpace(n.Keys); n.Keys != "" {
		if !t.Confidential() {
			return badSetting("keys", "A mobile or desktop app has no keys: it could not keep the private ones.")
		}
		keys, fault := publicKeys(n.Keys)
		if fault != "" {
			return badSetting("keys", fault)
		}
		n.Keys = keys
	}
	if n.LogoutURI != "" {
		// Whatever the service is: a scheme of an app's own is nothing that can be asked.
		if fault := redirectFault(ServiceWeb, n.LogoutURI); fault != "" {
			return badSetting("backchannel_logout_uri", fault)
		}
	}
	if n.NoPKCE && !t.Confidential() {
		return badSetting("no_pkce", "A mobile or desktop app proves itself by PKCE, and cannot do without.")
	}
	return nil
}

// scopesFault says what is wrong with the scopes of a service; empty for nothing.
func scopesFault(all []string) string {
	if len(all) > MaxServiceScopes {
		return "A service can have 50 scopes of its own at most."
	}
	for i, scope := range all {
		switch {
		case !scopeToken(scope):
			return "A scope has 1 to 64 printable characters of ASCII, without spaces, \" and \\."
		case slices.Contains(ProviderScopes, scope):
			return "Every service may ask for " + scope + ": leave it out."
		case slices.Contains(all[:i], scope):
			return "A scope is there twice."
		}
	}
	return ""
}

// scopeToken tells whether text can be a scope (RFC 6749 section 3.3).
func scopeToken(text string) bool {
	for _, r := range text {
		if r <= ' ' || r > '~' || r == '"' || r == '\\' {
			return false
		}
	}
	return text != "" && len(text) <= maxServiceScope
}

func (n *ServiceSettings) defaults() {
	if n.Status == "" {
		n.Status = Active
	}
	if n.Access == "" {
		n.Access = ReachMembers
	}
	if n.TokenFormat == "" {
		n.TokenFormat = TokenJWT
	}
	if n.AccessLife == 0 {
		n.AccessLife = DefaultAccessLife
	}
	if n.RefreshLife == 0 {
		n.RefreshLife = DefaultRefreshLife
	}
	if n.Algorithm == "" {
		n.Algorithm = ES256
	}
	n.AccessLife, n.RefreshLife = n.AccessLife.Truncate(time.Second), n.RefreshLife.Truncate(time.Second)
}

// CreateService makes a service of an organization, with its client id and, for one that
// keeps it, its secret, which nothing can show again. ErrServiceLimit.
func (a *Accounts) CreateService(ctx context.Context, actor Actor, slug string, t ServiceType, n ServiceSettings) (Secret, Service, error) {
	if err := actor.inPerson(); err != nil {
		return "", Service{}, err
	}
	o, err := a.authorize(ctx, actor, slug, ServicesCreate)
	if err != nil {
		return "", Service{}, err
	}
	if err := n.check(t); err != nil {
		return "", Service{}, err
	}
	var id [16]byte
	rand.Read(id[:])
	now := a.Now()
	s := Service{ID: ServiceID(newID()), Organization: o.ID, Type: t, ClientID: hex.EncodeToString(id[:]), ServiceSettings: n, CreatedAt: now, UpdatedAt: now}
	var secret Secret
	if t.Confidential() {
		secret, s.Secret = makeChecked(clientSecretPrefix)
	}
	if err := a.Store.CreateService(ctx, s, a.serviceEvent(o, actor, ServiceCreate, s.ID, string(t)+", "+n.Name)); err != nil {
		return "", Service{}, err
	}
	return secret, s, nil
}

// serviceEvent makes an event of now about a service of an organization.
func (a *Accounts) serviceEvent(o Organization, actor Actor, action Action, id ServiceID, details string) Event {
	ev := a.eventIn(o, actor, action, details)
	ev.Target = TargetService(id)
	return ev
}

// Services lists the services of an organization, as ServiceStore does.
func (a *Accounts) Services(ctx context.Context, actor Actor, slug string, q ServiceQuery) ([]Service, error) {
	o, err := a.authorize(ctx, actor, slug, ServicesView)
	if err != nil {
		return nil, err
	}
	return a.Store.Services(ctx, o.ID, q)
}

// Service gives a service of an organization.
func (a *Accounts) Service(ctx context.Context, actor Actor, slug string, id ServiceID) (Service, error) {
	_, s, err := a.serviceFor(ctx, actor, slug, id, ServicesView)
	return s, err
}

// serviceFor finds a service of an organization in which the actor may do something.
func (a *Accounts) serviceFor(ctx context.Context, actor Actor, slug string, id ServiceID, need Capability) (Organization, Service, error) {
	o, err := a.authorize(ctx, actor, slug, need)
	if err != nil {
		return Organization{}, Service{}, err
	}
	s, err := a.Store.ServiceByID(ctx, o.ID, id)
	return o, s, err
}

// UpdateService changes the settings of a service. Of one that is the platform's own only those
// who run the installation change more than its status: ErrServiceTrusted.
func (a *Accounts) UpdateService(ctx context.Context, actor Actor, slug string, id ServiceID, n ServiceSettings) (Service, error) {
	o, s, err := a.serviceFor(ctx, actor, slug, id, ServicesManage)
	if err != nil {
		return Service{}, err
	}
	if err := n.check(s.Type); err != nil {
		return Service{}, err
	}
	if other := n; s.FirstParty {
		other.Status = s.Status
		if err := a.platform(ctx, actor); err != nil && !other.equal(s.ServiceSettings) {
			return Service{}, ErrServiceTrusted
		}
	}
	same := n.Status == s.Status && n.Access == s.Access
	s.ServiceSettings, s.UpdatedAt = n, a.Now()
	err = a.Store.UpdateService(ctx, s, a.serviceEvent(o, actor, ServiceUpdate, id, n.Name+", "+string(n.Status)))
	if same {
		return s, a.serviceChanged(id, err)
	}
	return s, a.ended("", err)
}

// equal tells whether settings are the same.
func (n ServiceSettings) equal(o ServiceSettings) bool {
	same := slices.Equal(n.RedirectURIs, o.RedirectURIs) && slices.Equal(n.LogoutURIs, o.LogoutURIs) && slices.Equal(n.Scopes, o.Scopes)
	n.RedirectURIs, n.LogoutURIs, n.Scopes, o.RedirectURIs, o.LogoutURIs, o.Scopes = nil, nil, nil, nil, nil, nil
	return same && reflect.DeepEqual(n, o)
}

// SetServiceTrust says whether a service is the platform's own, for those who run the
// installation: nobody is asked to consent to one. Where it no more is, all its users are
// signed out of it, as they have never been asked.
func (a *Accounts) SetServiceTrust(ctx context.Context, actor Actor, slug string, id ServiceID, firstParty bool) error {
	o, err := a.platformOver(ctx, actor, slug)
	if err != nil {
		return err
	}
	s, err := a.Store.ServiceByID(ctx, o.ID, id)
	if err != nil {
		return err
	}
	details := "the platform's own"
	if !firstParty {
		details = "not the platform's own"
	}
	err = a.Store.SetServiceTrust(ctx, s, firstParty, a.serviceEvent(o, actor, ServiceTrust, id, details))
	if firstParty {
		return a.serviceChanged(id, err)
	}
	return a.ended("", err)
}

// serviceChanged makes other settings of a service count on this node at once; err is the
// outcome of the change.
func (a *Accounts) serviceChanged(id ServiceID, err error) error {
	if err == nil {
		a.changed(ChangeService, string(id))
	}
	return err
}

// ended makes the end of sessions at services count on this node at once: those of a user, or
// of everybody where that is empty. err is the outcome of what ended them.
func (a *Accounts) ended(user UserID, err error) error {
	switch {
	case err == nil && user == "":
		a.changed(ChangeAll, "")
	case err == nil:
		a.changed(ChangeUser, string(user))
	}
	return err
}

// RotateServiceSecret gives a service another secret, which nothing can show again. The one
// before is good for some time more, MaxSecretOverlap at most. ErrServicePublic,
// ErrServiceTrusted.
func (a *Accounts) RotateServiceSecret(ctx context.Context, actor Actor, slug string, id ServiceID, overlap time.Duration) (Secret, error) {
	if err := actor.inPerson(); err != nil {
		return "", err
	}
	o, s, err := a.serviceFor(ctx, actor, slug, id, ServicesManage)
	switch {
	case err != nil:
		return "", err
	case !s.Type.Confidential():
		return "", ErrServicePublic
	case s.FirstParty && a.platform(ctx, actor) != nil:
		return "", ErrServiceTrusted
	case overlap < 0 || overlap > MaxSecretOverlap:
		return "", ErrOverlapInvalid
	}
	secret, hash := makeChecked(clientSecretPrefix)
	until := a.Now().Add(overlap)
	ev := a.serviceEvent(o, actor, ServiceSecret, id, "the one before ends on "+until.UTC().Format("2006-01-02 15:04 UTC"))
	if err := a.serviceChanged(id, a.Store.RotateServiceSecret(ctx, s, hash, until, ev)); err != nil {
		return "", err
	}
	return secret, nil
}

// DeleteService deletes a service with all that is its.
func (a *Accounts) DeleteService(ctx context.Context, actor Actor, slug string, id ServiceID) error {
	o, s, err := a.serviceFor(ctx, actor, slug, id, ServicesManage)
	if err != nil {
		return err
	}
	return a.ended("", a.Store.DeleteService(ctx, s, a.serviceEvent(o, actor, ServiceDelete, id, s.Name)))
}

// GrantService gives a member access to a service that is for chosen ones.
// ErrMemberNotFound.
func (a *Accounts) GrantService(ctx context.Context, actor Actor, slug string, id ServiceID, user UserID) error {
	o, s, err := a.serviceFor(ctx, actor, slug, id, ServicesManage)
	if err != nil {
		return err
	}
	return a.Store.GrantService(ctx, s, user, a.serviceEvent(o, actor, ServiceGrant, id, "user "+string(user)))
}

// WithdrawService takes the access of a member to a service away, and ends the sessions
// there. ErrMemberNotFound.
func (a *Accounts) WithdrawService(ctx context.Context, actor Actor, slug string, id ServiceID, user UserID) error {
	o, s, err := a.serviceFor(ctx, actor, slug, id, ServicesManage)
	if err != nil {
		return err
	}
	return a.ended(user, a.Store.WithdrawService(ctx, s, user, a.serviceEvent(o, actor, ServiceWithdraw, id, "user "+string(user))))
}

// Grantees lists who was given access to a service, as ServiceStore does.
func (a *Accounts) Grantees(ctx context.Context, actor Actor, slug string, id ServiceID, after string, limit int) ([]Grantee, error) {
	_, s, err := a.serviceFor(ctx, actor, slug, id, ServicesManage)
	if err != nil {
		return nil, err
	}
	return a.Store.Grantees(ctx, s, after, limit)
}

func usable(s Service, status OrganizationStatus) error {
	if s.Status != Active || status != OrganizationActive {
		return ErrServiceDisabled
	}
	return nil
}
