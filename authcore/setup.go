package authcore

import (
	"context"
	"time"
)

// setupLife is how long a setup link is good for. A new one is made at the
// next start.
const setupLife = 24 * time.Hour

// OpenSetup makes the code of a setup link, or returns ErrSetupClosed once an
// owner was ever made.
func (a *Accounts) OpenSetup(ctx context.Context) (Secret, error) {
	closed, err := a.Store.SetupClosed(ctx)
	if err != nil {
		return "", err
	}
	if closed {
		return "", ErrSetupClosed
	}
	token, hash := NewToken()
	now := a.Now()
	ev := a.event(Actor{Kind: ActorSystem}, SetupOpen, "", Success, "")
	return token, a.Store.CreateCode(ctx, Code{Hash: hash, Purpose: PurposeSetup, CreatedAt: now, ExpiresAt: now.Add(setupLife)}, &ev)
}

// CheckSetup tells whether a setup link would work: nil, ErrSetupClosed or
// ErrSetupToken. It uses nothing up, so that a link scanner does no harm.
func (a *Accounts) CheckSetup(ctx context.Context, code Secret) error {
	closed, err := a.Store.SetupClosed(ctx)
	switch {
	case err != nil:
		return err
	case closed:
		return ErrSetupClosed
	}
	ok, err := a.Store.CodeValid(ctx, PurposeSetup, HashToken(code.Reveal()), a.Now())
	if err == nil && !ok {
		err = ErrSetupToken
	}
	return err
}

// Setup makes the first owner, closes the setup for good and signs the owner in.
func (a *Accounts) Setup(ctx context.Context, actor Actor, code Secret, n NewUser, host string) (Secret, Session, error) {
	if a.PasswordOff && n.Passkey == nil {
		return "", Session{}, ErrPasswordOff
	}
	if err := a.CheckSetup(ctx, code); err != nil {
		return "", Session{}, err
	}
	n.Owner, n.Groups, n.EmailVerified = true, nil, true // whoever can read the server's log vouches for the address
	u, err := n.user(a.Now())
	if err != nil {
		return "", Session{}, err
	}
	created := func() Event {
		return a.event(Actor{Kind: ActorUser, User: u.ID, Client: actor.Client}, SetupClose, TargetUser(u.ID), Success, "first owner")
	}
	if n.Passkey != nil {
		first, err := n.first(&u)
		if err != nil {
			return "", Session{}, err
		}
		setup := HashToken(code.Reveal())
		first.Setup, first.Created = &setup, created()
		return a.createByPasskey(ctx, actor, first, host)
	}
	hash, err := a.newPassword(ctx, actor, n.Password, u)
	if err != nil {
		return "", Session{}, err
	}
	if err := a.Store.CreateFirstOwner(ctx, u, hash, HashToken(code.Reveal()), created()); err != nil {
		return "", Session{}, err
	}
	return a.startSession(ctx, actor, u, hash, host)
}
