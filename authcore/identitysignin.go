package authcore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Vouched is what an outside provider says of somebody who signed in with it, where
// the provider's rules let that person in.
type Vouched struct {
	Provider        string // by its name
	Organization    string // whose own client there it is, by its slug; empty for the platform's
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
	MustRenew       bool            // it is an error if the tokens cannot be renewed
}

// String names the person for the audit log.
func (w *Vouched) String() string {
	verified := ""
	if w.Email != "" && !w.EmailVerified {
		verified = ", not verified"
	}
	return fmt.Sprintf("%q (%q%s)", w.Username, w.Email, verified)
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
	// Also is another account, which is linked along with it; nil for none.
	Also *PendingLink
	// TakeAddress says that the person wants an account of their own, although a user
	// who never proved it has given the address as theirs: it is taken from that user.
	TakeAddress bool
}

// PendingLink is an account at a provider that is linked to a user once that user has
// signed in.
type PendingLink struct {
	Who  Vouched // without tokens: those come with the first sign-in by it
	User UserID  // who has the address
	Once Code
}

// OnceOf makes what a flow, or a provider's word, can be used up by. id is its own,
// and no secret.
func OnceOf(purpose Purpose, id string, now time.Time, life time.Duration) Code {
	return Code{Hash: HashToken(string(purpose) + ":" + id), Purpose: purpose, CreatedAt: now, ExpiresAt: now.Add(life)}
}

// Used tells whether something that is used up once was.
func (a *Accounts) Used(ctx context.Context, once Code) (bool, error) {
	return a.Store.CodeValid(ctx, once.Purpose, once.Hash, a.Now())
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
// time a user. The errors are ErrOwnersProvider, ErrAccountWaiting for a user who is not active, ErrAccountUnknown
// where there is none and none is made, ErrLinkRequired where the provider vouches for
// the address of a user who has not linked this account, ErrCodeInvalid for a flow that
// was used before, and those of invitations and of the setup.
func (a *Accounts) SignInWith(ctx context.Context, actor Actor, in ProviderSignIn) (Secret, Session, error) {
	token, s, err := a.signInWith(ctx, actor, in)
	a.Tally.signIn(err)
	if err == nil && in.Also != nil {
		return a.alsoLink(ctx, actor, token, s, in.Also)
	}
	return token, s, err
}

// alsoLink links an account to the user of a new session, which ends where that cannot
// be.
func (a *Accounts) alsoLink(ctx context.Context, actor Actor, token Secret, s Session, l *PendingLink) (Secret, Session, error) {
	by := Actor{Kind: ActorUser, User: s.UserID, Session: s.ID, Client: actor.Client}
	err := error(ErrWrongPerson)
	if s.UserID == l.User {
		err = a.Link(ctx, by, l.Who, l.Once)
	}
	if err != nil {
		return "", Session{}, errors.Join(err, a.Revoke(ctx, by, s.Root))
	}
	return token, s, nil
}

// overtakenTries is how often a sign-in is tried anew because somebody else took a name, or
// made the user, meanwhile.
const overtakenTries = 8

func (a *Accounts) signInWith(ctx context.Context, actor Actor, in ProviderSignIn) (Secret, Session, error) {
	var err error
	var hasFactor bool // which the database says, as the session would begin without
	for try := range overtakenTries {
		var cmd IdentitySignIn
		if cmd, err = a.arrival(ctx, &in, try); err == nil && in.Also != nil && cmd.Identity.User != in.Also.User {
			err = ErrWrongPerson
		}
		if err != nil {
			break
		}
		var token Secret
		var waits error
		token, waits = a.begin(actor, &in, &cmd, hasFactor)
		if err = a.Store.SignInIdentity(ctx, cmd); err == nil {
			if cmd.NewUser == nil {
				a.changed(ChangeUser, string(cmd.Identity.User)) // the provider may give other groups now
			}
			return token, cmd.Session, waits
		}
		if ErrFactorRequired.is(err) && !hasFactor {
			hasFactor = true
			continue
		}
		if !ErrUsernameTaken.is(err) && !ErrEmailTaken.is(err) && !ErrIdentityTaken.is(err) {
			break
		}
	}
	if ErrLoginFailed.is(err) {
		err = ErrAccountWaiting.With(errDisabled)
	}
	a.ProviderFailed(actor, in.Who.Provider, fmt.Errorf("%w, for %s", err, in.Who.String()))
	return "", Session{}, err
}

// mayComeBy returns ErrOwnersProvider for a user whom an organization's own client cannot
// bring: a platform owner, or who is a member of another organization. What it says of people
// is up to the organization.
func (a *Accounts) mayComeBy(ctx context.Context, u *User, slug string) error {
	if u.Owner {
		return ErrOwnersProvider
	}
	places, err := a.Store.Memberships(ctx, u.ID)
	if err == nil && slices.ContainsFunc(places, func(m Membership) bool { return m.Slug != slug }) {
		err = ErrOwnersProvider
	}
	return err
}

// arrival finds whose identity it is, or makes a new user.
func (a *Accounts) arrival(ctx context.Context, in *ProviderSignIn, try int) (IdentitySignIn, error) {
	found, user, err := a.Store.IdentityBy(ctx, in.Who.Issuer, in.Who.Subject)
	switch {
	case in.Setup != "" && in.Who.Organization != "":
		return IdentitySignIn{}, ErrOwnersProvider
	case err == nil && in.Setup != "":
		return IdentitySignIn{}, ErrIdentityTaken
	case err == nil && user.Status != Active:
		return IdentitySignIn{}, ErrAccountWaiting.With(errDisabled)
	case err == nil && in.Who.Organization != "":
		if err := a.mayComeBy(ctx, &user, in.Who.Organization); err != nil {
			return IdentitySignIn{}, err
		}
		i := a.identity(&found, user.ID, &in.Who)
		return IdentitySignIn{Identity: i, Once: in.Once}, a.renewable(&i, &in.Who)
	case err == nil:
		i := a.identity(&found, user.ID, &in.Who)
		return IdentitySignIn{Identity: i, Once: in.Once}, a.renewable(&i, &in.Who)
	case !ErrIdentityNotFound.is(err):
		return IdentitySignIn{}, err
	}
	cmd, err := a.newcomer(ctx, in, try)
	if ErrLinkRequired.is(err) { // the holder of the address may be this person, who came in another tab meanwhile
		if _, _, err := a.Store.IdentityBy(ctx, in.Who.Issuer, in.Who.Subject); err == nil {
			return a.arrival(ctx, in, try)
		} else if !ErrIdentityNotFound.is(err) {
			return cmd, err
		}
	}
	return cmd, err
}

// newcomer makes a new user of somebody at a provider, where the provider's way to new
// accounts, an invitation or a setup link allows it.
func (a *Accounts) newcomer(ctx context.Context, in *ProviderSignIn, try int) (IdentitySignIn, error) {
	cmd := IdentitySignIn{Link: true, Once: in.Once}
	w, now := &in.Who, a.Now()
	u := User{ID: NewUserID(), Name: shownName(w.Name), Status: Active, CreatedAt: now, UpdatedAt: now}
	if w.EmailVerified && w.Email != "" {
		holder, _, err := a.Store.UserByLogin(ctx, EmailKey(w.Email), true)
		switch {
		case err == nil && in.TakeAddress && !holder.EmailVerified:
			cmd.TakeEmailFrom = holder.ID
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
		u.OrganizationOnly = in.NewUsers != NewUsersCreate && a.Register != RegisterOpen // who could not come without
	case in.NewUsers == NewUsersInvite:
		return cmd, ErrAccountUnknown
	case in.NewUsers == NewUsersAsk:
		u.Status = Disabled
	}
	u.Username = usernameFor(w, try)
	cmd.NewUser, cmd.Identity = &u, a.identity(nil, u.ID, w)
	return cmd, a.renewable(&cmd.Identity, w)
}

// renewable refuses an identity that cannot be asked about again although it has to be:
// what is asked of a provider goes through the browser, where people can change it.
func (a *Accounts) renewable(i *Identity, w *Vouched) error {
	if !w.MustRenew {
		return nil
	}
	t, err := a.OpenTokens(i)
	if err == nil && t.Refresh == "" {
		err = ErrNotRenewable
	}
	return err
}

// begin completes a command with its events and, unless the user has to wait for an owner
// or for a second factor, its session.
func (a *Accounts) begin(actor Actor, in *ProviderSignIn, cmd *IdentitySignIn, hasFactor bool) (token Secret, waits error) {
	user, by := cmd.Identity.User, "provider "+in.Who.Provider
	who := Actor{Kind: ActorUser, User: user, Client: actor.Client}
	awaited := Awaited{User: user, Identity: cmd.Identity.ID, First: FirstProof{Tokens: cmd.Identity.Tokens != ""}, Provider: in.Who.Provider, ProviderSession: in.Who.Session,
		AuthTime: in.Who.AuthTime, AMR: []string{"fed"}, Host: in.Host, Also: in.Also}
	if u := cmd.NewUser; u != nil {
		cmd.Events = append(cmd.Events, a.welcome(who, by, &in.Who, cmd))
		if u.Status != Active {
			waits, by = ErrAccountWaiting, by+": a new account that waits for an owner"
		}
	} else if hasFactor {
		waits, by = &AwaitsFactor{awaited}, by+": the second factor is asked for"
	}
	if waits != nil {
		cmd.Events = append(cmd.Events, a.event(who, UserLogin, TargetUser(user), Refused, by))
		return "", waits
	}
	if in.Who.SecondFactor {
		awaited.AMR = append(awaited.AMR, "mfa")
	}
	cmd.Session, token, cmd.Token = a.newSession(actor, &awaited)
	who.Session = cmd.Session.ID
	cmd.Events = append(cmd.Events, a.event(who, UserLogin, TargetUser(user), Success, by))
	return token, nil
}

// welcome is the event of a new user.
func (a *Accounts) welcome(who Actor, by string, w *Vouched, cmd *IdentitySignIn) Event {
	action, details := UserCreate, cmd.NewUser.Username+", by "+by
	if w.Email != "" && !w.EmailVerified {
		details += ", which has not verified the address, so that it is not used"
	}
	if cmd.NewUser.Status != Active {
		details += ", waits for an owner"
	}
	if cmd.Setup != nil {
		action, details = SetupClose, "first owner, by "+by
	}
	return a.event(who, action, TargetUser(cmd.NewUser.ID), Success, details)
}

// ClientFailed is ProviderFailed for an organization's own client, which the
// organization can mend: it is in its audit log too.
func (a *Accounts) ClientFailed(actor Actor, provider string, o OrganizationID, err error) {
	a.providerFailed(actor, provider, o, err)
}

// ProviderFailed records that nobody was signed in, linked or confirmed after a visit
// to a provider, and why.
//
// Where the provider is away, nobody is kept from trying again: then it records a few
// times a minute for each address.
func (a *Accounts) ProviderFailed(actor Actor, provider string, err error) {
	a.providerFailed(actor, provider, "", err)
}

func (a *Accounts) providerFailed(actor Actor, provider string, o OrganizationID, err error) {
	var e *Error
	if errors.As(err, &e) && e.Kind == Unavailable {
		if ok, _ := a.Notices.Take(caller(actor).Address); !ok {
			return
		}
	}
	a.Audit.Record(a.event(actor, UserLogin, TargetUser(actor.User), Failure, "provider "+provider+": "+coded(err)).In(o))
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

// ConfirmWith makes the word of a provider count as a new proof for all sessions of the
// root that the actor acts in. ErrWrongPerson where it is not the actor's identity.
func (a *Accounts) ConfirmWith(ctx context.Context, actor Actor, w Vouched, once Code) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
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
	switch {
	case err != nil || user.ID != actor.User:
		return ErrWrongPerson
	case user.Owner && w.Organization != "":
		return ErrOwnersProvider
	}
	i := a.identity(&found, user.ID, &w)
	if err := a.Store.ConfirmIdentity(ctx, i, actor.Session, once, a.event(actor, UserConfirm, TargetUser(actor.User), Success, "provider "+w.Provider)); err != nil {
		return err
	}
	a.changed(ChangeUser, string(actor.User))
	a.changed(ChangeSession, string(actor.Session))
	return nil
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
