package authcore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
)

// IdentityID names an identity: a UUIDv7.
type IdentityID string

// NewIdentityID makes an id.
func NewIdentityID() IdentityID { return IdentityID(newID()) }

// plausible tells whether an id can be one, before a database is asked for it.
func (id IdentityID) plausible() bool {
	return uuid.Validate(string(id)) == nil && len(id) == len(uuid.Nil.String())
}

// Identity is an account at an outside provider that is linked to one user. Issuer and
// Subject say which account; nothing else of it does.
type Identity struct {
	ID        IdentityID
	User      UserID
	Provider  string // by its name in the configuration
	Issuer    string
	Subject   string
	Username  string    // what the account is called there, to show
	Email     string    // to show
	Tokens    string    // sealed; empty for none
	Version   int64     // of Tokens: it grows with each change
	CreatedAt time.Time // when it was linked
	UsedAt    time.Time // of the last sign-in
	CheckedAt time.Time // when the provider last vouched for the person
	// Groups are those of ours that the user has by it. They are written, not read.
	Groups []string
}

// SubjectKey is how an account is found: issuers and subjects are compared byte by byte,
// whatever a database takes for equal.
func SubjectKey(issuer, subject string) string {
	sum := sha256.Sum256([]byte(issuer + "\x00" + subject))
	return hex.EncodeToString(sum[:])
}

// IdentitySignIn is a sign-in with an identity: a whole command.
type IdentitySignIn struct {
	Identity Identity
	// NewUser is made first; nil where the user is there. Setup or Invite is the code
	// that this needs, if any.
	NewUser       *User
	Setup, Invite *TokenHash
	// TakeEmailFrom is a user whose address NewUser takes, unless it is verified by then.
	TakeEmailFrom UserID
	// Link says that the identity is new.
	Link bool
	// Session has no id where the user is to wait: nobody is signed in then.
	Session Session
	Token   TokenHash
	// Once is used up: a second command with the same does nothing (ErrCodeInvalid).
	Once Code
	// Events has that of the new user first, where there is one.
	Events []Event
}

// SignOut is what a provider says of a sign-out (OpenID Connect Back-Channel Logout 1.0
// section 2.4): of whom, or of which session, or both.
type SignOut struct {
	Provider, Issuer string
	Subject          string // empty: whoever has the session
	Session          string // at the provider; empty: all of the subject
	Once             Code   // by the token's jti
}

// GroupsEvent is what is recorded where an identity gives other groups than before,
// beside the event of what it was used for.
func GroupsEvent(beside Event, i Identity) Event {
	return NewEvent(beside.Time, beside.Actor, UserGroups, TargetUser(i.User), Success, "provider "+i.Provider+" gives: "+strings.Join(i.Groups, ","))
}

// IdentityStore keeps identities. Commands by which an identity gives other groups than
// before write a GroupsEvent; those that end it say so themselves.
type IdentityStore interface {
	// IdentityBy finds the identity of an account with its user, or ErrIdentityNotFound.
	IdentityBy(ctx context.Context, issuer, subject string) (Identity, User, error)
	// IdentitiesOf lists those of a user, oldest first.
	IdentitiesOf(ctx context.Context, user UserID) ([]Identity, error)
	// SignInIdentity makes a session, and what is missing of user and identity; it takes
	// over groups and tokens. ErrCodeInvalid where Once was used, ErrIdentityTaken
	// where the account is linked by now, ErrLoginFailed where the user is not active or
	// has the identity no more, ErrInviteInvalid, ErrSetupClosed, ErrSetupToken,
	// ErrUsernameTaken, ErrEmailTaken; ErrFactorRequired where the user has a second
	// factor and the session is not proven with one.
	SignInIdentity(ctx context.Context, in IdentitySignIn) error
	// LinkIdentity links an account to its user: ErrIdentityTaken where it belongs to
	// somebody, ErrCodeInvalid where once was used, ErrLoginFailed where the user is not
	// active.
	LinkIdentity(ctx context.Context, i Identity, once Code, ev Event, post ...Post) error
	// ConfirmIdentity takes over what the provider said when the user of a root session
	// proved anew who that is, and makes all sessions of the root as if they were
	// proven at i.UsedAt. ErrCodeInvalid where once was used, ErrSessionNotFound where
	// the session or the identity is not the user's any more.
	ConfirmIdentity(ctx context.Context, i Identity, root SessionID, once Code, ev Event) error
	// UnlinkIdentity takes an identity from its user, with the groups that it gave and
	// the sessions that it made but for the root keep, which is not of it any more.
	// ErrIdentityNotFound, and
	// ErrLastWayIn where the user could not sign in any more; a password counts only
	// where passwords is true.
	UnlinkIdentity(ctx context.Context, user UserID, id IdentityID, keep SessionID, ways Ways, ev Event, post ...Post) error
	// LeaseIdentity makes holder the one who may renew the tokens of an identity, for a
	// time by the database's clock, and gives the identity as it is then; ok is false
	// while somebody else may. ErrIdentityNotFound.
	LeaseIdentity(ctx context.Context, id IdentityID, holder string, d time.Duration) (i Identity, ok bool, err error)
	// DropIdentityLease gives a lease back before its time is over.
	DropIdentityLease(ctx context.Context, id IdentityID, holder string) error
	// RenewIdentity keeps new tokens, groups and the time of the check, and ends the
	// lease, if the tokens are still of i.Version; else it tells so. by is who does it,
	// and when: only other groups are an event.
	RenewIdentity(ctx context.Context, i Identity, by Event) (renewed bool, err error)
	// KeepTokens keeps tokens and the time of a check and ends the lease, if the tokens
	// are still of the version; else it does nothing.
	KeepTokens(ctx context.Context, id IdentityID, version int64, tokens string, checked time.Time) error
	// IdentitiesDue lists identities of a provider with tokens that were last checked
	// before a time, and whose user has a session or an access token that lives, in the
	// order of their ids, after one of them.
	IdentitiesDue(ctx context.Context, provider string, before, now time.Time, after IdentityID, limit int) ([]Identity, error)
	// ExpelIdentity ends the sessions that an identity made, and forgets its tokens and
	// the groups that it gave, if the tokens are still of the version: the provider
	// vouches for the person no more. A user who has no other way in loses the access
	// tokens too; ways says what counts as one. It tells how many sessions ended.
	ExpelIdentity(ctx context.Context, id IdentityID, version int64, ways Ways, ev Event) (sessions int, err error)
	// SignOutIdentity ends the sessions that a provider signed out, and tells whose. There
	// is an event for each user, or one without a target where there was nobody.
	// ErrCodeInvalid where it was told so before.
	SignOutIdentity(ctx context.Context, out SignOut, ev Event) (of []UserID, err error)
}

// The errors of identities.
var (
	ErrIdentityNotFound = &Error{Kind: NotFound, Code: "identity_not_found", Message: "There is no such sign-in provider on this account. Load the page again."}
	ErrIdentityTaken    = &Error{Kind: Conflict, Code: "identity_taken", Message: "This account at the provider belongs to another user here. Sign in with it, or take it from that user first."}
	ErrLastWayIn        = &Error{Kind: Conflict, Code: "last_way_in", Message: "This is the only way to sign in to this account. Add another one first."}
	ErrAccountUnknown   = &Error{Kind: Forbidden, Code: "account_unknown", Message: "There is no account for you here yet, and new ones are made by invitation. Ask an owner of this site for one."}
	ErrAccountWaiting   = &Error{Kind: Forbidden, Code: "account_waiting", Message: "Your account here is not active. An owner of this site has to let you in; then sign in again."}
	ErrLinkRequired     = &Error{Kind: Conflict, Code: "link_required", Message: "There is an account with your email address here already. Sign in to it the way you did before; then both belong together."}
	ErrWrongPerson      = &Error{Kind: Forbidden, Code: "wrong_person", Message: "You signed in at the provider as somebody else. Sign in there as the person who is signed in here."}
	ErrOwnersProvider   = &Error{Kind: Forbidden, Code: "provider_of_organization", Message: "Owners of this site, and members of other organizations, do not sign in through this organization's client at a provider. Sign in on the start page of this site first, then open the app again."}
	ErrNotRenewable     = &Error{Kind: Unauthenticated, Code: "provider_answer_invalid", Message: "What the provider sent back could not be used. Please sign in again.",
		Err: errors.New("it gave no refresh token, although offline_access was asked for: allow it there, or write \"recheck off\"")}
	ErrPasswordOff = &Error{Kind: Forbidden, Code: "password_disabled", Message: "Signing in with a password is switched off here. Use a sign-in provider."}
)
