package authcore

import (
	"context"
	"strings"
	"time"
)

// verifyLife is how long a link that verifies an address is good for.
const verifyLife = 72 * time.Hour

// VerifyPath is where such a link leads, under the origin of the pages.
const VerifyPath = "/.gate/verify-email"

// The errors of verifying an address.
var (
	ErrOtherAccount = &Error{Kind: Forbidden, Code: "wrong_person",
		Message: "This link belongs to another account than the one you are signed in with."}
	ErrNothingToVerify = &Error{Kind: Conflict, Code: "nothing_to_verify", Message: "There is no address to verify. Load the page again."}
	ErrVerifyOff       = &Error{Kind: Forbidden, Code: "verification_disabled", Message: "No mail is sent here. Ask whoever runs this site to verify the address."}
)

// verification makes a message with a link that proves that an address is a user's.
func (a *Accounts) verification(u User, email, origin string) (Post, error) {
	if _, domain, _ := strings.Cut(email, "@"); !strings.Contains(domain, ".") {
		return Post{}, &Error{Kind: Invalid, Code: "email_invalid", Field: "email", Message: "No mail can be sent to this address."}
	}
	token, hash := NewToken()
	now := a.Now()
	code := Code{Hash: hash, Purpose: PurposeVerify, User: u.ID, Data: email, CreatedAt: now, ExpiresAt: now.Add(verifyLife)}
	post, err := a.letter(u.ID, Letter{Kind: MailVerify, To: email, Username: u.Username, Origin: origin,
		Link: Secret(origin + VerifyPath + "?token=" + token.Reveal()), Until: code.ExpiresAt})
	post.Code = &code
	return post, err
}

// CancelEmail takes back another address that the user who acts has given, and that was
// not verified yet.
func (a *Accounts) CancelEmail(ctx context.Context, actor Actor) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	return a.Store.CancelEmail(ctx, actor.User, a.event(actor, UserUpdate, TargetUser(actor.User), Success, "another address was taken back"))
}

// ChangeProfile is UpdateProfile where mail can be sent: another address gets a link
// that verifies it, and one that is verified stays in force until then, and is told.
// asked says that a link is on its way. origin is that of the pages.
func (a *Accounts) ChangeProfile(ctx context.Context, actor Actor, name, email, origin string) (asked bool, err error) {
	if err := actor.inPerson(); err != nil {
		return false, err
	}
	name, email = strings.TrimSpace(name), strings.TrimSpace(email)
	if a.Mail == nil {
		return false, a.UpdateProfile(ctx, actor, name, email)
	}
	if err := CheckName(name); err != nil {
		return false, err
	}
	if err := CheckEmail(email); err != nil {
		return false, err
	}
	u, _, err := a.Store.UserByID(ctx, actor.User)
	if err != nil {
		return false, err
	}
	var post []Post
	details, now := "profile", email
	switch other := EmailKey(email) != EmailKey(u.Email); {
	case other && email == "":
		post, err = a.tell(ctx, u, Letter{Kind: MailAddress})
	case other:
		asked, details = true, "profile; a link to verify another address was sent"
		if err := a.admitMail(actor, EmailVerify, email, ""); err != nil {
			return false, err
		}
		if u.EmailVerified || a.isTaken(ctx, email) { // who has not proven the address is not told whose it is
			now = u.Email
		}
		if u.EmailVerified {
			post, err = a.tell(ctx, u, Letter{Kind: MailAddressAsked, Address: email})
		}
		if err != nil {
			return false, err
		}
		var link Post
		link, err = a.verification(u, email, origin)
		post = append(post, link)
	}
	if err != nil {
		return false, err
	}
	if err := a.Store.UpdateProfile(ctx, actor.User, name, now, a.event(actor, UserUpdate, TargetUser(actor.User), Success, details), post...); err != nil {
		return false, err
	}
	a.changed(ChangeUser, string(actor.User))
	return asked, nil
}

// isTaken tells whether somebody has an address.
func (a *Accounts) isTaken(ctx context.Context, email string) bool {
	_, _, err := a.Store.UserByLogin(ctx, EmailKey(email), true)
	return err == nil
}

// PendingEmail is the address that waits to be verified, to take the place of the one
// that a user has; empty for none.
func (a *Accounts) PendingEmail(ctx context.Context, u User) (string, error) {
	if a.Mail == nil {
		return "", nil
	}
	email, err := a.Store.PendingEmail(ctx, u.ID, a.Now())
	if EmailKey(email) == EmailKey(u.Email) {
		email = ""
	}
	return email, err
}

// AskVerification sends the link to verify an address again: to the one that waits, or
// to the user's own where that is not verified.
func (a *Accounts) AskVerification(ctx context.Context, actor Actor, origin string) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	if a.Mail == nil {
		return ErrVerifyOff
	}
	u, _, err := a.Store.UserByID(ctx, actor.User)
	if err != nil {
		return err
	}
	email, err := a.PendingEmail(ctx, u)
	if err != nil {
		return err
	}
	if email == "" && !u.EmailVerified {
		email = u.Email
	}
	if email == "" {
		return ErrNothingToVerify
	}
	if err := a.admitMail(actor, EmailVerify, email, ""); err != nil {
		return err
	}
	post, err := a.verification(u, email, origin)
	if err != nil {
		return err
	}
	ev := a.event(actor, UserUpdate, TargetUser(u.ID), Success, "a link to verify an address was sent again")
	return a.Store.PostMail(ctx, &ev, post)
}

// CheckVerification gives the address that a link would verify, and whose it would be,
// or ErrCodeInvalid. It uses nothing up.
func (a *Accounts) CheckVerification(ctx context.Context, token Secret) (email string, user UserID, err error) {
	code, err := a.Store.CodeOf(ctx, PurposeVerify, HashToken(token.Reveal()), a.Now())
	return code.Data, code.User, err
}

// VerifyEmail makes the address of a link that of the user who acts, verified. The link
// alone is not enough: whoever made an account with somebody else's address would have
// only to hope that this person opens it. ErrOtherAccount where it is another user's,
// ErrEmailTaken where somebody else has verified the address.
func (a *Accounts) VerifyEmail(ctx context.Context, actor Actor, token Secret) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	email, user, err := a.CheckVerification(ctx, token)
	if err != nil {
		return err
	}
	if user != actor.User {
		return ErrOtherAccount
	}
	u, _, err := a.Store.UserByID(ctx, user)
	if err != nil {
		return err
	}
	var post []Post
	if EmailKey(u.Email) != EmailKey(email) {
		if post, err = a.tell(ctx, u, Letter{Kind: MailAddress, Address: email}); err != nil {
			return err
		}
	}
	if err := a.Store.VerifyEmail(ctx, HashToken(token.Reveal()), user, a.event(actor, EmailVerify, TargetUser(user), Success, ""), post...); err != nil {
		return err
	}
	a.changed(ChangeUser, string(user))
	return nil
}
