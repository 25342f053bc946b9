package authcore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// NewUser is what a new account is made of.
type NewUser struct {
	Username, Email, Name string
	Password              Secret
	Groups                []string
	Owner                 bool
	EmailVerified         bool
	// Passkey checks the passkey that somebody makes in place of a password, and gives the
	// code of its challenge; nil for none. It is asked when everything else is right, for
	// it costs.
	Passkey func() (Passkey, Code, error)
}

// user checks the fields and makes the User.
func (n NewUser) user(now time.Time) (User, error) {
	u := User{ID: NewUserID(), Username: strings.TrimSpace(n.Username), Email: strings.TrimSpace(n.Email),
		Name: strings.TrimSpace(n.Name), Status: Active, Owner: n.Owner, Groups: slices.Compact(slices.Sorted(slices.Values(n.Groups))),
		EmailVerified: n.EmailVerified && n.Email != "", CreatedAt: now, UpdatedAt: now}
	for _, err := range []error{CheckUsername(u.Username), CheckEmail(u.Email), CheckName(u.Name)} {
		if err != nil {
			return User{}, err
		}
	}
	for _, g := range u.Groups {
		if err := CheckGroup(g); err != nil {
			return User{}, err
		}
	}
	return u, nil
}

// newPassword checks a chosen password against the rules and hashes it.
func (a *Accounts) newPassword(ctx context.Context, actor Actor, pw Secret, u User) (password.Hash, error) {
	_, domain, _ := strings.Cut(u.Email, "@")
	rules, err := a.RulesFor(ctx, u.ID)
	if err != nil {
		return "", err
	}
	if err := rules.Check(pw.Reveal(), u.Username, u.Email, domain, u.Name, strings.ReplaceAll(u.Name, " ", ""), "gatehouse"); err != nil {
		var weak *password.WeakError
		if errors.As(err, &weak) {
			return "", &Error{Kind: Invalid, Code: weak.Code, Message: weak.Message, Field: "password"}
		}
		return "", err
	}
	hash, err := a.Passwords.Hash(password.For(ctx, hasher(actor)), pw.Reveal())
	if err != nil {
		return "", hashing(err, nil)
	}
	return hash, nil
}

// RulesFor are the rules for the password of a user, who may not be there yet.
func (a *Accounts) RulesFor(ctx context.Context, id UserID) (password.Rules, error) {
	f, err := a.Store.Factors(ctx, id)
	if err == nil && f.Has() {
		return a.Rules.WithFactor(), nil
	}
	return a.Rules, err
}

// MayStandAlone returns an error where a user's password, as just given, is shorter than one
// has to be that no second factor stands beside.
func (a *Accounts) MayStandAlone(pw Secret) error {
	var weak *password.WeakError
	if err := a.Rules.Check(pw.Reveal()); errors.As(err, &weak) && weak.Code == password.CodeTooShort {
		return &Error{Kind: Conflict, Code: "password_needs_factor", Field: "current_password",
			Message: "Your password is short: that is enough beside a second factor only. Choose a longer password first."}
	}
	return nil
}

// CreateUser makes an account by the word of an operator or owner. The password
// may be empty: then nobody can sign in with one.
func (a *Accounts) CreateUser(ctx context.Context, actor Actor, n NewUser) (User, error) {
	if err := a.platform(ctx, actor); err != nil {
		return User{}, err
	}
	u, err := n.user(a.Now())
	if err != nil {
		return User{}, err
	}
	var hash password.Hash
	if n.Password != "" {
		if hash, err = a.newPassword(ctx, actor, n.Password, u); err != nil {
			return User{}, err
		}
	}
	ev := a.event(actor, UserCreate, TargetUser(u.ID), Success, u.Username)
	return u, a.Store.CreateUser(ctx, u, hash, nil, ev)
}

// ImportUser makes an account that somebody had in another system, with the hash of
// the password there; it may be empty.
func (a *Accounts) ImportUser(ctx context.Context, actor Actor, n NewUser, hash password.Hash, status Status) (User, error) {
	if err := a.platform(ctx, actor); err != nil {
		return User{}, err
	}
	u, err := n.user(a.Now())
	if err != nil {
		return User{}, err
	}
	u.Status = status
	ev := a.event(actor, UserCreate, TargetUser(u.ID), Success, u.Username+", imported")
	return u, a.Store.CreateUser(ctx, u, hash, nil, ev)
}

// RegisterUser makes an account for somebody who registers, with a code where
// registration is by invitation, and signs in. Nothing that a person types makes
// an owner, a group or a verified address; an invitation that was sent to the address
// verifies it. Where mail is sent, another address gets a link that leads to origin.
func (a *Accounts) RegisterUser(ctx context.Context, actor Actor, n NewUser, invite Secret, host, origin string) (Secret, Session, error) {
	n.Owner, n.Groups, n.EmailVerified = false, nil, false
	code, err := a.mayRegister(ctx, invite, n.Passkey != nil)
	if err != nil {
		return "", Session{}, err
	}
	if n.Email = strings.TrimSpace(n.Email); n.Email == "" {
		return "", Session{}, ErrEmailRequired
	}
	invited, err := a.invitedAt(ctx, code)
	if err != nil {
		return "", Session{}, err
	}
	n.EmailVerified = invited != "" && EmailKey(invited) == EmailKey(n.Email)
	u, err := n.user(a.Now())
	if err != nil {
		return "", Session{}, err
	}
	// Registration answers whether a name is taken, so it counts as an attempt
	// whether it succeeds or not.
	if _, err = a.admit(actor, "register:"+actor.Client.Address); err != nil {
		return "", Session{}, err
	}
	u.OrganizationOnly = code != nil // where it is that of an organization's invitation
	var hash password.Hash
	var first NewPasskeyUser
	if n.Passkey != nil {
		if first, err = n.first(&u); err != nil {
			return "", Session{}, err
		}
	} else if hash, err = a.newPassword(ctx, actor, n.Password, u); err != nil {
		return "", Session{}, err
	}
	var post []Post
	if a.Mail != nil && !u.EmailVerified && a.mayMail(EmailVerify, u.Email) { // else the account page sends it later
		link, err := a.verification(u, u.Email, origin)
		if err != nil {
			return "", Session{}, err
		}
		post = append(post, link)
	}
	by := Actor{Kind: ActorUser, User: u.ID, Client: actor.Client}
	if n.Passkey != nil {
		first.Invite, first.Created = code, a.event(by, UserCreate, TargetUser(u.ID), Success, "registered")
		return a.createByPasskey(ctx, actor, first, host, post...)
	}
	if err := a.Store.CreateUser(ctx, u, hash, code, a.event(by, UserCreate, TargetUser(u.ID), Success, "registered"), post...); err != nil {
		return "", Session{}, err
	}
	return a.startSession(ctx, actor, u, hash, host)
}

// first checks the passkey of a new user, which says the user's id.
func (n *NewUser) first(u *User) (NewPasskeyUser, error) {
	p, once, err := n.Passkey()
	u.ID = p.User
	return NewPasskeyUser{User: *u, Passkey: p, Once: once}, err
}

// createByPasskey makes a user with a passkey, and signs in.
func (a *Accounts) createByPasskey(ctx context.Context, actor Actor, n NewPasskeyUser, host string, post ...Post) (Secret, Session, error) {
	p := &n.Passkey
	n.Passkey.Name, n.Passkey.CreatedAt, n.Passkey.UsedAt = "Passkey", a.Now(), a.Now()
	s, token, hash := a.newSession(actor, &Awaited{User: n.User.ID, AMR: p.amr(), Host: host})
	n.Session, n.Token = s, hash
	by := Actor{Kind: ActorUser, User: n.User.ID, Session: s.ID, Client: actor.Client}
	n.Began = a.event(by, UserLogin, TargetUser(n.User.ID), Success, "passkey")
	err := passkeyError(a.Store.CreatePasskeyUser(ctx, n, post...))
	a.Tally.signIn(err)
	return token, s, err
}

// mayRegister tells whether registration is open to somebody with this
// invitation, and gives the invitation's hash where one is needed.
func (a *Accounts) mayRegister(ctx context.Context, invite Secret, byPasskey bool) (*TokenHash, error) {
	switch {
	case a.PasswordOff && !byPasskey:
		return nil, ErrRegisterOff.With(ErrPasswordOff)
	case a.Register == RegisterOpen:
		return nil, nil
	case a.Register == RegisterInvite:
		if err := a.CheckInvite(ctx, invite); err != nil {
			return nil, err
		}
		hash := HashToken(invite.Reveal())
		return &hash, nil
	}
	return nil, ErrRegisterOff
}

// CheckInvite tells whether an invitation is good: nil or ErrInviteInvalid. It uses
// nothing up.
func (a *Accounts) CheckInvite(ctx context.Context, invite Secret) error {
	ok, err := a.Store.CodeValid(ctx, PurposeInvite, HashToken(invite.Reveal()), a.Now())
	if err == nil && !ok {
		err = ErrInviteInvalid
	}
	return err
}

// MayRegister tells whether the registration page is worth showing. An invitation may be
// good for a sign-in with a provider alone: then nobody makes an account by filling in a
// form there. byPasskey says that people can, where there are no passwords.
func (a *Accounts) MayRegister(ctx context.Context, invite Secret, byPasskey bool) (here bool, err error) {
	if invite != "" && a.Invites && (a.PasswordOff && !byPasskey || a.Register == RegisterOff) {
		return false, a.CheckInvite(ctx, invite)
	}
	_, err = a.mayRegister(ctx, invite, byPasskey)
	return err == nil, err
}

// Invite makes a link's code with which one person may register.
func (a *Accounts) Invite(ctx context.Context, actor Actor, valid time.Duration) (Secret, error) {
	if err := actor.inPerson(); err != nil {
		return "", err
	}
	if !a.Invites {
		return "", ErrNoInvites
	}
	token, hash := NewToken()
	now := a.Now()
	ev := a.event(actor, InvitationCreate, "", Success, "")
	return token, a.Store.CreateCode(ctx, Code{Hash: hash, Purpose: PurposeInvite, CreatedAt: now, ExpiresAt: now.Add(valid)}, &ev)
}

// InvitePath is where an invitation leads, under the origin of the pages.
const InvitePath = "/.gate/register"

// InviteByMail sends an invitation to an address, which counts as verified if it is the
// one that whoever was invited registers with: nobody else has the link.
func (a *Accounts) InviteByMail(ctx context.Context, actor Actor, email, origin string, valid time.Duration) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	switch {
	case a.Mail == nil:
		return ErrInviteMailOff
	case !a.Invites:
		return ErrNoInvites
	case email == "":
		return ErrEmailRequired
	}
	if err := CheckEmail(email); err != nil {
		return err
	}
	token, hash := NewToken()
	now := a.Now()
	code := Code{Hash: hash, Purpose: PurposeInvite, Data: email, CreatedAt: now, ExpiresAt: now.Add(valid)}
	post, err := a.letter("", Letter{Kind: MailInvite, To: email, Origin: origin, Link: Secret(origin + InvitePath + "?invite=" + token.Reveal()), Until: code.ExpiresAt})
	if err != nil {
		return err
	}
	post.Code = &code
	ev := a.event(actor, InvitationCreate, "", Success, "by mail")
	return a.Store.PostMail(ctx, &ev, post)
}

// invitedAt is the address that an invitation was sent to; empty where it was not.
func (a *Accounts) invitedAt(ctx context.Context, code *TokenHash) (string, error) {
	if code == nil {
		return "", nil
	}
	c, err := a.Store.CodeOf(ctx, PurposeInvite, *code, a.Now())
	if ErrCodeInvalid.is(err) {
		return "", ErrInviteInvalid
	}
	return c.Data, err
}

// InvitedAt is the address that an invitation was sent to, for its form; empty where
// it was not sent, or is not good.
func (a *Accounts) InvitedAt(ctx context.Context, invite Secret) (string, error) {
	hash := HashToken(invite.Reveal())
	email, err := a.invitedAt(ctx, &hash)
	if ErrInviteInvalid.is(err) {
		err = nil
	}
	return email, err
}

// The errors of inviting.
var (
	ErrNoInvites = &Error{Kind: Conflict, Code: "register_not_by_invite",
		Message: "Invitations need \"register invite\", or a provider with \"new_users invite\", in the gate's configuration."}
	ErrInviteMailOff = &Error{Kind: Conflict, Code: "mail_disabled", Message: "To send an invitation, the gate's configuration needs a \"mail\" block."}
)
