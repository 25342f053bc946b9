package authcore

import (
	"context"
	"errors"
)

// Link links an account at a provider to the user who acts. It is no error where it
// is linked already; ErrIdentityTaken where it is somebody else's.
func (a *Accounts) Link(ctx context.Context, actor Actor, w Vouched, once Code) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	err := a.link(ctx, actor, w, once)
	if err != nil {
		a.ProviderFailed(actor, w.Provider, err)
	}
	return err
}

func (a *Accounts) link(ctx context.Context, actor Actor, w Vouched, once Code) error {
	_, user, err := a.Store.IdentityBy(ctx, w.Issuer, w.Subject)
	switch {
	case err == nil && user.ID == actor.User:
		return nil
	case err == nil:
		return ErrIdentityTaken
	case !ErrIdentityNotFound.is(err):
		return err
	}
	i := a.identity(nil, actor.User, &w)
	if i.Tokens == "" {
		i.Groups = nil // nobody could ask again whether they still hold
	}
	post, err := a.tellOf(ctx, actor.User, Letter{Kind: MailLinked, Provider: w.Provider, Undo: "identity " + string(i.ID)})
	if err != nil {
		return err
	}
	if err := a.Store.LinkIdentity(ctx, i, once, a.event(actor, IdentityLink, TargetUser(actor.User), Success, "provider "+w.Provider), post...); err != nil {
		return err
	}
	a.changed(ChangeUser, string(actor.User))
	return nil
}

// LinkBySigningIn is for somebody whom a provider vouches for, and whose address a user
// here has: it signs that user in with the password, and links the account. The errors
// are those of SignIn and Link.
func (a *Accounts) LinkBySigningIn(ctx context.Context, actor Actor, in SignIn, l *PendingLink) (Secret, Session, error) {
	in.Login = l.Who.Email
	token, s, err := a.signIn(ctx, actor, in) // also where passwords are off: it is how the user was known
	a.Tally.signIn(err)
	if waits := new(AwaitsFactor); errors.As(err, &waits) {
		waits.Awaited.Also = l
	}
	if err != nil {
		return "", Session{}, err
	}
	return a.alsoLink(ctx, actor, token, s, l)
}

// Holder is the user who has an address, and how that user can be proven to be.
type Holder struct {
	User      User
	Password  bool     // also where passwords are off: it is how the user was known
	Providers []string // by their names
}

// HolderOf finds the user who has an address, or returns ErrUserNotFound.
func (a *Accounts) HolderOf(ctx context.Context, email string) (Holder, error) {
	user, hash, err := a.Store.UserByLogin(ctx, EmailKey(email), true)
	if err != nil {
		return Holder{}, err
	}
	h := Holder{User: user, Password: hash != ""}
	linked, err := a.Store.IdentitiesOf(ctx, user.ID)
	for _, i := range linked {
		h.Providers = append(h.Providers, i.Provider)
	}
	return h, err
}

// Unlink takes an identity from a user: ErrLastWayIn where there would be no way in any
// more. The sessions that began with it end, but for that of the actor.
func (a *Accounts) Unlink(ctx context.Context, actor Actor, user UserID, id IdentityID) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	if !id.plausible() {
		return ErrIdentityNotFound
	}
	post, err := a.tellUnlinked(ctx, user, id)
	if err != nil {
		return err
	}
	err = a.Store.UnlinkIdentity(ctx, user, id, actor.Session, a.ways(), a.event(actor, IdentityUnlink, TargetUser(user), Success, "identity "+string(id)), post...)
	if err == nil {
		a.changed(ChangeUser, string(user))
	}
	return err
}

// tellUnlinked is tell about an identity, by the name of its provider.
func (a *Accounts) tellUnlinked(ctx context.Context, user UserID, id IdentityID) ([]Post, error) {
	if a.Mail == nil {
		return nil, nil
	}
	linked, err := a.Store.IdentitiesOf(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, i := range linked {
		if i.ID == id {
			return a.tellOf(ctx, user, Letter{Kind: MailUnlinked, Provider: i.Provider})
		}
	}
	return nil, ErrIdentityNotFound
}
