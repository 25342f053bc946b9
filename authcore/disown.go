package authcore

import (
	"context"
	"strings"
	"time"
)

// disownLife is how long "it wasn't me" works.
const disownLife = 7 * 24 * time.Hour

// DisownPath is where "it wasn't me" leads, under the origin of the pages.
const DisownPath = "/.gate/not-me"

// settledIn is the age from which an account tells its user of new devices: before it,
// all of them are new.
const settledIn = time.Hour

// disown adds "it wasn't me" to a letter of what was done to an account. It is good
// until the password or the address is another one, or the user signs out everywhere.
func (a *Accounts) disown(ctx context.Context, u User, l *Letter) (*Code, error) {
	if a.Mail.Origin == "" {
		return nil, nil
	}
	since := l.Since
	if l.Kind != MailPassword && l.Kind != MailPasswordGone {
		var err error
		if since, err = a.Store.ProofSince(ctx, u.ID); err != nil {
			return nil, err
		}
	}
	token, hash := NewToken()
	now := a.Now()
	l.Link = Secret(a.Mail.Origin + DisownPath + "?token=" + token.Reveal())
	l.Until = now.Add(disownLife)
	return &Code{Hash: hash, Purpose: PurposeDisown, User: u.ID, Data: RecoveryState(since, u.Email) + "\n" + l.Undo, CreatedAt: now, ExpiresAt: l.Until}, nil
}

// TellOfDevice tells a user of a sign-in in a browser that does not know the user. It is
// done later: no sign-in waits for it.
func (a *Accounts) TellOfDevice(s Session, knows Device) {
	if a.Mail == nil {
		return
	}
	a.Mail.Later.Do(func(ctx context.Context) error {
		u, _, err := a.Store.UserByID(ctx, s.UserID)
		if ErrUserNotFound.is(err) || err == nil && s.CreatedAt.Sub(u.CreatedAt) < settledIn {
			return nil
		}
		if err != nil {
			return err
		}
		since, err := a.Store.ProofSince(ctx, s.UserID)
		if err != nil || knows.since(s.UserID, since) {
			return err
		}
		if ok, _ := a.Mail.ByMailbox.Take("device " + EmailKey(u.Email)); !ok {
			return nil // three are enough
		}
		post, err := a.tell(ctx, u, Letter{Kind: MailNewDevice, Agent: s.Agent, From: s.Address, At: s.CreatedAt})
		if err != nil || len(post) == 0 {
			return err
		}
		return a.Store.PostMail(ctx, nil, post...)
	})
}

// CheckDisown gives the user of a link that says "it wasn't me", or ErrCodeInvalid. It uses
// nothing up.
func (a *Accounts) CheckDisown(ctx context.Context, token Secret) (User, error) {
	code, err := a.Store.CodeOf(ctx, PurposeDisown, HashToken(token.Reveal()), a.Now())
	if err != nil {
		return User{}, err
	}
	u, _, err := a.Store.UserByID(ctx, code.User)
	if ErrUserNotFound.is(err) {
		err = ErrCodeInvalid
	}
	if err != nil {
		return u, err
	}
	since, err := a.Store.ProofSince(ctx, u.ID)
	if err == nil && !strings.HasPrefix(code.Data, RecoveryState(since, u.Email)+"\n") {
		err = ErrCodeInvalid
	}
	return u, err
}

// Disown does what "it wasn't me" says: it ends all sessions of the user, and takes away
// access tokens, trusted devices, and the passkey or the account at a provider that the
// message told of. It gives a link to choose another password; empty where the user has
// none, or passwords cannot be recovered here, or just now.
func (a *Accounts) Disown(ctx context.Context, actor Actor, token Secret, origin string) (link Secret, err error) {
	u, err := a.CheckDisown(ctx, token)
	if err == nil {
		err = a.Store.Disown(ctx, HashToken(token.Reveal()), u.ID, a.event(actor, SessionRevoke, TargetUser(u.ID), Success, "all, with access tokens: \"it wasn't me\""))
	}
	if err != nil {
		if ErrCodeInvalid.is(err) {
			a.refused(actor, SessionRevoke, TargetUser(u.ID), "a link \"it wasn't me\" that is not good")
		}
		return "", err
	}
	a.changed(ChangeUser, string(u.ID))
	// All is done by now: without a link, the sign-in page has another.
	since, err := a.Store.ProofSince(ctx, u.ID)
	if err != nil || since.IsZero() || !a.CanRecover() || u.Status != Active {
		return "", nil
	}
	recovery, code, err := a.recoveryCode(ctx, u)
	if err == nil {
		ev := a.event(actor, PasswordRecover, TargetUser(u.ID), Success, "a link was made, after \"it wasn't me\"")
		err = a.Store.PostMail(ctx, &ev, Post{Code: &code})
	}
	if err != nil {
		return "", nil
	}
	return recoveryLink(origin, recovery), nil
}
