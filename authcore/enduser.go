package authcore

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// What an API key can do with sessions alone. No role has these: whoever may see and manage
// end users may do so with their sessions.
const (
	sessionsView   Capability = "sessions.view"
	sessionsRevoke Capability = "sessions.revoke"
)

// EndUser is a user who has signed in to a service of an organization.
type EndUser struct {
	User            UserID
	Username        string
	Name            string
	Email           string
	FirstAt, LastAt time.Time // of the sign-ins, to any service that was asked about
	Barred          bool
}

// ServiceSession is a sign-in of a user at a service, with what the user granted there. While
// it is there its tokens are good. It ends with the portal session that it came from, unless
// it is Offline, and with all that ends all sessions of a user, such as a new password.
type ServiceSession struct {
	ID           SessionID // a UUIDv7; not a secret
	Organization OrganizationID
	Service      ServiceID
	User         UserID
	Root         SessionID // the portal session that vouched; where it is Offline, that may have ended
	Offline      bool      // goes on after the portal session: offline_access, or a device; never where somebody acts
	Scopes       []string  // that were granted
	Resources    []string  // for which its tokens are (RFC 8707)
	AMR          []string  // how the user proved who they are (RFC 8176)
	AuthTime     time.Time // when
	Act          UserID    // the platform owner who acts as the user; empty for nobody
	KeyHash      string    // the thumbprint to which its refresh tokens are bound (RFC 9449, "jkt"); empty for none
	Address      string
	Agent        string
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

// EndUserQuery chooses end users of an organization.
type EndUserQuery struct {
	Service ServiceID // of this service alone; empty for all
	User    UserID    // this one alone
	Search  string    // with which the username or the address begins
	Order   Order
	After   string // Place of the last one of the page before
	Limit   int
}

// Barred is a user who is kept from an organization's services.
type Barred struct {
	User      UserID
	Username  string
	Reason    string
	CreatedAt time.Time
}

// UsedService is a service that a user has signed in to.
type UsedService struct {
	Organization    string // slug
	Name            string
	FirstAt, LastAt time.Time
}

// EndUserStore keeps the end users of services. Every method that changes something is one
// transaction; those with an event write it along.
type EndUserStore interface {
	// NoteEndUser counts a sign-in of a user at a service, if the user may use it:
	// ErrServiceNotFound, ErrServiceDisabled, ErrBarred, ErrServiceNotAllowed,
	// ErrUserNotFound, ErrMemberDisabled.
	NoteEndUser(ctx context.Context, s Service, user UserID, at time.Time) error
	// MayUse is the judgement of NoteEndUser alone.
	MayUse(ctx context.Context, s Service, user UserID) error
	// EndUsers lists end users.
	EndUsers(ctx context.Context, id OrganizationID, q EndUserQuery) ([]EndUser, error)
	// UsedServices lists the services that a user has signed in to.
	UsedServices(ctx context.Context, user UserID) ([]UsedService, error)
	// IsEndUser tells whether a user is an end user of a service; of any of the
	// organization where that is empty.
	IsEndUser(ctx context.Context, id OrganizationID, service ServiceID, user UserID) (bool, error)
	// ServiceSessions lists the sessions of a user at services that have not ended, newest
	// first.
	ServiceSessions(ctx context.Context, id OrganizationID, service ServiceID, user UserID, now time.Time) ([]ServiceSession, error)
	// EndServiceSessions ends the sessions of a user at services, or one of them: it counts
	// them.
	EndServiceSessions(ctx context.Context, id OrganizationID, service ServiceID, user UserID, one SessionID, ev Event) (int, error)
	// Bar keeps a user who is no member from the services of an organization, and ends the
	// sessions there: ErrBarMember, ErrUserNotFound.
	Bar(ctx context.Context, id OrganizationID, user UserID, reason string, ev Event) error
	// Unbar lets the user in again, or returns ErrNotBarred.
	Unbar(ctx context.Context, id OrganizationID, user UserID, ev Event) error
	// BarredUsers lists who is kept out, in the order of their usernames.
	BarredUsers(ctx context.Context, id OrganizationID, after string, limit int) ([]Barred, error)
}

// The errors of end users.
var (
	ErrEndUserNotFound = &Error{Kind: NotFound, Code: "end_user_not_found", Message: "No such user has signed in to the organization's services."}
	ErrBarred          = &Error{Kind: Forbidden, Code: "barred", Message: "The organization does not let you in. Ask whoever runs it."}
	ErrNotBarred       = &Error{Kind: NotFound, Code: "not_barred", Message: "The organization does not keep this user out."}
	ErrBarMember       = &Error{Kind: Conflict, Code: "end_user_is_member", Message: "This user is a member of the organization. Remove the member first."}
)

// NoteEndUser counts a sign-in of a user at a service, for the provider: ErrBarred where the
// organization keeps the user out, ErrServiceNotAllowed where the service is not for the
// user, ErrServiceDisabled where it cannot be used.
func (a *Accounts) NoteEndUser(ctx context.Context, s Service, user UserID) error {
	return a.Store.NoteEndUser(ctx, s, user, a.Now())
}

// MayUseService tells whether a user may use a service, with the errors of NoteEndUser: before
// anybody is asked to consent, which is no sign-in yet.
func (a *Accounts) MayUseService(ctx context.Context, s Service, user UserID) error {
	return a.Store.MayUse(ctx, s, user)
}

// EndUsers lists the users of an organization's services; with an API key, those of its
// service.
func (a *Accounts) EndUsers(ctx context.Context, actor Actor, slug string, q EndUserQuery) ([]EndUser, error) {
	s, err := a.authorized(ctx, actor, slug, EndUsersView)
	if err != nil {
		return nil, err
	}
	if s.Service != "" {
		if q.Service != "" && q.Service != s.Service {
			return nil, ErrServiceNotFound
		}
		q.Service = s.Service
	}
	if q.Service != "" {
		if _, err := a.Store.ServiceByID(ctx, s.Organization.ID, q.Service); err != nil {
			return nil, err
		}
	}
	if q.Search = searchKey(q.Search); len(q.Search) > maxLogin || !utf8.ValidString(q.Search) || strings.ContainsRune(q.Search, 0) {
		return nil, nil
	}
	return a.Store.EndUsers(ctx, s.Organization.ID, q)
}

// searchKey is the form in which the beginning of a username or an address is compared.
func searchKey(text string) string {
	text = strings.TrimSpace(text)
	if key := UsernameKey(text); key != "" && !strings.Contains(text, "@") {
		return key
	}
	return EmailKey(text)
}

// endUser finds whether a user is an end user in whose organization the actor may do one of
// some things. The service is that of an API key.
func (a *Accounts) endUser(ctx context.Context, actor Actor, slug string, user UserID, needs ...Capability) (s Standing, err error) {
	for _, need := range needs {
		if s, err = a.authorized(ctx, actor, slug, need); !errors.Is(err, ErrNotAllowed) {
			break
		}
	}
	if err != nil {
		return s, err
	}
	is, err := a.Store.IsEndUser(ctx, s.Organization.ID, s.Service, user)
	if err == nil && !is {
		err = ErrEndUserNotFound
	}
	return s, err
}

// EndUser gives one user of an organization's services; with an API key, of its service.
// ErrEndUserNotFound.
func (a *Accounts) EndUser(ctx context.Context, actor Actor, slug string, user UserID) (EndUser, error) {
	s, err := a.endUser(ctx, actor, slug, user, EndUsersView)
	if err != nil {
		return EndUser{}, err
	}
	found, err := a.Store.EndUsers(ctx, s.Organization.ID, EndUserQuery{Service: s.Service, User: user, Limit: 1})
	if err == nil && len(found) == 0 {
		err = ErrEndUserNotFound
	}
	if err != nil {
		return EndUser{}, err
	}
	return found[0], nil
}

// EndUserSessions lists the sessions of a user at the services of an organization.
func (a *Accounts) EndUserSessions(ctx context.Context, actor Actor, slug string, user UserID) ([]ServiceSession, error) {
	s, err := a.endUser(ctx, actor, slug, user, EndUsersView, sessionsView)
	if err != nil {
		return nil, err
	}
	return a.Store.ServiceSessions(ctx, s.Organization.ID, s.Service, user, a.Now())
}

// RevokeEndUserSessions ends the sessions of a user at the services of an organization, or
// one where that is not empty, and tells how many: ErrSessionNotFound where it is none of
// them. The user's session at the portal, and at other organizations, goes on.
func (a *Accounts) RevokeEndUserSessions(ctx context.Context, actor Actor, slug string, user UserID, one SessionID) (int, error) {
	s, err := a.endUser(ctx, actor, slug, user, EndUsersManage, sessionsRevoke)
	if err != nil {
		return 0, err
	}
	if one != "" && !one.plausible() {
		return 0, ErrSessionNotFound
	}
	n, err := a.Store.EndServiceSessions(ctx, s.Organization.ID, s.Service, user, one, a.eventIn(s.Organization, actor, EndUserRevoke, "user "+string(user)))
	if err == nil && n == 0 && one != "" {
		err = ErrSessionNotFound
	}
	return n, a.ended(user, err)
}

// BarEndUser keeps an end user from all services of the organization, and ends the sessions
// there. The account and other organizations are not touched. ErrEndUserNotFound,
// ErrBarMember.
func (a *Accounts) BarEndUser(ctx context.Context, actor Actor, slug string, user UserID, reason string) error {
	s, err := a.endUser(ctx, actor, slug, user, EndUsersManage)
	if err != nil {
		return err
	}
	reason = clean(strings.TrimSpace(reason), maxReason)
	return a.ended(user, a.Store.Bar(ctx, s.Organization.ID, user, reason, a.eventIn(s.Organization, actor, EndUserBar, "user "+string(user))))
}

// UnbarEndUser lets somebody in again. ErrNotBarred.
func (a *Accounts) UnbarEndUser(ctx context.Context, actor Actor, slug string, user UserID) error {
	s, err := a.authorized(ctx, actor, slug, EndUsersManage)
	if err != nil {
		return err
	}
	if s.Service != "" { // a key reaches the users of its service only
		if is, err := a.Store.IsEndUser(ctx, s.Organization.ID, s.Service, user); err != nil {
			return err
		} else if !is {
			return ErrNotBarred
		}
	}
	return a.Store.Unbar(ctx, s.Organization.ID, user, a.eventIn(s.Organization, actor, EndUserUnbar, "user "+string(user)))
}

// BarredUsers lists who is kept from the services of an organization, as EndUserStore does.
func (a *Accounts) BarredUsers(ctx context.Context, actor Actor, slug, after string, limit int) ([]Barred, error) {
	s, err := a.authorized(ctx, actor, slug, EndUsersView)
	if err != nil {
		return nil, err
	}
	if s.Service != "" {
		return nil, ErrNotAllowed
	}
	return a.Store.BarredUsers(ctx, s.Organization.ID, after, limit)
}

// ServiceRefused records that a user could not go on to a service, and why: a few times a
// minute for each user.
func (a *Accounts) ServiceRefused(actor Actor, s Service, why error) {
	if ok, _ := a.Notices.Take("service " + string(actor.User)); ok {
		a.Audit.Record(a.event(actor, ServiceLogin, TargetService(s.ID), Refused, why.Error()).In(s.Organization))
	}
}
