package authcore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// Vouched is what an outside provider says of somebody who signed in with it, where
// the provider's rules let that person in.
type Vouched struct {
	Provider        string // by its name
	Issuer, Subject string // say who it is
	Username        string // to begin a new user's name with
	Name            string
	Email           string
	EmailVerified   bool
	Session         string          // at the provider (sid); may be empty
	AuthTime        time.Time       // when the provider last asked for a proof; zero where it does not say
	SecondFactor    bool            // the provider asked for two factors, and is believed
	Groups          []string        // of ours, that the provider's rules give
	Tokens          *ProviderTokens `json:"-"` // to be kept; nil for none
}

// NewUsers says who gets an account by signing in with a provider for the first time.
type NewUsers string

// The ways to a new account.
const (
	NewUsersCreate NewUsers = "create" // everybody whom the provider's rules let in
	NewUsersInvite NewUsers = "invite" // who has an invitation
	NewUsersAsk    NewUsers = "ask"    // the account waits until an owner enables it
)

// ProviderSignIn is a sign-in with a provider, when that is over.
type ProviderSignIn struct {
	Who      Vouched
	Host     string // the host that the session will live on
	NewUsers NewUsers
	Invite   Secret // where the person came with an invitation
	Setup    Secret // where the person came with a setup link
	Once     Code   // of the flow
	// Also is another account of the same person, which is linked to the user along
	// with it, and what that uses up; nil for none.
	Also     *Vouched
	AlsoOnce Code
}

// OnceOf makes what a flow, or a provider's word, can be used up by. id is its own,
// and no secret.
func OnceOf(purpose Purpose, id string, now time.Time, life time.Duration) Code {
	return Code{Hash: HashToken(string(purpose) + ":" + id), Purpose: purpose, CreatedAt: now, ExpiresAt: now.Add(life)}
}

// maxIdentityName is the most bytes that are kept of what an account is called at a
// provider.
const maxIdentityName = 255

// identity is what is kept of somebody at a provider; before is what was, if anything.
func (a *Accounts) identity(before *Identity, user UserID, w *Vouched) Identity {
	now, id, tokens := a.Now(), NewIdentityID(), w.Tokens
	if before != nil {
		id = before.ID
		if old, err := a.OpenTokens(before); err == nil {
			tokens = tokens.after(old)
		}
	}
	i := Identity{ID: id, User: user, Provider: w.Provider, Issuer: w.Issuer, Subject: w.Subject, Username: clean(w.Username, maxIdentityName),
		Email: w.Email, CreatedAt: now, UsedAt: now, CheckedAt: now, Groups: w.Groups}
	i.Tokens = a.sealTokens(&i, tokens)
	return i
}

// SignInWith makes a session for somebody whom a provider vouches for, and at the first
// time a user. The errors are ErrWaiting for a user who is not active, ErrNotExpected
// where there is none and none is made, ErrLinkRequired where the provider vouches for
// the address of a user who has not linked this account, ErrCodeInvalid for a flow that
// was used before, and those of invitations and of the setup.
func (a *Accounts) SignInWith(ctx context.Context, actor Actor, in ProviderSignIn) (Secret, Session, error) {
	token, s, err := a.signInWith(ctx, actor, in)
	a.Tally.signIn(err)
	if err == nil && in.Also != nil {
		return a.alsoLink(ctx, actor, token, s, *in.Also, in.AlsoOnce)
	}
	return token, s, err
}

// alsoLink links an account to the user of a new session, which ends where that cannot
// be.
func (a *Accounts) alsoLink(ctx context.Context, actor Actor, token Secret, s Session, w Vouched, once Code) (Secret, Session, error) {
	by := Actor{Kind: ActorUser, User: s.UserID, Session: s.ID, Client: actor.Client}
	if err := a.Link(ctx, by, w, once); err != nil {
		return "", Session{}, errors.Join(err, a.Revoke(ctx, by, s.Root))
	}
	return token, s, nil
}

// overtakenTries is how often a sign-in is tried anew because somebody else took a name, or
// made the user, meanwhile.
const overtakenTries = 8

func (a *Accounts) signInWith(ctx context.Context, actor Actor, in ProviderSignIn) (Secret, Session, error) {
	var err error
	for try := range overtakenTries {
		var cmd IdentitySignIn
		if cmd, err = a.arrival(ctx, &in, try); err != nil {
			break
		}
		token, waiting := a.begin(actor, &in, &cmd)
		if err = a.Store.SignInIdentity(ctx, cmd); err == nil {
			if cmd.NewUser == nil {
				a.changed(ChangeUser, string(cmd.Identity.User)) // the provider may give other groups now
			}
			if waiting {
				return "", Session{}, ErrWaiting
			}
			return token, cmd.Session, nil
		}
		if !ErrUsernameTaken.is(err) && !ErrEmailTaken.is(err) && !ErrIdentityTaken.is(err) {
			break
		}
	}
	if ErrLoginFailed.is(err) {
		err = ErrWaiting.With(errDisabled)
	}
	a.ProviderFailed(actor, in.Who.Provider, err)
	return "", Session{}, err
}

// arrival finds whose identity it is, or makes a new user.
func (a *Accounts) arrival(ctx context.Context, in *ProviderSignIn, try int) (IdentitySignIn, error) {
	found, user, err := a.Store.IdentityBy(ctx, in.Who.Issuer, in.Who.Subject)
	switch {
	case err == nil && in.Setup != "":
		return IdentitySignIn{}, ErrIdentityTaken
	case err == nil && user.Status != Active:
		return IdentitySignIn{}, ErrWaiting.With(errDisabled)
	case err == nil:
		return IdentitySignIn{Identity: a.identity(&found, user.ID, &in.Who), Once: in.Once}, nil
	case !ErrIdentityNotFound.is(err):
		return IdentitySignIn{}, err
	}
	return a.newcomer(ctx, in, try)
}

// newcomer makes a new user of somebody at a provider, where the provider's way to new
// accounts, an invitation or a setup link allows it.
func (a *Accounts) newcomer(ctx context.Context, in *ProviderSignIn, try int) (IdentitySignIn, error) {
	cmd := IdentitySignIn{Link: true, Once: in.Once}
	w, now := &in.Who, a.Now()
	u := User{ID: NewUserID(), Name: shownName(w.Name), Status: Active, CreatedAt: now, UpdatedAt: now}
	if w.EmailVerified && w.Email != "" {
		_, _, err := a.Store.UserByLogin(ctx, EmailKey(w.Email), true)
		switch {
		case err == nil:
			return cmd, ErrLinkRequired
		case !ErrUserNotFound.is(err):
			return cmd, err
		}
		u.Email, u.EmailVerified = w.Email, true
	}
	switch {
	case in.Setup != "":
		if err := a.CheckSetup(ctx, in.Setup); err != nil {
			return cmd, err
		}
		hash := HashToken(in.Setup.Reveal())
		u.Owner, cmd.Setup = true, &hash
	case in.Invite != "":
		hash := HashToken(in.Invite.Reveal())
		cmd.Invite = &hash
	case in.NewUsers == NewUsersInvite:
		return cmd, ErrNotExpected
	case in.NewUsers == NewUsersAsk:
		u.Status = Disabled
	}
	u.Username = usernameFor(w, try)
	cmd.NewUser, cmd.Identity = &u, a.identity(nil, u.ID, w)
	return cmd, nil
}

// begin completes a command with its session and events. The user may have to wait.
func (a *Accounts) begin(actor Actor, in *ProviderSignIn, cmd *IdentitySignIn) (token Secret, waiting bool) {
	user, by := cmd.Identity.User, "provider "+in.Who.Provider
	who := Actor{Kind: ActorUser, User: user, Client: actor.Client}
	if u := cmd.NewUser; u != nil {
		action, details := UserCreate, u.Username+", by "+by
		if u.Status != Active {
			details += ", waits for an owner"
		}
		if cmd.Setup != nil {
			action, details = SetupClose, "first owner, by "+by
		}
		cmd.Events = append(cmd.Events, a.event(who, action, TargetUser(user), Success, details))
		if waiting = u.Status != Active; waiting {
			cmd.Events = append(cmd.Events, a.event(who, UserLogin, TargetUser(user), Refused, by+": a new account that waits for an owner"))
			return "", true
		}
	}
	now := a.Now()
	s := Session{ID: NewSessionID(), UserID: user, Host: in.Host, AMR: []string{"fed"}, AuthTime: now, CreatedAt: now, LastSeen: now,
		ExpiresAt: now.Add(a.Lifetime.Max), Address: actor.Client.Address, Agent: actor.Client.Agent,
		Identity: cmd.Identity.ID, Provider: in.Who.Provider, ProviderSession: in.Who.Session}
	if at := in.Who.AuthTime; !at.IsZero() && at.Before(now) {
		s.AuthTime = at
	}
	if in.Who.SecondFactor {
		s.AMR = append(s.AMR, "mfa")
	}
	s.Root, who.Session = s.ID, s.ID
	token, cmd.Token = NewToken()
	cmd.Session = s
	cmd.Events = append(cmd.Events, a.event(who, UserLogin, TargetUser(user), Success, by))
	return token, false
}

// ProviderFailed records that nobody was signed in, linked or confirmed after a visit
// to a provider, and why.
func (a *Accounts) ProviderFailed(actor Actor, provider string, err error) {
	a.Audit.Record(a.event(actor, UserLogin, TargetUser(actor.User), Failure, "provider "+provider+": "+causeOf(err)))
}

// causeOf is the cause of an error where it has one, else what people are told.
func causeOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Code + ": " + e.Err.Error()
	} else if e != nil {
		return e.Code
	}
	return err.Error()
}

// AdmitProvider takes one attempt from the limit of the client's address, and returns
// how to give it back: what comes back from a provider costs us a visit to it.
func (a *Accounts) AdmitProvider(actor Actor) (giveBack func(), err error) {
	address := caller(actor).Address
	if ok, after := a.ByAddress.Take(address); !ok {
		a.Tally.limited(byAddress)
		a.refused(actor, UserLogin, "", "too many attempts")
		return nil, ErrTooManySignIns.After(after)
	}
	return func() { a.ByAddress.GiveBack(address) }, nil
}

// Link links an account at a provider to the user who acts. It is no error where it
// is linked already; ErrIdentityTaken where it is somebody else's.
func (a *Accounts) Link(ctx context.Context, actor Actor, w Vouched, once Code) error {
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
	if err := a.Store.LinkIdentity(ctx, i, once, a.event(actor, IdentityLink, TargetUser(actor.User), Success, "provider "+w.Provider)); err != nil {
		return err
	}
	a.changed(ChangeUser, string(actor.User))
	return nil
}

// LinkBySigningIn is for somebody whom a provider vouches for, and whose address a user
// here has: it signs that user in with the password, and links the account. The errors
// are those of SignIn and Link.
func (a *Accounts) LinkBySigningIn(ctx context.Context, actor Actor, in SignIn, w Vouched, once Code) (Secret, Session, error) {
	in.Login = w.Email
	token, s, err := a.signIn(ctx, actor, in) // also where passwords are off: it is how the user was known
	a.Tally.signIn(err)
	if err != nil {
		return "", Session{}, err
	}
	return a.alsoLink(ctx, actor, token, s, w, once)
}

// WaysIn tells how the user with an address can sign in: with a password, and with which
// providers, by their names.
func (a *Accounts) WaysIn(ctx context.Context, email string) (password bool, providers []string, err error) {
	user, hash, err := a.Store.UserByLogin(ctx, EmailKey(email), true)
	if err != nil {
		return false, nil, err
	}
	linked, err := a.Store.IdentitiesOf(ctx, user.ID)
	for _, i := range linked {
		providers = append(providers, i.Provider)
	}
	return hash != "", providers, err
}

// ConfirmWith makes the word of a provider count as a new proof for all sessions of the
// root that the actor acts in. ErrWrongPerson where it is not the actor's identity.
func (a *Accounts) ConfirmWith(ctx context.Context, actor Actor, w Vouched, once Code) error {
	err := a.confirmWith(ctx, actor, w, once)
	if err != nil {
		a.ProviderFailed(actor, w.Provider, err)
	}
	return err
}

func (a *Accounts) confirmWith(ctx context.Context, actor Actor, w Vouched, once Code) error {
	found, user, err := a.Store.IdentityBy(ctx, w.Issuer, w.Subject)
	if err != nil && !ErrIdentityNotFound.is(err) {
		return err
	}
	if err != nil || user.ID != actor.User {
		return ErrWrongPerson
	}
	i := a.identity(&found, user.ID, &w)
	if err := a.Store.ConfirmIdentity(ctx, i, actor.Session, once, a.event(actor, UserConfirm, TargetUser(actor.User), Success, "provider "+w.Provider)); err != nil {
		return err
	}
	a.changed(ChangeUser, string(actor.User))
	a.changed(ChangeSession, string(actor.Session))
	return nil
}

// Unlink takes an identity from the user who acts: ErrLastWayIn where there would be
// no way in any more.
func (a *Accounts) Unlink(ctx context.Context, actor Actor, id IdentityID) error {
	if !id.plausible() {
		return ErrIdentityNotFound
	}
	err := a.Store.UnlinkIdentity(ctx, actor.User, id, actor.Session, !a.PasswordOff, a.event(actor, IdentityUnlink, TargetUser(actor.User), Success, "identity "+string(id)))
	if err == nil {
		a.changed(ChangeUser, string(actor.User))
	}
	return err
}

// Identities lists the accounts at providers that a user has linked.
func (a *Accounts) Identities(ctx context.Context, user UserID) ([]Identity, error) {
	return a.Store.IdentitiesOf(ctx, user)
}

// HasPassword tells whether a user can prove who they are with a password.
func (a *Accounts) HasPassword(ctx context.Context, user UserID) (bool, error) {
	if a.PasswordOff {
		return false, nil
	}
	since, err := a.Store.ProofSince(ctx, user)
	return !since.IsZero(), err
}

// Renewed keeps what a provider said when it was asked again about somebody, if the
// identity's tokens are still those of i; else ok is false.
func (a *Accounts) Renewed(ctx context.Context, i Identity, w Vouched) (now Identity, ok bool, err error) {
	i.Tokens, i.CheckedAt, i.Groups = a.sealTokens(&i, w.Tokens), a.Now(), w.Groups
	ev := a.event(Actor{Kind: ActorSystem}, UserGroups, TargetUser(i.User), Success, "provider "+i.Provider+" gives: "+strings.Join(w.Groups, ","))
	if ok, err = a.Store.RenewIdentity(ctx, i, ev); ok {
		i.Version++
		a.changed(ChangeUser, string(i.User)) // the groups may be others
	}
	return i, ok, err
}

// KeepTokens keeps tokens of an identity in place of older ones that are used up, where
// the provider could not be asked about the person.
func (a *Accounts) KeepTokens(ctx context.Context, i Identity, tokens *ProviderTokens) error {
	return a.Store.KeepTokens(ctx, i.ID, i.Version, a.sealTokens(&i, tokens), i.CheckedAt)
}

// Checked says that an identity was looked at, and nothing can be known.
func (a *Accounts) Checked(ctx context.Context, i Identity) error {
	return a.Store.KeepTokens(ctx, i.ID, i.Version, i.Tokens, a.Now())
}

// Expel ends what an identity gave, because its provider vouches for the person no
// more, and tells how many sessions that ended.
func (a *Accounts) Expel(ctx context.Context, i Identity, why error) (int, error) {
	ev := a.event(Actor{Kind: ActorSystem}, IdentityExpel, TargetUser(i.User), Success, "provider "+i.Provider+": "+causeOf(why))
	n, err := a.Store.ExpelIdentity(ctx, i.ID, i.Version, !a.PasswordOff, ev)
	if err == nil {
		a.changed(ChangeUser, string(i.User))
	}
	return n, err
}

// SignedOut ends the sessions that a provider says it has signed out. That it said so
// before is no error: nothing is left to end.
func (a *Accounts) SignedOut(ctx context.Context, actor Actor, out SignOut) error {
	ev := a.event(actor, UserLogout, "", Success, "told by provider "+out.Provider)
	users, err := a.Store.SignOutIdentity(ctx, out, ev)
	if ErrCodeInvalid.is(err) {
		return nil
	}
	for _, user := range users {
		a.changed(ChangeUser, string(user))
	}
	return err
}

// shownName is a name from elsewhere, if it can be one here.
func shownName(name string) string {
	if name = strings.TrimSpace(name); CheckName(name) != nil {
		return ""
	}
	return name
}

// usernameFor makes a username of what a provider says of somebody. After a try that
// found it taken it gives another one.
func usernameFor(w *Vouched, try int) string {
	local, _, _ := strings.Cut(w.Email, "@")
	base := "user"
	for _, text := range []string{w.Username, local, w.Name} {
		text, _, _ = strings.Cut(text, "@") // some are called by their address
		if name := asUsername(text); name != "" {
			base = name
			break
		}
	}
	switch {
	case try == 0:
		return base
	case try < overtakenTries-2:
		return fmt.Sprintf("%s-%d", base, try+1)
	}
	_, random := NewToken()
	return base + "-" + random.Hex()[:6]
}

// asUsername keeps of a text what a username can have, and leaves room for a number.
func asUsername(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r), strings.ContainsRune("._-+", r):
			return unicode.ToLower(r)
		case unicode.IsSpace(r):
			return '.'
		}
		return -1
	}, text)
	runes := []rune(strings.TrimLeft(text, "._-+"))
	name := string(runes[:min(len(runes), maxUsername-8)])
	if !access.ValidUsername(name) || slices.Contains(reservedNames, name) {
		return ""
	}
	return name
}

// reservedNames are those that people elsewhere may choose, and that look like somebody
// who runs the place.
var reservedNames = []string{"admin", "administrator", "root", "owner", "system", "gatehouse", "anonymous"}
