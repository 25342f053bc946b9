package authcore

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/limit"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// UserStore keeps users and their passwords. Every method is one transaction
// that writes its audit event along.
type UserStore interface {
	// CreateUser adds a user. It returns ErrUsernameTaken or ErrEmailTaken, and
	// where invite is not nil redeems that code or returns ErrInviteInvalid.
	// The first owner closes the setup for good.
	CreateUser(ctx context.Context, u User, hash password.Hash, invite *TokenHash, ev Event, post ...Post) error
	// CreateFirstOwner adds the first owner if the setup is open and the code is
	// good; else ErrSetupClosed or ErrSetupToken.
	CreateFirstOwner(ctx context.Context, u User, hash password.Hash, code TokenHash, ev Event) error
	// UserByLogin finds a user by the key of the username or email address,
	// with the password hash, which is empty where there is none.
	UserByLogin(ctx context.Context, key string, isEmail bool) (User, password.Hash, error)
	// UserByID finds a user and the password hash.
	UserByID(ctx context.Context, id UserID) (User, password.Hash, error)
	// ProofSince gives the time at which all earlier proofs of the password ended:
	// it was set, or all sessions of the user were revoked. It is zero where there
	// is no password, and changes with nothing else.
	ProofSince(ctx context.Context, id UserID) (time.Time, error)
	// Users lists users in the order of their username keys, after a key.
	Users(ctx context.Context, after string, limit int) ([]User, error)
	// UpdateProfile changes name and address. Another address than the user has
	// by then, whatever its case, is unverified. It returns ErrEmailTaken.
	UpdateProfile(ctx context.Context, id UserID, name, email string, ev Event, post ...Post) error
	// SetEmail changes the address alone, verified unless it is empty, and ends what
	// would verify another one. It returns ErrEmailTaken.
	SetEmail(ctx context.Context, id UserID, email string, ev Event, post ...Post) error
	// ChangeGroups puts a user into groups and takes the user out of others,
	// whatever else changes the user's groups meanwhile.
	ChangeGroups(ctx context.Context, id UserID, add, remove []string, ev Event) error
	// SetPassword replaces the hash and ends the user's sessions but for the
	// root keep, which may be empty.
	SetPassword(ctx context.Context, id UserID, hash password.Hash, keep SessionID, ev Event, post ...Post) error
	// Rehash replaces a hash by one of the same password, if it is still old.
	Rehash(ctx context.Context, id UserID, old, fresh password.Hash) error
	// SetStatus enables a user, or disables one and ends the sessions; not the
	// last active owner (ErrLastOwner).
	SetStatus(ctx context.Context, id UserID, status Status, ev Event) error
	// SetFactorRequired says whether a user needs a second factor for everything. Sessions
	// without one end where it does.
	SetFactorRequired(ctx context.Context, id UserID, required bool, ev Event) error
	// SetOrganizationOnly says whether a user belongs to organizations only.
	SetOrganizationOnly(ctx context.Context, id UserID, only bool, ev Event) error
	// SetOwner makes a user a platform owner or takes that away; not from the
	// last active one (ErrLastOwner).
	SetOwner(ctx context.Context, id UserID, owner bool, ev Event) error
}

// SessionStore keeps sessions.
type SessionStore interface {
	SessionReader
	// CreateSession adds a root session if the user is active and still has the
	// password hash that was proven; else ErrLoginFailed. A user who has a second factor
	// gets none without: ErrFactorRequired.
	CreateSession(ctx context.Context, s Session, token TokenHash, proven password.Hash, ev Event) error
	// RenewProof makes all sessions of a root of the user as if they were proven
	// at a time, if the user still has the password hash that was; else
	// ErrSessionNotFound.
	RenewProof(ctx context.Context, root SessionID, user UserID, proven password.Hash, at time.Time, ev Event) error
	// SessionsOf lists a user's sessions that have not ended, newest first.
	SessionsOf(ctx context.Context, user UserID, now time.Time) ([]Session, error)
	// RevokeSession ends the root and its children, or returns
	// ErrSessionNotFound. A user that is not empty must own it.
	RevokeSession(ctx context.Context, root SessionID, user UserID, ev Event) error
	// RevokeSessionsOf ends all sessions of a user but those under keep, and what
	// devices remember of the user (ProofSince).
	RevokeSessionsOf(ctx context.Context, user UserID, keep SessionID, ev Event) (int, error)
	// RevokeEverySession ends all sessions that began before the event.
	RevokeEverySession(ctx context.Context, ev Event) (int, error)
}

// AccessStore keeps access tokens.
type AccessStore interface {
	// CreateAccessToken adds an access token of a user who is there, else
	// ErrUserNotFound, and has fewer than MaxAccessTokens, else ErrTooManyTokens.
	CreateAccessToken(ctx context.Context, t AccessToken, hash TokenHash, ev Event, post ...Post) error
	// AccessTokens lists the access tokens of a user, or of all where user is empty,
	// in the order of their ids, after one of them. Those that expired are listed
	// until they are deleted.
	AccessTokens(ctx context.Context, user UserID, after SessionID, limit int) ([]AccessToken, error)
	// RevokeAccessToken deletes an access token, or returns ErrTokenNotFound. A user
	// that is not empty must own it.
	RevokeAccessToken(ctx context.Context, id SessionID, user UserID, ev Event) error
}

// CodeStore keeps one-time codes.
type CodeStore interface {
	// CreateCode keeps a code. ev may be nil.
	CreateCode(ctx context.Context, c Code, ev *Event) error
	// CodeValid tells whether a code could be redeemed, without redeeming it.
	CodeValid(ctx context.Context, purpose Purpose, hash TokenHash, now time.Time) (bool, error)
	// RedeemHandoff uses a handoff code up and adds the site session made from
	// it: once, for the host and browser the code is bound to, while the root
	// session lives. Else ErrCodeInvalid.
	RedeemHandoff(ctx context.Context, h Handoff, s Session, token TokenHash, ev Event) (Session, Code, error)
	// SetupClosed tells whether an owner was ever made.
	SetupClosed(ctx context.Context) (bool, error)
}

// Store is all that the account services need of a database.
type Store interface {
	UserStore
	SessionStore
	AccessStore
	CodeStore
	KeyStore
	MailStore
	IdentityStore
	FactorStore
	PasskeyStore
	DeviceStore
	DeletionStore
	ImpersonationStore
	OrganizationStore
	ListingStore
	ClaimStore
	StatisticsStore
	MemberStore
	RoleStore
	TierStore
	InvitationStore
	ServiceStore
	ServiceKeyStore
	EndUserStore
	ClientStore
	WebhookStore
	ConsentStore
	GrantStore
	GrantReader
	PushedStore
	DeviceGrantStore
	LogoutNoticeStore
}

// Recorder takes audit events that need no transaction of their own. It never
// blocks for long.
type Recorder interface {
	Record(Event)
}

// Registration says who may make an account.
type Registration string

// The ways to register.
const (
	RegisterOff    Registration = "off"
	RegisterInvite Registration = "invite"
	RegisterOpen   Registration = "open"
)

// Accounts are the services around users and their sessions.
type Accounts struct {
	Store     Store
	Sessions  *Sessions
	Passwords *password.Hasher
	Rules     password.Rules
	Register  Registration
	// Invites says that an invitation is good for something: to register, or to sign in
	// with a provider for the first time.
	Invites bool
	// OrganizationsOpen says that every user can register an organization, which then waits
	// for a platform owner.
	OrganizationsOpen bool
	// PasswordOff says that nobody signs in with a password.
	PasswordOff  bool
	PasskeysOff  bool    // nobody signs in with a passkey
	TokenSealer  *Sealer // for what providers issued
	FactorSealer *Sealer // for second factors
	ClientSealer *Sealer // for the secrets of organizations' clients at providers
	Lifetime     Lifetime
	Mail         *Mailing // nil where none is sent
	ActUntold    bool     // users are not told by mail that an owner acts as them
	Webhooking   Webhooking
	Audit        Recorder
	ByAddress    *limit.Limiter // failed proofs per client address
	ByAccount    *limit.Limiter // failed proofs per account, known or not
	ByFactor     *limit.Limiter // failed second factors per account
	ByUserCode   *limit.Limiter // wrong codes of devices per user, and per client address
	DeviceCodes  *limit.Limiter // codes that devices ask for, per client address
	TrustFor     time.Duration  // how long a trusted device is not asked for the second factor; 0: never trusted
	DeleteAfter  time.Duration  // from when a user asks for it until an account is deleted
	KeepAccounts bool           // users cannot delete theirs
	Spread       *limit.Spread  // wrong sign-ins by client address
	Notices      *limit.Limiter // audit events about refusals per client address
	Tally        *Tally         // may be nil
	Now          func() time.Time

	figures figures
}

// Ways are the ways to sign in, besides providers, that count here.
type Ways struct {
	Passwords, Passkeys bool
	Identity            bool // also the identity that ends, as it can be signed in with anew
}

func (a *Accounts) ways() Ways { return Ways{Passwords: !a.PasswordOff, Passkeys: !a.PasskeysOff} }

// event makes an event of now.
func (a *Accounts) event(actor Actor, action Action, target string, outcome Outcome, details string) Event {
	return NewEvent(a.Now(), actor, action, target, outcome, details)
}

// changed makes a change count on this node at once; others read it from the
// database.
func (a *Accounts) changed(kind ChangeKind, subject string) {
	a.Sessions.Apply(Change{Kind: kind, Subject: subject})
}
