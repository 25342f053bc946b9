package authcore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// recoveryLife is how long a link to choose a new password is good for.
const recoveryLife = time.Hour

// The errors of recovering a password.
var (
	ErrRecoverOff = &Error{Kind: Forbidden, Code: "recovery_disabled",
		Message: "Passwords cannot be recovered by mail here. Ask whoever runs this site."}
	ErrEmailRequired = &Error{Kind: Invalid, Code: "email_required", Field: "email", Message: "Please give your email address."}
	ErrTooManyMails  = &Error{Kind: TooMany, Code: "too_many_attempts",
		Message: "This was asked for a few times just now. Look into your mailbox, or wait a little before you try again."}
)

// MailStore keeps messages and the codes of their links. Every method is one
// transaction that writes its event along.
type MailStore interface {
	// PostMail puts messages into the mail. ev may be nil.
	PostMail(ctx context.Context, ev *Event, all ...Post) error
	// CodeOf gives a code that could be redeemed, or ErrCodeInvalid.
	CodeOf(ctx context.Context, purpose Purpose, hash TokenHash, now time.Time) (Code, error)
	// Recover redeems a recovery code and gives its user a new password, as SetPassword
	// does, if the user is active and what RecoveryState says of the user is what the
	// code holds; else ErrCodeInvalid.
	Recover(ctx context.Context, code TokenHash, hash password.Hash, ev Event, post ...Post) error
	// Disown redeems a code to say "it wasn't me" of a user, and ends all sessions, access
	// tokens, trusted devices, and what devices remember of the user (ProofSince). The
	// password counts no more; the user still has one, to be recovered: ErrCodeInvalid.
	Disown(ctx context.Context, code TokenHash, user UserID, ev Event) error
	// SignInByMail uses a code to sign in with up, and the others that were sent to its
	// browser, and adds a root session of its user; of one who has a second factor it
	// adds none: waits says so. ErrCodeInvalid where the browser is another, the user is
	// not active, or what RecoveryState says of the user is not what the code holds.
	SignInByMail(ctx context.Context, in MailSignIn) (waits bool, err error)
	// PendingEmail is the address of the newest verification code of a user; empty for
	// none.
	PendingEmail(ctx context.Context, user UserID, now time.Time) (string, error)
	// CancelEmail drops the verification codes of a user but for the address in force.
	CancelEmail(ctx context.Context, user UserID, ev Event) error
	// VerifyEmail redeems a verification code of a user who is active, and makes its
	// address the user's, verified; it is taken from a user who has it unverified.
	// ErrCodeInvalid, and ErrEmailTaken where another user has verified it.
	VerifyEmail(ctx context.Context, code TokenHash, user UserID, ev Event, post ...Post) error
}

// RecoveryState is what a recovery code is bound to: with another password, or another
// address, it is good for nothing. since is ProofSince of the user.
func RecoveryState(since time.Time, email string) string {
	if since.IsZero() {
		return "none " + EmailKey(email)
	}
	return fmt.Sprint(since.UnixMicro(), " ", EmailKey(email))
}

// CanRecover tells whether people can get a new password by mail.
func (a *Accounts) CanRecover() bool { return a.Mail != nil && a.Mail.Origin != "" && !a.PasswordOff }

// AskRecovery has a link to choose a new password sent to an address, if that is the
// verified address of an active user with a password. Whether it is, is looked up
// later: neither the answer nor the time that it takes depends on it. Where the link
// leads is not for whoever asks to say: to where the configuration has the pages.
func (a *Accounts) AskRecovery(ctx context.Context, actor Actor, email string) error {
	switch email = strings.TrimSpace(email); {
	case a.PasswordOff:
		return ErrPasswordOff
	case !a.CanRecover():
		return ErrRecoverOff
	case email == "":
		return ErrEmailRequired
	}
	if err := CheckEmail(email); err != nil {
		return err
	}
	if err := a.admitMail(actor, PasswordRecover, email, ""); err != nil {
		return err
	}
	if !a.Mail.Later.Do(func(ctx context.Context) error { return a.sendRecovery(ctx, actor, email, a.Mail.Origin) }) {
		return ErrTooManyMails.After(time.Minute)
	}
	return nil
}

// sendRecovery posts the link where there is somebody to send it to.
//
// An address that nobody has verified gets none. Whoever made an account with the
// address of somebody else would otherwise be given that person's trust along with the
// account; and whoever mistyped theirs, a stranger their account.
func (a *Accounts) sendRecovery(ctx context.Context, actor Actor, email, origin string) error {
	u, _, err := a.Store.UserByLogin(ctx, EmailKey(email), true)
	if ErrUserNotFound.is(err) {
		return nil
	}
	if err != nil {
		return err
	}
	since, err := a.Store.ProofSince(ctx, u.ID)
	if err != nil {
		return err
	}
	why := ""
	switch {
	case u.Status != Active:
		why = "user is disabled"
	case !u.EmailVerified:
		why = "the address is not verified"
	case since.IsZero():
		why = "the user has no password"
	}
	if why != "" {
		a.Audit.Record(a.event(actor, PasswordRecover, TargetUser(u.ID), Refused, why))
		return nil
	}
	token, code, err := a.recoveryCode(ctx, u)
	if err != nil {
		return err
	}
	post, err := a.letter(u.ID, Letter{Kind: MailRecover, To: u.Email, Username: u.Username, Origin: origin, Link: recoveryLink(origin, token), Until: code.ExpiresAt})
	if err != nil {
		return err
	}
	post.Code = &code
	ev := a.event(actor, PasswordRecover, TargetUser(u.ID), Success, "a link was sent")
	return a.Store.PostMail(ctx, &ev, post)
}

// RecoveryPath is where a recovery link leads, under the origin of the pages.
const RecoveryPath = "/.gate/recover/password"

func recoveryLink(origin string, token Secret) Secret {
	return Secret(origin + RecoveryPath + "?token=" + token.Reveal())
}

// recoveryCode makes a code for a user as that user is now.
func (a *Accounts) recoveryCode(ctx context.Context, u User) (Secret, Code, error) {
	since, err := a.Store.ProofSince(ctx, u.ID)
	if err != nil {
		return "", Code{}, err
	}
	token, hash := NewToken()
	now := a.Now()
	return token, Code{Hash: hash, Purpose: PurposeRecover, User: u.ID, Data: RecoveryState(since, u.Email), CreatedAt: now, ExpiresAt: now.Add(recoveryLife)}, nil
}

// RecoverUser makes a link with which a user can choose a new password, for an operator
// who vouches for whoever gets it.
func (a *Accounts) RecoverUser(ctx context.Context, actor Actor, id UserID, origin string) (link Secret, until time.Time, err error) {
	if err := actor.inPerson(); err != nil {
		return "", until, err
	}
	if a.PasswordOff {
		return "", until, ErrPasswordOff
	}
	u, _, err := a.Store.UserByID(ctx, id)
	if err != nil {
		return "", until, err
	}
	if u.Status != Active {
		return "", until, &Error{Kind: Conflict, Code: "user_disabled", Message: "This user is disabled. Enable the user first."}
	}
	token, code, err := a.recoveryCode(ctx, u)
	if err != nil {
		return "", until, err
	}
	ev := a.event(actor, PasswordRecover, TargetUser(u.ID), Success, "a link was made")
	return recoveryLink(origin, token), code.ExpiresAt, a.Store.PostMail(ctx, &ev, Post{Code: &code})
}

// CheckRecovery gives the user of a recovery link that would work, or ErrCodeInvalid. It
// uses nothing up.
func (a *Accounts) CheckRecovery(ctx context.Context, token Secret) (User, error) {
	if a.PasswordOff {
		return User{}, ErrPasswordOff
	}
	code, err := a.Store.CodeOf(ctx, PurposeRecover, HashToken(token.Reveal()), a.Now())
	if err != nil {
		return User{}, err
	}
	u, _, err := a.Store.UserByID(ctx, code.User)
	if err != nil && !ErrUserNotFound.is(err) {
		return User{}, err
	}
	since, err2 := a.Store.ProofSince(ctx, code.User)
	if err2 != nil {
		return User{}, err2
	}
	if err != nil || u.Status != Active || RecoveryState(since, u.Email) != code.Data {
		return User{}, ErrCodeInvalid
	}
	return u, nil
}

// Recover gives the user of a recovery link a new password and ends all sessions. It
// signs nobody in: what else a sign-in asks for, it asks for after this one too.
func (a *Accounts) Recover(ctx context.Context, actor Actor, token, pw Secret) error {
	u, err := a.CheckRecovery(ctx, token)
	if err == nil {
		err = a.recoverAs(ctx, actor, u, token, pw)
	}
	if ErrCodeInvalid.is(err) {
		a.refused(actor, PasswordChange, TargetUser(u.ID), "a recovery link that is not good")
	}
	return err
}

func (a *Accounts) recoverAs(ctx context.Context, actor Actor, u User, token, pw Secret) error {
	hash, err := a.newPassword(ctx, actor, pw, u)
	if err != nil {
		return err
	}
	ev := a.event(actor, PasswordChange, TargetUser(u.ID), Success, "recovered by a link")
	post, err := a.tell(ctx, u, Letter{Kind: MailPassword, Since: ev.Time})
	if err != nil {
		return err
	}
	if err := a.Store.Recover(ctx, HashToken(token.Reveal()), hash, ev, post...); err != nil {
		return err
	}
	a.changed(ChangeUser, string(u.ID))
	return nil
}
