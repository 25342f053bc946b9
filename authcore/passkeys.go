package authcore

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Passkeys lists the passkeys of a user, the oldest first.
func (a *Accounts) Passkeys(ctx context.Context, user UserID) ([]Passkey, error) {
	return a.Store.Passkeys(ctx, user)
}

// AddPasskey gives a verified passkey to the user who acts. Its name may be empty.
func (a *Accounts) AddPasskey(ctx context.Context, actor Actor, p Passkey, name string, once Code) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	var err error
	if p.User != actor.User {
		return ErrPasskeyRefused
	}
	if p.Name, err = passkeyName(name); err != nil {
		return err
	}
	p.CreatedAt, p.UsedAt = a.Now(), a.Now()
	post, err := a.tellOf(ctx, actor.User, Letter{Kind: MailPasskeySet, Undo: "passkey " + string(p.ID)})
	if err != nil {
		return err
	}
	return passkeyError(a.Store.AddPasskey(ctx, p, actor.Session, once, a.event(actor, PasskeyAdd, TargetUser(actor.User), Success, p.Name), post...))
}

// passkeyName is what somebody calls a passkey.
func passkeyName(name string) (string, error) {
	if name = strings.TrimSpace(name); name == "" {
		name = "Passkey"
	}
	if err := CheckName(name); err != nil {
		return "", err
	}
	return name, nil
}

// RenamePasskey changes what a passkey of the user who acts is called.
func (a *Accounts) RenamePasskey(ctx context.Context, actor Actor, id PasskeyID, name string) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	name, err := passkeyName(name)
	if err != nil {
		return err
	}
	return a.Store.RenamePasskey(ctx, id, actor.User, name, a.event(actor, PasskeyRename, TargetUser(actor.User), Success, name))
}

// RemovePasskey takes a passkey from the user who acts, and ends all other sessions:
// ErrLastWayIn where there would be no way in any more.
func (a *Accounts) RemovePasskey(ctx context.Context, actor Actor, id PasskeyID) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	post, err := a.tellOf(ctx, actor.User, Letter{Kind: MailPasskeyGone})
	if err == nil {
		err = a.Store.RemovePasskey(ctx, id, actor.User, actor.Session, a.ways(), a.event(actor, PasskeyRemove, TargetUser(actor.User), Success, ""), post...)
	}
	if err == nil {
		a.changed(ChangeUser, string(actor.User))
	}
	return err
}

// RemovePassword takes the password from the user who acts, who has just proven by a
// passkey that there is another way in, and ends all other sessions.
func (a *Accounts) RemovePassword(ctx context.Context, actor Actor) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	post, err := a.tellOf(ctx, actor.User, Letter{Kind: MailPasswordGone})
	if err == nil {
		err = a.Store.RemovePassword(ctx, actor.User, actor.Session, a.event(actor, PasswordRemove, TargetUser(actor.User), Success, ""), post...)
	}
	if err == nil {
		a.changed(ChangeUser, string(actor.User))
	}
	return err
}

// ByPasskey tells whether a session was proven by a passkey.
func ByPasskey(amr []string) bool { return slices.Contains(amr, "hwk") || slices.Contains(amr, "swk") }

// withPasskey adds a passkey to how somebody was proven.
func withPasskey(amr []string, p *Passkey) []string {
	for _, one := range p.amr() {
		if !slices.Contains(amr, one) {
			amr = append(slices.Clip(amr), one)
		}
	}
	return amr
}

// VerifyPasskey checks what a browser sent, and gives the passkey as it is after that:
// ErrPasskeyWrong, ErrPasskeyOld. It asks for the passkey by the id that was sent.
type VerifyPasskey func(find func(PasskeyID) (Passkey, error)) (PasskeyUse, error)

// PasskeySignIn is a sign-in with a passkey.
type PasskeySignIn struct {
	Verify VerifyPasskey
	Host   string       // the host the session will live on
	Also   *PendingLink // an account at a provider that is linked along with it; nil for none
}

// SignInWithPasskey makes a session for whoever has a passkey. It returns ErrPasskeyWrong for
// one that is not known, was not verified or is of a disabled user, alike;
// ErrPasskeyOld; ErrTooManyAttempts.
func (a *Accounts) SignInWithPasskey(ctx context.Context, actor Actor, in PasskeySignIn) (Secret, Session, error) {
	token, s, err := a.signInWithPasskey(ctx, actor, in)
	return a.signedIn(ctx, actor, token, s, in.Also, err)
}

func (a *Accounts) signInWithPasskey(ctx context.Context, actor Actor, in PasskeySignIn) (Secret, Session, error) {
	use, giveBack, err := a.verifyPasskey(ctx, actor, "", in.Verify)
	if err != nil {
		a.passkeyFailed(actor, UserLogin, use, err)
		return "", Session{}, err
	}
	s, token, hash := a.newSession(actor, &Awaited{User: use.Passkey.User, AMR: use.Passkey.amr(), Host: in.Host})
	by := Actor{Kind: ActorUser, User: s.UserID, Session: s.ID, Client: actor.Client}
	err = a.Store.SignInWithPasskey(ctx, use, s, hash, a.event(by, UserLogin, TargetUser(s.UserID), Success, "passkey"))
	if err = passkeyError(err); err != nil {
		a.passkeyFailed(actor, UserLogin, use, err)
		return "", Session{}, err
	}
	giveBack()
	return token, s, nil
}

// passkeyError hides what would tell one failure from another.
func passkeyError(err error) error {
	switch {
	case ErrLoginFailed.is(err):
		return ErrPasskeyWrong.With(err)
	case ErrCodeInvalid.is(err):
		return ErrPasskeyOld.With(err)
	}
	return err
}

// passkeyFailed records a proof that failed.
func (a *Accounts) passkeyFailed(actor Actor, action Action, use PasskeyUse, err error) {
	if ErrTooManyAttempts.is(err) {
		a.refused(actor, action, TargetUser(actor.User), "too many attempts")
		return
	}
	a.Audit.Record(a.event(actor, action, TargetUser(use.Passkey.User), Failure, "passkey: "+coded(err)))
}

// verifyPasskey checks a proof under the limit of the client's address: a signature
// cannot be guessed, but checking one costs. Of a user that is not empty it must be.
func (a *Accounts) verifyPasskey(ctx context.Context, actor Actor, of UserID, verify VerifyPasskey) (PasskeyUse, func(), error) {
	address := caller(actor).Address
	if ok, after := a.ByAddress.Take(address); !ok {
		a.Tally.limited(byAddress)
		return PasskeyUse{}, nil, ErrTooManyAttempts.After(after)
	}
	var trouble error
	use, err := verify(func(id PasskeyID) (Passkey, error) {
		p, err := a.Store.PasskeyByID(ctx, id)
		if err != nil && !ErrPasskeyWrong.is(err) {
			trouble = err
		}
		return p, err
	})
	if trouble != nil {
		err = trouble
		a.ByAddress.GiveBack(address)
	}
	if err == nil && of != "" && use.Passkey.User != of {
		err = ErrPasskeyWrong.With(errOtherPerson)
	}
	return use, func() { a.ByAddress.GiveBack(address) }, err
}

var errOtherPerson = errors.New("a passkey of another user")

// ProveByPasskey takes a passkey of the user of a session, who is proven by it from then
// on, in all sessions of the root.
func (a *Accounts) ProveByPasskey(ctx context.Context, actor Actor, amr []string, verify VerifyPasskey) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	use, giveBack, err := a.verifyPasskey(ctx, actor, actor.User, verify)
	if err == nil {
		ev := a.event(actor, UserConfirm, TargetUser(actor.User), Success, "passkey")
		err = passkeyError(a.Store.ProvePasskey(ctx, use, actor.Session, withPasskey(amr, &use.Passkey), a.Now(), ev))
	}
	if err != nil {
		a.passkeyFailed(actor, UserConfirm, use, err)
		return err
	}
	giveBack()
	a.changed(ChangeSession, string(actor.Session))
	return nil
}

// FinishWithPasskey is FinishSignIn with a passkey for the second factor.
func (a *Accounts) FinishWithPasskey(ctx context.Context, actor Actor, w Awaited, verify VerifyPasskey) (Secret, Session, error) {
	token, s, err := a.finishWithPasskey(ctx, actor, w, verify)
	return a.signedIn(ctx, actor, token, s, w.Also, err)
}

func (a *Accounts) finishWithPasskey(ctx context.Context, actor Actor, w Awaited, verify VerifyPasskey) (Secret, Session, error) {
	use, giveBack, err := a.verifyPasskey(ctx, actor, w.User, verify)
	if err != nil {
		a.passkeyFailed(actor, UserLogin, use, err)
		return "", Session{}, err
	}
	w.AMR = withPasskey(w.AMR, &use.Passkey)
	token, s, err := a.beginProven(ctx, actor, &w, FactorUse{Passkey: &use})
	if err = passkeyError(err); err != nil {
		a.passkeyFailed(actor, UserLogin, use, err)
		return "", Session{}, err
	}
	giveBack()
	return token, s, nil
}
