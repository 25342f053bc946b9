package authcore

import (
	"context"
	"time"
)

// KeepPath is where a link leads that keeps an account from being deleted, under the
// origin of the pages.
const KeepPath = "/.gate/keep-account"

// DeletionStore deletes users.
type DeletionStore interface {
	// DeleteUser deletes a user and all that is the user's, at once where at is zero. Else
	// it disables the user until then, and ends all sessions, access tokens and links.
	// Not the last active owner: ErrLastOwner.
	DeleteUser(ctx context.Context, id UserID, at time.Time, ev Event, post ...Post) error
	// UsersToDelete gives some users whose time has come.
	UsersToDelete(ctx context.Context, now time.Time, limit int) ([]UserID, error)
	// DeleteDue deletes a user whose time has come, and who was not brought back meanwhile.
	// It tells whether it did.
	DeleteDue(ctx context.Context, id UserID, ev Event) (deleted bool, err error)
	// KeepUser redeems a code that keeps a user from being deleted, and enables the user
	// again, or returns ErrCodeInvalid.
	KeepUser(ctx context.Context, code TokenHash, id UserID, ev Event) error
	// EventsOf reads the events of what a user did, and of what was done to the user, in
	// the order of their ids, after one of them.
	EventsOf(ctx context.Context, user UserID, after string, limit int) ([]SealedEvent, error)
}

// The errors of deleting.
var (
	ErrDeletionOff  = &Error{Kind: Forbidden, Code: "deletion_disabled", Message: "Accounts are deleted by whoever runs this site. Ask there."}
	ErrNotConfirmed = &Error{Kind: Invalid, Code: "not_confirmed", Field: "confirm_username", Message: "Type your username to confirm."}
)

// DeleteUser deletes a user after some time, or at once where that is zero; until then the
// user is disabled, and a link in a mail brings the account back.
func (a *Accounts) DeleteUser(ctx context.Context, actor Actor, id UserID, after time.Duration) (at time.Time, err error) {
	if err := a.over(ctx, actor, id); err != nil {
		return at, err
	}
	u, _, err := a.Store.UserByID(ctx, id)
	if err != nil {
		return at, err
	}
	details := "at once"
	l := Letter{Kind: MailDeleted}
	if after > 0 {
		at = a.Now().Add(after)
		details = "to be deleted on " + at.UTC().Format("2006-01-02 15:04 UTC")
		l.Kind, l.Until = MailDeleting, at
	}
	post, err := a.farewell(u, l, actor.User == id)
	if err != nil {
		return at, err
	}
	if err := a.Store.DeleteUser(ctx, id, at, a.event(actor, UserDelete, TargetUser(id), Success, details), post...); err != nil {
		return at, err
	}
	a.changed(ChangeUser, string(id))
	return at, nil
}

// farewell is a message to a user who is, or will be, deleted: with a link that keeps the
// account, where that is the user's own wish. It is nobody's afterwards.
func (a *Accounts) farewell(u User, l Letter, own bool) ([]Post, error) {
	if a.Mail == nil || !u.EmailVerified {
		return nil, nil
	}
	l.To, l.Username, l.Origin = u.Email, u.Username, a.Mail.Origin
	var code *Code
	if own && l.Kind == MailDeleting && l.Origin != "" {
		token, hash := NewToken()
		l.Link = Secret(l.Origin + KeepPath + "?token=" + token.Reveal())
		code = &Code{Hash: hash, Purpose: PurposeKeep, User: u.ID, CreatedAt: a.Now(), ExpiresAt: l.Until}
	}
	post, err := a.letter("", l)
	post.Code = code
	return []Post{post}, err
}

// CheckKeep gives the user of a link that would keep an account, or ErrCodeInvalid. It uses
// nothing up.
func (a *Accounts) CheckKeep(ctx context.Context, token Secret) (User, error) {
	code, err := a.Store.CodeOf(ctx, PurposeKeep, HashToken(token.Reveal()), a.Now())
	if err != nil {
		return User{}, err
	}
	u, _, err := a.Store.UserByID(ctx, code.User)
	if ErrUserNotFound.is(err) || err == nil && u.DeleteAt.IsZero() {
		err = ErrCodeInvalid
	}
	return u, err
}

// KeepUser keeps an account from being deleted.
func (a *Accounts) KeepUser(ctx context.Context, actor Actor, token Secret) error {
	u, err := a.CheckKeep(ctx, token)
	if err == nil {
		err = a.Store.KeepUser(ctx, HashToken(token.Reveal()), u.ID, a.event(actor, UserEnable, TargetUser(u.ID), Success, "kept from being deleted"))
	}
	if err == nil {
		a.changed(ChangeUser, string(u.ID))
	}
	return err
}

// Export is all that is kept of a user, but what is secret.
type Export struct {
	User       User
	Password   bool
	Factors    Factors
	Passkeys   []Passkey
	Devices    []TrustedDevice
	Identities []Identity
	Sessions   []Session
	Tokens     []AccessToken
	Places     []Membership  // in organizations
	Services   []UsedService // that the user signed in to
	Consents   []Consent
	Events     []SealedEvent
}

// maxExported is the most events that an export has: the newest ones.
const maxExported = 100_000

// Export gathers what is kept of a user.
func (a *Accounts) Export(ctx context.Context, actor Actor) (e Export, err error) {
	if err := actor.inPerson(); err != nil {
		return Export{}, err
	}
	id := actor.User
	if e.User, _, err = a.Store.UserByID(ctx, id); err != nil {
		return e, err
	}
	if e.Password, err = a.HasPassword(ctx, id); err != nil {
		return e, err
	}
	if e.Factors, err = a.Store.Factors(ctx, id); err != nil {
		return e, err
	}
	if e.Passkeys, err = a.Store.Passkeys(ctx, id); err != nil {
		return e, err
	}
	if e.Devices, err = a.TrustedDevices(ctx, id); err != nil {
		return e, err
	}
	if e.Identities, err = a.Store.IdentitiesOf(ctx, id); err != nil {
		return e, err
	}
	if e.Sessions, err = a.SessionsOf(ctx, id); err != nil {
		return e, err
	}
	if e.Tokens, err = a.Store.AccessTokens(ctx, id, "", MaxAccessTokens); err != nil {
		return e, err
	}
	if e.Places, err = a.Store.Memberships(ctx, id); err != nil {
		return e, err
	}
	if e.Services, err = a.Store.UsedServices(ctx, id); err != nil {
		return e, err
	}
	if e.Consents, err = a.Consents(ctx, id); err != nil {
		return e, err
	}
	for after := ""; ; {
		page, err := a.Store.EventsOf(ctx, id, after, 1000)
		if err != nil {
			return e, err
		}
		if len(page) == 0 {
			break
		}
		e.Events, after = append(e.Events, page...), page[len(page)-1].ID
		e.Events = e.Events[max(0, len(e.Events)-maxExported):]
	}
	a.Audit.Record(a.event(actor, UserExport, TargetUser(id), Success, ""))
	return e, nil
}
