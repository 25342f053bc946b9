package authcore

import (
	"cmp"
	"context"
	"strings"
	"time"
)

// ActingLife is how long a platform owner acts as a user at most, whatever happens.
const ActingLife = 15 * time.Minute

// The errors of who acts as somebody else, or wants to.
var (
	ErrImpersonating = &Error{Kind: Forbidden, Code: "impersonating",
		Message: "You act as somebody else. This is for the user alone: stop acting as them first."}
	ErrActAsOwner = &Error{Kind: Forbidden, Code: "impersonate_owner", Message: "Nobody acts as an owner of this site."}
	ErrActAsSelf  = &Error{Kind: Invalid, Code: "impersonate_self", Message: "This is your own account."}
	// ErrActAsDisabled says that nobody acts in an account that is disabled.
	ErrActAsDisabled = &Error{Kind: Conflict, Code: "user_disabled", Message: "This account is disabled: nobody signs in with it."}
	ErrActReason     = &Error{Kind: Invalid, Code: "reason_required", Field: "reason", Message: "Please give a reason: the audit log keeps it, and the user is told."}
	ErrActInSession  = &Error{Kind: Forbidden, Code: "session_required", Message: "Only a person who is signed in acts as somebody else."}
)

// ImpersonationStore keeps the sessions in which platform owners act as users.
type ImpersonationStore interface {
	// Impersonate adds a root session of a user in which s.Act acts, who signed in with the
	// root session by. It is proven as that one was, which it gives. ErrNotOwner unless
	// s.Act is an active platform owner; ErrUserNotFound, ErrActAsOwner or ErrActAsDisabled
	// for the user; ErrNoSession where by is no session of s.Act's own.
	Impersonate(ctx context.Context, s Session, token TokenHash, by SessionID, ev Event, post ...Post) (Session, error)
}

// inPerson returns ErrImpersonating where somebody acts as the user: what is the user's alone
// begins with it.
func (a Actor) inPerson() error {
	if a.Act != "" {
		return ErrImpersonating
	}
	return nil
}

// InPerson returns ErrImpersonating in a session in which somebody acts as the user.
func (s *Session) InPerson() error { return Actor{Act: s.Act}.inPerson() }

// Impersonate begins a session of a user on a host in which the actor, a platform owner, acts.
// It ends after ActingLife, with its site sessions, and counts as proven as the actor's own
// session is. Nothing of the security of the account can be changed in it (ErrImpersonating),
// and every event of it names who acts. The user is told by mail, where that is so configured.
func (a *Accounts) Impersonate(ctx context.Context, actor Actor, user UserID, reason, host string) (Secret, Session, error) {
	if err := a.platform(ctx, actor); err != nil {
		return "", Session{}, err
	}
	reason = clean(strings.TrimSpace(reason), maxReason)
	switch {
	case actor.Kind != ActorUser:
		return "", Session{}, ErrActInSession
	case user == actor.User:
		return "", Session{}, ErrActAsSelf
	case reason == "":
		return "", Session{}, ErrActReason
	}
	token, hash := NewToken()
	now := a.Now()
	s := Session{ID: NewSessionID(), UserID: user, Host: host, CreatedAt: now, LastSeen: now, ExpiresAt: now.Add(min(ActingLife, cmp.Or(a.Lifetime.Max, ActingLife))),
		Address: actor.Client.Address, Agent: actor.Client.Agent, Act: actor.User}
	s.Root = s.ID
	var post []Post
	if !a.ActUntold {
		var err error
		if post, err = a.tellOf(ctx, user, Letter{Kind: MailActedAs, Reason: reason, At: now, Until: s.ExpiresAt}); err != nil {
			return "", Session{}, err
		}
	}
	s, err := a.Store.Impersonate(ctx, s, hash, actor.Session, a.event(actor, UserImpersonate, TargetUser(user), Success, reason), post...)
	if err != nil {
		return "", Session{}, err
	}
	return token, s, nil
}
