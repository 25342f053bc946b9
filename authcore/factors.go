package authcore

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/authcore/totp"
)

// recoveryCodes is how many recovery codes somebody gets.
const recoveryCodes = 10

// recoveryBytes is what is random in a recovery code: 80 bits.
const recoveryBytes = 10

// NewTOTP is a secret that is not in force yet: it becomes a user's second factor when
// a code of it was shown.
func (a *Accounts) NewTOTP() totp.Secret { return totp.NewSecret() }

// EnrolTOTP makes a secret the second factor of the user who acts, who has shown a code
// of it, and gives the recovery codes, which nothing can show again. What there was
// before is replaced. amr is how the session was proven so far: it counts as proven with
// the factor from then on. ErrFactorWrong for another code.
//
// Where there is a second factor already, old must be a code of it: ErrFactorWrong with
// the field old_code; unless the session was proven by a passkey just now. All other sessions of the user end.
func (a *Accounts) EnrolTOTP(ctx context.Context, actor Actor, amr []string, secret totp.Secret, code, old string, byPasskey bool) ([]Secret, error) {
	if err := actor.inPerson(); err != nil {
		return nil, err
	}
	giveBack, err := a.admitFactor(actor, actor.User, code, false)
	if err != nil {
		return nil, err
	}
	now := a.Now()
	step, ok := secret.Match(code, now, 0)
	if !ok {
		return nil, ErrFactorWrong
	}
	giveBack()
	present, err := a.Store.Factors(ctx, actor.User)
	if err != nil {
		return nil, err
	}
	var replaces string
	if present.TOTP != nil {
		replaces = present.TOTP.Sealed
		if !byPasskey {
			err = a.CheckFactor(ctx, actor, old)
		}
		if ErrFactorWrong.is(err) {
			e := *ErrFactorWrong
			e.Field = "old_code"
			return nil, &e
		}
		if err != nil {
			return nil, err
		}
	}
	texts, hashes := newRecoveryCodes(actor.User)
	t := TOTP{Sealed: a.FactorSealer.Seal([]byte(string(actor.User) + secret.Base32())), LastStep: step, CreatedAt: now}
	post, err := a.tellOf(ctx, actor.User, Letter{Kind: MailFactorSet})
	if err != nil {
		return nil, err
	}
	if err := a.Store.SetTOTP(ctx, actor.User, t, replaces, hashes, actor.Session, withFactor(amr), a.event(actor, FactorSet, TargetUser(actor.User), Success, "TOTP"), post...); err != nil {
		return nil, err
	}
	a.changed(ChangeUser, string(actor.User))
	a.changed(ChangeSession, string(actor.Session))
	return texts, nil
}

// CheckFactor takes a second factor of the user who acts, for a change of second factors.
func (a *Accounts) CheckFactor(ctx context.Context, actor Actor, typed string) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	return a.spendFactor(ctx, actor, typed, func(use FactorUse, ev Event) error { return a.Store.UseFactor(ctx, actor.User, use, ev) })
}

// spendFactor checks a typed second factor of the user who acts, under the limits, and
// spends it. Both outcomes are in the audit log.
func (a *Accounts) spendFactor(ctx context.Context, actor Actor, typed string, spend func(FactorUse, Event) error) error {
	giveBack, err := a.admitFactor(actor, actor.User, typed, false)
	if err != nil {
		return err
	}
	f, err := a.Store.Factors(ctx, actor.User)
	if err != nil {
		giveBack()
		return err
	}
	use, err := a.factorUse(actor.User, f, typed)
	if err == nil {
		err = spend(use, a.event(actor, UserConfirm, TargetUser(actor.User), Success, use.how()))
	}
	if err == nil || ErrNoFactor.is(err) {
		giveBack()
	}
	if err != nil {
		a.Audit.Record(a.event(actor, UserConfirm, TargetUser(actor.User), Failure, "second factor: "+coded(err)))
	}
	return err
}

// RenewRecoveryCodes replaces the recovery codes of the user who acts, and gives the new
// ones.
func (a *Accounts) RenewRecoveryCodes(ctx context.Context, actor Actor) ([]Secret, error) {
	if err := actor.inPerson(); err != nil {
		return nil, err
	}
	texts, hashes := newRecoveryCodes(actor.User)
	return texts, a.Store.ReplaceRecoveryCodes(ctx, actor.User, hashes, a.event(actor, FactorCodes, TargetUser(actor.User), Success, ""))
}

// RemoveFactors takes the app and the recovery codes from a user, and ends all sessions but that of
// the actor: they were proven by what is gone.
func (a *Accounts) RemoveFactors(ctx context.Context, actor Actor, user UserID) error {
	if err := a.over(ctx, actor, user); err != nil {
		return err
	}
	post, err := a.tellOf(ctx, user, Letter{Kind: MailFactorGone})
	if err == nil {
		err = a.Store.RemoveFactors(ctx, user, actor.Session, a.event(actor, FactorRemove, TargetUser(user), Success, ""), post...)
	}
	if err == nil {
		a.changed(ChangeUser, string(user))
	}
	return err
}

// Factors gives the second factors of a user.
func (a *Accounts) Factors(ctx context.Context, user UserID) (Factors, error) {
	return a.Store.Factors(ctx, user)
}

// newRecoveryCodes makes recovery codes from the system's secure random source.
func newRecoveryCodes(user UserID) (texts []Secret, hashes []TokenHash) {
	for range recoveryCodes {
		var raw [recoveryBytes]byte
		rand.Read(raw[:]) // crypto/rand.Read never fails (Go 1.24)
		text := strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
		var parts []string
		for part := range slices.Chunk([]byte(text), 4) {
			parts = append(parts, string(part))
		}
		texts = append(texts, Secret(strings.Join(parts, "-")))
		hashes = append(hashes, recoveryHash(user, text))
	}
	return texts, hashes
}

// recoveryHash hashes a recovery code of a user as it was typed. Nobody else's has the
// same.
func recoveryHash(user UserID, typed string) TokenHash {
	return HashToken(string(user) + ":" + strings.ToLower(plainCode(typed)))
}

// plainCode is a code as it was typed without what people put in between.
func plainCode(typed string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, typed)
}

// isRecoveryCode tells a recovery code from a code of a TOTP, by its length.
func isRecoveryCode(typed string) bool { return len(plainCode(typed)) > 8 }

// maxTypedCode is the longest code that is looked at, in bytes.
const maxTypedCode = 64

// factorUse checks a typed code against a user's second factors. Whether it was used
// already, only the database knows.
func (a *Accounts) factorUse(user UserID, f Factors, typed string) (FactorUse, error) {
	switch {
	case f.TOTP == nil:
		return FactorUse{}, ErrNoFactor
	case len(typed) > maxTypedCode:
		return FactorUse{}, ErrFactorWrong
	case isRecoveryCode(typed):
		hash := recoveryHash(user, typed)
		return FactorUse{Code: &hash}, nil
	}
	text, err := a.FactorSealer.OpenKept(f.TOTP.Sealed)
	if err != nil {
		return FactorUse{}, err
	}
	base, ours := strings.CutPrefix(string(text), string(user))
	secret, err := totp.ParseSecret(base)
	if err != nil || !ours {
		return FactorUse{}, errForeignFactor
	}
	step, ok := secret.Match(typed, a.Now(), f.TOTP.LastStep)
	if !ok {
		return FactorUse{}, ErrFactorWrong
	}
	return FactorUse{Step: step, Sealed: f.TOTP.Sealed}, nil
}

var errForeignFactor = errors.New("the second factor that is kept is of another user")

// admitFactor takes one attempt from the limits of the address and of the user's second
// factor, and returns how to give it back. So that somebody who knows the first factor
// alone, or has stolen one session, does not use up the attempts of others, those of
// sign-ins, of sessions, of recovery codes, which nobody can guess, and of the devices
// that have shown the factor before are counted apart: those of all devices together, for
// whoever knows the password can have many.
func (a *Accounts) admitFactor(actor Actor, user UserID, typed string, known bool) (giveBack func(), err error) {
	address, factor := caller(actor).Address, "sign-in:"+string(user)
	if isRecoveryCode(typed) {
		factor = "recovery:" + string(user)
	} else if actor.Kind == ActorUser {
		factor = "session:" + string(user)
	} else if known {
		factor = "devices:" + string(user)
	}
	if ok, after := a.ByAddress.Take(address); !ok {
		a.Tally.limited(byAddress)
		return nil, ErrTooManyAttempts.After(after)
	}
	if ok, after := a.ByFactor.Take(factor); !ok {
		a.ByAddress.GiveBack(address) // it has tried nothing
		a.Tally.limited(byAccount)
		if noticed, _ := a.Notices.Take(factor); noticed {
			a.Audit.Record(a.event(actor, FactorAlarm, TargetUser(user), Refused, "many wrong codes: somebody who knows the first factor guesses the second"))
		}
		return nil, ErrTooManyAttempts.After(after)
	}
	return func() { a.ByAddress.GiveBack(address); a.ByFactor.GiveBack(factor) }, nil
}

// FinishSignIn takes the second factor of a sign-in that waits for it, and makes the
// session. ErrFactorWrong for a code that is not right, or was used; ErrTooManyAttempts;
// ErrLoginFailed where the first proof is not good any more.
func (a *Accounts) FinishSignIn(ctx context.Context, actor Actor, w Awaited, device Device, typed string) (Secret, Session, error) {
	token, s, err := a.finishSignIn(ctx, actor, w, device, typed)
	return a.signedIn(ctx, actor, token, s, w.Also, err)
}

func (a *Accounts) finishSignIn(ctx context.Context, actor Actor, w Awaited, device Device, typed string) (Secret, Session, error) {
	f, err := a.Store.Factors(ctx, w.User)
	if err != nil {
		return "", Session{}, err
	}
	giveBack, err := a.admitFactor(actor, w.User, typed, f.TOTP != nil && a.knownSince(ctx, device, w.User, f.TOTP.CreatedAt))
	if err != nil {
		return "", Session{}, err
	}
	use, err := a.factorUse(w.User, f, typed)
	if ErrNoFactor.is(err) { // it was removed meanwhile
		err = ErrLoginFailed
	}
	w.AMR = withFactor(w.AMR)
	var token Secret
	var s Session
	if err == nil {
		token, s, err = a.beginProven(ctx, actor, &w, use)
	}
	if err != nil {
		a.Audit.Record(a.event(actor, UserLogin, TargetUser(w.User), Failure, "second factor: "+coded(err)))
		return "", Session{}, err
	}
	giveBack()
	return token, s, nil
}

// beginProven begins the session of a sign-in that was proven by two factors.
func (a *Accounts) beginProven(ctx context.Context, actor Actor, w *Awaited, use FactorUse) (Secret, Session, error) {
	s, token, hash := a.newSession(actor, w)
	by := Actor{Kind: ActorUser, User: w.User, Session: s.ID, Client: actor.Client}
	err := a.Store.CreateProvenSession(ctx, s, hash, w.First, use, a.event(by, UserLogin, TargetUser(w.User), Success, w.how()+", "+use.how()))
	return token, s, err
}

// newSession makes the session of a sign-in that has been proven, as it says.
func (a *Accounts) newSession(actor Actor, w *Awaited) (Session, Secret, TokenHash) {
	token, hash := NewToken()
	now := a.Now()
	s := Session{ID: NewSessionID(), UserID: w.User, Host: w.Host, AMR: w.AMR, AuthTime: now, CreatedAt: now, LastSeen: now,
		ExpiresAt: now.Add(a.Lifetime.Max), Address: actor.Client.Address, Agent: actor.Client.Agent,
		Identity: w.Identity, Provider: w.Provider, ProviderSession: w.ProviderSession}
	if !w.AuthTime.IsZero() && w.AuthTime.Before(now) {
		s.AuthTime = w.AuthTime
	}
	s.Root = s.ID
	return s, token, hash
}

// how says with what the first proof was made.
func (w *Awaited) how() string {
	switch {
	case w.Provider != "":
		return "provider " + w.Provider
	case w.First.Mail != "":
		return "mail"
	}
	return "password"
}

func (u FactorUse) how() string {
	switch {
	case u.Passkey != nil:
		return "passkey"
	case u.Device != nil:
		return "trusted device"
	case u.Code != nil:
		return "recovery code"
	}
	return "TOTP"
}

// withFactor adds a second factor to how somebody was proven (RFC 8176); a recovery code
// is a one-time password as well.
func withFactor(amr []string) []string {
	for _, one := range []string{"otp", "mfa"} {
		if !slices.Contains(amr, one) {
			amr = append(slices.Clip(amr), one)
		}
	}
	return amr
}

// ProveFactor takes the second factor of the user of a session, which counts for all
// sessions of its root from then on.
func (a *Accounts) ProveFactor(ctx context.Context, actor Actor, amr []string, typed string) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	err := a.spendFactor(ctx, actor, typed, func(use FactorUse, ev Event) error {
		return a.Store.ProveFactor(ctx, actor.Session, actor.User, withFactor(amr), use, ev)
	})
	if err == nil {
		a.changed(ChangeSession, string(actor.Session))
	}
	return err
}

// awaitsAfter is awaits for a password that was proven: it must still be the one.
func (a *Accounts) awaitsAfter(ctx context.Context, user UserID, proven password.Hash, host string) error {
	since, err := a.Store.ProofSince(ctx, user)
	if err != nil {
		return err
	}
	err = a.awaits(ctx, Awaited{User: user, First: FirstProof{Since: since}, AMR: []string{"pwd"}, Host: host})
	if !ErrFactorRequired.is(err) {
		return err
	}
	if _, now, err := a.Store.UserByID(ctx, user); err != nil || now != proven { // after the time: else it may be of another
		return cmp.Or(err, error(ErrLoginFailed))
	}
	return err
}

// awaits tells whether a sign-in waits for a second factor, and gives it then.
func (a *Accounts) awaits(ctx context.Context, w Awaited) error {
	f, err := a.Store.Factors(ctx, w.User)
	if err != nil || !f.Has() {
		return err
	}
	return &AwaitsFactor{w}
}

// FactorTime is how long somebody may take from the first to the second factor.
const FactorTime = 10 * time.Minute
