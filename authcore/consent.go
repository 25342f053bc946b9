package authcore

import (
	"context"
	"slices"
	"time"
)

// Consent is what a user lets a service know and do.
type Consent struct {
	User         UserID
	Service      ServiceID
	Organization OrganizationID
	ServiceName  string
	Slug         string // of the organization
	Scopes       []string
	Lasting      bool // it goes on when the user has signed out; told where consents are listed
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// ConsentStore keeps consents. Every method that changes something is one transaction that
// writes its event along.
type ConsentStore interface {
	// Consents lists those of a user, by the names of services: also of services that the user
	// was not asked about, or that know nothing but who it is, where a session goes on after
	// the user has signed out.
	Consents(ctx context.Context, user UserID, now time.Time) ([]Consent, error)
	// ConsentTo finds one; its Scopes are empty where there is none.
	ConsentTo(ctx context.Context, user UserID, service ServiceID) (Consent, error)
	// SetConsent adds scopes to a consent, or makes one: ErrServiceNotFound,
	// ErrUserNotFound.
	SetConsent(ctx context.Context, c Consent, ev Event) error
	// WithdrawConsent deletes one and ends the user's sessions at the service:
	// ErrConsentNotFound where there is neither.
	WithdrawConsent(ctx context.Context, user UserID, service ServiceID, ev Event) error
}

// ErrConsentNotFound says that a user granted nothing to a service.
var ErrConsentNotFound = &Error{Kind: NotFound, Code: "consent_not_found", Message: "You have granted nothing to this service."}

// Consented tells whether a user lets a service have scopes without being asked again:
// because it is the platform's own, or because the user did before.
func (a *Accounts) Consented(ctx context.Context, s Service, user UserID, scopes []string) (bool, error) {
	if s.FirstParty {
		return true, nil
	}
	c, err := a.Store.ConsentTo(ctx, user, s.ID)
	if err != nil || len(c.Scopes) == 0 {
		return false, err
	}
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(c.Scopes, scope) }), nil
}

// Consent lets a service have scopes, and remembers it.
func (a *Accounts) Consent(ctx context.Context, actor Actor, s Service, scopes []string) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	now := a.Now()
	ev := a.event(actor, ConsentGrant, TargetService(s.ID), Success, scopeText(scopes)).In(s.Organization)
	return a.Store.SetConsent(ctx, Consent{User: actor.User, Service: s.ID, Organization: s.Organization, Scopes: scopes, CreatedAt: now, UpdatedAt: now}, ev)
}

func scopeText(scopes []string) string {
	out := "scopes"
	for _, s := range scopes {
		out += " " + s
	}
	return out
}

// Consents lists what a user lets services have.
func (a *Accounts) Consents(ctx context.Context, user UserID) ([]Consent, error) {
	return a.Store.Consents(ctx, user, a.Now())
}

// WithdrawConsent takes back what the actor granted to a service, and ends the sessions
// there: ErrConsentNotFound.
func (a *Accounts) WithdrawConsent(ctx context.Context, actor Actor, service ServiceID) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	all, err := a.Consents(ctx, actor.User)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(c Consent) bool { return c.Service == service })
	if i < 0 {
		return ErrConsentNotFound
	}
	err = a.Store.WithdrawConsent(ctx, actor.User, service, a.event(actor, ConsentWithdraw, TargetService(service), Success, all[i].ServiceName).In(all[i].Organization))
	if err == nil {
		a.changed(ChangeUser, string(actor.User))
	}
	return err
}
