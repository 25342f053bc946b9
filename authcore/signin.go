package authcore

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/limit"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// SignIn is what somebody presents to sign in.
type SignIn struct {
	Login    string // username or email address
	Password Secret
	Host     string // the host the session will live on
	Device   Device // what the browser remembers; it opens nothing
}

// SignIn checks a password and makes a session. It returns ErrLoginFailed for
// an unknown user, a wrong password and a disabled user alike, after the same
// work; ErrTooManySignIns when a limit is reached and ErrLoginBusy when no
// hash can run now; ErrPasswordOff where passwords are off; an AwaitsFactor
// where the user has a second factor. A device that knows the user has limits of its own, and goes
// first where many wait.
func (a *Accounts) SignIn(ctx context.Context, actor Actor, in SignIn) (Secret, Session, error) {
	if a.PasswordOff {
		a.refused(actor, UserLogin, "", "passwords are off")
		return "", Session{}, ErrPasswordOff
	}
	token, s, err := a.signIn(ctx, actor, in)
	a.Tally.signIn(err)
	return token, s, err
}

func (a *Accounts) signIn(ctx context.Context, actor Actor, in SignIn) (Secret, Session, error) {
	key, isEmail := LoginKey(in.Login)
	ctx, giveBack, err := a.admitSignIn(ctx, actor, "login:"+key, a.knownAs(ctx, in.Device, key, isEmail))
	if err != nil {
		a.refused(actor, UserLogin, "", "too many attempts")
		return "", Session{}, err
	}
	user, hash, err := a.prove(ctx, key, isEmail, in.Password)
	if err != nil {
		if !ErrLoginFailed.is(err) {
			giveBack() // our trouble is not a failed attempt
		}
		if ErrLoginFailed.is(err) {
			a.noticeSpread(actor, key)
			a.Audit.Record(a.event(actor, UserLogin, TargetUser(user.ID), Failure, reason(err)))
		} else {
			a.refused(actor, UserLogin, TargetUser(user.ID), reason(err))
		}
		return "", Session{}, err
	}
	giveBack()
	if err := a.awaitsAfter(ctx, user.ID, hash, in.Host); err != nil {
		return "", Session{}, err
	}
	return a.startSession(ctx, actor, user, hash, in.Host)
}

// The wrong sign-ins of one address at so many different accounts, in so much time, are
// an alarm: that is how passwords that were stolen elsewhere are tried.
const (
	AlarmAccounts = 20
	AlarmWithin   = 10 * time.Minute
)

// noticeSpread takes down a wrong sign-in at an account, whether there is one or not.
func (a *Accounts) noticeSpread(actor Actor, account string) {
	if a.Spread.Try(caller(actor).Address, account) {
		a.Tally.alarm()
		a.Audit.Record(a.event(actor, LoginAlarm, "", Failure, fmt.Sprintf("%d different accounts, all with wrong passwords, within %s: somebody tries stolen ones", AlarmAccounts, AlarmWithin)))
	}
}

// admitSignIn is admit for a sign-in, and gives the context to hash with. A device
// that knows the user is an address and an account of its own, so that nobody
// else uses up its attempts; when it has used them up itself, as whoever stole it
// would, it is like any other.
func (a *Accounts) admitSignIn(ctx context.Context, actor Actor, account, device string) (context.Context, func(), error) {
	who := caller(actor)
	if device != "" {
		if giveBack, _ := a.take(nil, device, device); giveBack != nil {
			return password.For(ctx, knownAs(account)), giveBack, nil
		}
	}
	giveBack, after := a.take(a.Tally, who.Address, account)
	if giveBack == nil {
		return nil, nil, ErrTooManySignIns.After(after)
	}
	return password.For(ctx, who), giveBack, nil
}

// admit takes one attempt from the limits of the client's address and of the
// account, and returns how to give it back.
func (a *Accounts) admit(actor Actor, account string) (giveBack func(), err error) {
	giveBack, after := a.take(a.Tally, caller(actor).Address, account)
	if giveBack == nil {
		return nil, ErrTooManyAttempts.After(after)
	}
	return giveBack, nil
}

// take takes one attempt from both limits, and returns how to give it back; where
// one of them has none left, nil and how long it takes until it has, and counts it.
func (a *Accounts) take(count *Tally, address, account string) (giveBack func(), after time.Duration) {
	if ok, after := a.ByAddress.Take(address); !ok {
		count.limited(byAddress)
		return nil, after
	}
	if ok, after := a.ByAccount.Take(account); !ok {
		a.ByAddress.GiveBack(address) // it has tried nothing
		count.limited(byAccount)
		return nil, after
	}
	return func() { a.ByAddress.GiveBack(address); a.ByAccount.GiveBack(account) }, 0
}

// hasher is who the hashing gate takes an actor for: who has signed in is known, and
// so is the operator.
func hasher(actor Actor) password.Caller {
	if actor.Kind == ActorAnonymous {
		return caller(actor)
	}
	return knownAs(string(actor.Kind) + ":" + string(actor.User))
}

// knownAs is somebody known, who is counted by who that is, and not by addresses: of
// those a user with a device that knows them can have many.
func knownAs(who string) password.Caller {
	return password.Caller{Known: true, Address: who, Network: who}
}

// caller is a stranger at an actor's address.
func caller(actor Actor) password.Caller {
	who := password.Caller{Address: actor.Client.Address, Network: actor.Client.Address}
	if ip, err := netip.ParseAddr(who.Address); err == nil {
		who.Address, who.Network = limit.AddressKey(ip), limit.NetworkKey(ip)
	}
	return who
}

// prove finds the user and checks the password, with one hash whatever the
// case. The user it returns along with an error is for the audit only. In a storm
// most are refused, so nobody is looked up who cannot have a hash anyway.
func (a *Accounts) prove(ctx context.Context, key string, isEmail bool, pw Secret) (User, password.Hash, error) {
	if err := a.Passwords.Busy(ctx); err != nil {
		return User{}, "", hashing(err, nil)
	}
	user, hash, err := a.Store.UserByLogin(ctx, key, isEmail)
	if err != nil && !ErrUserNotFound.is(err) {
		return User{}, "", err
	}
	if len(pw) > a.Rules.MaxBytes {
		pw = "" // nobody has such a password; do not hash a megabyte
	}
	if err != nil || hash == "" {
		return user, "", hashing(a.Passwords.VerifyUnknown(ctx, pw.Reveal()), ErrLoginFailed.With(errUnknownUser))
	}
	ok, rehash, err := a.Passwords.Verify(ctx, hash, pw.Reveal())
	switch {
	case err != nil:
		return user, "", hashing(err, nil)
	case !ok:
		return user, "", ErrLoginFailed.With(errWrongPassword)
	case user.Status != Active:
		return user, "", ErrLoginFailed.With(errDisabled)
	}
	if rehash {
		hash = a.rehash(ctx, user.ID, hash, pw)
	}
	return user, hash, nil
}

var (
	errUnknownUser   = errors.New("unknown user")
	errWrongPassword = errors.New("wrong password")
	errDisabled      = errors.New("user is disabled")
)

// hashing turns an error of the hasher into ours; without one it gives instead.
func hashing(err, instead error) error {
	switch {
	case err == nil:
		return instead
	case errors.Is(err, password.ErrBusy):
		return ErrLoginBusy.After(time.Second)
	default:
		return err
	}
}

func reason(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// refused records that a request was turned away before its content counted:
// a few times a minute for each address, so that turning away costs no row each.
func (a *Accounts) refused(actor Actor, action Action, target, why string) {
	if ok, _ := a.Notices.Take(caller(actor).Address); ok {
		a.Audit.Record(a.event(actor, action, target, Refused, why))
	}
}

// rehash stores the password under today's parameters and gives the hash that
// is stored now. It is a courtesy: when the hasher is busy it waits for the next
// sign-in.
func (a *Accounts) rehash(ctx context.Context, id UserID, old password.Hash, pw Secret) password.Hash {
	fresh, err := a.Passwords.Hash(ctx, pw.Reveal())
	if err != nil {
		return old
	}
	if err := a.Store.Rehash(ctx, id, old, fresh); err != nil {
		return old
	}
	return fresh
}

func (a *Accounts) startSession(ctx context.Context, actor Actor, user User, proven password.Hash, host string) (Secret, Session, error) {
	s, token, hash := a.newSession(actor, &Awaited{User: user.ID, AMR: []string{"pwd"}, Host: host})
	by := Actor{Kind: ActorUser, User: user.ID, Session: s.ID, Client: actor.Client}
	if err := a.Store.CreateSession(ctx, s, hash, proven, a.event(by, UserLogin, TargetUser(user.ID), Success, "password")); err != nil {
		return "", Session{}, err
	}
	return token, s, nil
}

// Confirm asks a signed-in user for the password again, under the same limits
// as a sign-in. It returns ErrProofRequired where there is none and
// ErrProofWrong for a wrong one.
func (a *Accounts) Confirm(ctx context.Context, actor Actor, pw Secret) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	_, err := a.confirm(ctx, actor, pw)
	return err
}

// StepUp is another proof of who the user of a session is.
type StepUp struct {
	Password   Secret
	NoPassword bool     // only the second factor is asked for
	Code       string   // of the second factor
	Factor     bool     // it is asked for
	AMR        []string // of the session so far
}

// StepUp confirms the user of a session and makes that count for all sessions of its
// root: their AuthTime is now where the password was proven, and they have a second
// factor where that was. The errors are those of Confirm and ProveFactor.
func (a *Accounts) StepUp(ctx context.Context, actor Actor, in StepUp) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	var proven password.Hash
	var err error
	if !in.NoPassword {
		if proven, err = a.confirm(ctx, actor, in.Password); err != nil {
			return err
		}
	}
	if in.Factor {
		if err := a.ProveFactor(ctx, actor, in.AMR, in.Code); err != nil {
			return err
		}
	}
	if in.NoPassword {
		return nil
	}
	ev := a.event(actor, UserConfirm, TargetUser(actor.User), Success, "password")
	if err := a.Store.RenewProof(ctx, actor.Session, actor.User, proven, a.Now(), ev); err != nil {
		return err
	}
	a.changed(ChangeSession, string(actor.Session))
	return nil
}

// confirm is Confirm, and gives the hash of the password.
func (a *Accounts) confirm(ctx context.Context, actor Actor, pw Secret) (password.Hash, error) {
	if pw == "" || a.PasswordOff {
		return "", ErrProofRequired
	}
	giveBack, err := a.admit(actor, "confirm:"+string(actor.User))
	if err != nil {
		return "", err
	}
	user, hash, err := a.Store.UserByID(ctx, actor.User)
	if err != nil {
		giveBack()
		return "", err
	}
	if len(pw) > a.Rules.MaxBytes || hash == "" {
		return "", ErrProofWrong
	}
	ok, _, err := a.Passwords.Verify(password.For(ctx, hasher(actor)), hash, pw.Reveal())
	switch {
	case err != nil:
		giveBack()
		return "", hashing(err, nil)
	case !ok || user.Status != Active:
		a.Audit.Record(a.event(actor, UserLogin, TargetUser(user.ID), Failure, "confirmation: wrong password"))
		return "", ErrProofWrong
	}
	giveBack()
	return hash, nil
}

// Denied records that a policy refused a request, or with observed that it would
// have: a few times a minute for each rule and user, or address.
func (a *Accounts) Denied(actor Actor, observed bool, rule, target string) {
	who := string(actor.User)
	if who == "" {
		who = caller(actor).Address
	}
	action := AccessDenied
	if observed {
		action = AccessObserved
	}
	if ok, _ := a.Notices.Take(who + " " + string(action) + " " + rule); ok {
		a.Audit.Record(a.event(actor, action, clean(target, maxTarget), Refused, rule))
	}
}

// maxTarget is the longest address of a page that an event names, in bytes.
const maxTarget = 128
