package authcore

import (
	"context"
	"encoding/hex"
	"time"
)

// GrantTokenKind is what a token of the provider is for. It is the prefix of its text, by
// which people and scanners know it.
type GrantTokenKind string

// The kinds of tokens. The access token is the opaque one.
const (
	KindCode    GrantTokenKind = "gate_ac_"
	KindRefresh GrantTokenKind = "gate_rt_"
	KindAccess  GrantTokenKind = "gate_at_"
	KindDevice  GrantTokenKind = "gate_dc_"
	KindPushed  GrantTokenKind = "gate_pr_"
)

// New makes a token of 256 random bits, and its hash.
func (k GrantTokenKind) New() (Secret, TokenHash) { return makeChecked(string(k)) }

// Of makes the token of 256 bits.
func (k GrantTokenKind) Of(raw [32]byte) (Secret, TokenHash) { return checkedOf(string(k), raw) }

// Plausible tells whether text is written like a token of the kind, with the right checksum:
// anything else no database is asked for.
func (k GrantTokenKind) Plausible(text string) bool { return checked(text, string(k)) }

// GrantCode is an authorization code (RFC 6749 section 1.3.1). Only its hash is stored. It
// stays after it was used, so that a second use is found out.
type GrantCode struct {
	Hash        TokenHash
	Session     SessionID // of the service; its tokens are what the code brings
	Service     ServiceID
	RedirectURI string // as the request had it; empty where it had none
	Challenge   string // S256 (RFC 7636 section 4.2); empty where the service does without
	Nonce       string // for the ID token
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// RefreshToken is a refresh token (RFC 6749 section 1.5). Only its hash is stored. It stays
// after it was used, until its session ends, so that a second use is found out.
type RefreshToken struct {
	Hash      TokenHash
	Session   SessionID
	Salt      string    // with which the next one is made of it; empty until it was used
	UsedAt    time.Time // zero: not yet
	CreatedAt time.Time
	ExpiresAt time.Time
}

// GrantToken is an access token that is stored: an opaque one.
type GrantToken struct {
	Hash      TokenHash
	Session   SessionID // of the service; empty where the service acts for itself
	Service   ServiceID
	Scopes    []string
	Resources []string
	KeyHash   string // the thumbprint to which it is bound (RFC 9449); empty for none
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Granted is a session at a service with all that says whether its tokens are good, and of
// whom.
type Granted struct {
	Session      ServiceSession
	Service      Service
	Organization Organization // of the service
	User         User         // with groups and memberships
	RootSeen     time.Time    // when the portal session was last used, as the database has it; zero where it has ended
}

// GrantStore keeps what users granted to services, for the provider. Every method that
// changes something is one transaction; those with an event write it along. What ends a
// session at a service counts for its user's sessions on every node.
type GrantStore interface {
	// BeginGrant adds a session of a user at a service with the code that brings its tokens,
	// and counts the sign-in: with the errors of NoteEndUser. Where pushed is not the zero
	// hash, that pushed request is used up, or ErrGrantUsed. ErrSessionNotFound where the
	// portal session has ended, or is not of the user and of who acts as the user.
	BeginGrant(ctx context.Context, s ServiceSession, c GrantCode, pushed TokenHash, ev Event) error
	// GrantByCode finds a code that has not expired, also one that was used, with its session.
	// ErrGrantInvalid for none, or where the session has ended.
	GrantByCode(ctx context.Context, hash TokenHash, now time.Time) (GrantCode, Granted, error)
	// RedeemGrantCode uses a code up, gives its session until a time and adds the first
	// refresh token, where that is not nil, and the access token, where it is stored. A code
	// that was used before ends the session: ErrGrantUsed, with the event replay, whose time
	// is now. ErrGrantInvalid where the session has ended.
	RedeemGrantCode(ctx context.Context, hash TokenHash, until time.Time, keyHash string, refresh *RefreshToken, access *GrantToken, replay Event) error
	// GrantByRefresh finds a refresh token with its session, also one that was used;
	// ErrGrantInvalid for none, or where the session has ended.
	GrantByRefresh(ctx context.Context, hash TokenHash, now, idleSince time.Time) (RefreshToken, Granted, error)
	// RotateRefresh uses a refresh token up with a salt, adds the next one and the access
	// token, where it is stored, and gives the session until a time. ErrGrantUsed where it
	// was used meanwhile: whoever asks reads it again. ErrGrantInvalid where the session has
	// ended.
	RotateRefresh(ctx context.Context, used RefreshToken, until time.Time, next RefreshToken, access *GrantToken) error
	// AddGrantToken adds an access token that is stored: ErrServiceNotFound.
	AddGrantToken(ctx context.Context, t GrantToken) error
	// EndGrant ends a session at a service, or returns ErrSessionNotFound.
	EndGrant(ctx context.Context, service ServiceID, id SessionID, ev Event) error
	// RevokeGrantToken ends an access token of a user before its time, whether it is stored
	// or not. The user is empty where a service acts for itself.
	RevokeGrantToken(ctx context.Context, hash TokenHash, expires time.Time, user UserID, ev Event) error
}

// GrantReader finds what access tokens stand for.
type GrantReader interface {
	// GrantTokenByHash finds an access token that is stored; ErrNoSession.
	GrantTokenByHash(ctx context.Context, hash TokenHash, now time.Time) (GrantToken, error)
	// GrantBySession finds a session at a service that has not ended: itself, and unless it
	// is Offline its portal session, which must have been used after idleSince. ErrNoSession,
	// also where the user may not use the service any more.
	GrantBySession(ctx context.Context, id SessionID, now, idleSince time.Time) (Granted, error)
	// ServiceForToken finds a service with its organization; ErrNoSession where either is
	// not active.
	ServiceForToken(ctx context.Context, id ServiceID) (Service, Organization, error)
	// TokenRevoked tells whether RevokeGrantToken was called for a token.
	TokenRevoked(ctx context.Context, hash TokenHash) (bool, error)
}

// PushedRequest is an authorization request that a service has sent ahead (RFC 9126).
type PushedRequest struct {
	Hash      TokenHash
	Service   ServiceID
	Form      string // its parameters, in the form application/x-www-form-urlencoded
	ExpiresAt time.Time
}

// PushedStore keeps pushed requests.
type PushedStore interface {
	// PushRequest keeps one.
	PushRequest(ctx context.Context, p PushedRequest) error
	// PushedRequest finds one that has not expired and was not used, or returns
	// ErrGrantInvalid.
	PushedRequest(ctx context.Context, hash TokenHash, now time.Time) (PushedRequest, error)
}

// DeviceStatus is how far a device grant is.
type DeviceStatus string

// The statuses of device grants.
const (
	DeviceWaiting  DeviceStatus = "waiting"
	DeviceApproved DeviceStatus = "approved"
	DeviceDenied   DeviceStatus = "denied"
	DeviceUsed     DeviceStatus = "used"
)

// DeviceGrant is a device that waits for a user to let it in (RFC 8628). Only the hash of its
// device code is stored; the code that the user types is the beginning of that.
type DeviceGrant struct {
	Device    TokenHash // of the device code
	Service   ServiceID // empty for Gatehouse's own command line
	Scopes    []string
	Resources []string
	Address   string // of the device
	Agent     string
	Status    DeviceStatus
	User      UserID    // who approved it
	Session   SessionID // that this began; empty for the command line
	CreatedAt time.Time
	ExpiresAt time.Time
}

// DeviceKey stands for a device code where its whole hash has no room: half of that.
type DeviceKey [16]byte

// DeviceKeyOf gives the key of a device by the hash of its code.
func DeviceKeyOf(device TokenHash) DeviceKey { return DeviceKey(device[:len(DeviceKey{})]) }

// String is the subject of a ChangeDevice.
func (k DeviceKey) String() string { return hex.EncodeToString(k[:]) }

// DeviceKeyFrom reads what String wrote; the zero one for anything else.
func DeviceKeyFrom(subject string) (k DeviceKey) {
	if len(subject) == hex.EncodedLen(len(k)) {
		_, _ = hex.Decode(k[:], []byte(subject)) // nobody else writes these
	}
	return k
}

// DeviceGrantStore keeps device grants. Every method that changes something is one
// transaction; those with an event write it along.
type DeviceGrantStore interface {
	// AddDeviceGrants adds many in one transaction.
	AddDeviceGrants(ctx context.Context, all []DeviceGrant) error
	// WaitingDevice finds the one between two hashes, both included, that waits and has not
	// expired. ErrUserCodeInvalid where there is none, or more than one.
	WaitingDevice(ctx context.Context, first, last TokenHash, now time.Time) (DeviceGrant, error)
	// DeviceGrantsByCode finds those of some devices, also expired ones, in no order.
	DeviceGrantsByCode(ctx context.Context, devices []TokenHash) ([]DeviceGrant, error)
	// ApproveDevice lets a device in that waits, once: ErrUserCodeInvalid. Where session is
	// not nil it is added and the sign-in counted, with the errors of NoteEndUser;
	// ErrSessionNotFound where the portal session has ended.
	ApproveDevice(ctx context.Context, device TokenHash, user UserID, session *ServiceSession, ev Event) error
	// DenyDevice refuses a device that waits, once: ErrUserCodeInvalid.
	DenyDevice(ctx context.Context, device TokenHash, ev Event) error
	// RedeemDevice uses an approved device grant up, as RedeemGrantCode does with a code. One
	// that waits or was denied is ErrGrantInvalid.
	RedeemDevice(ctx context.Context, device TokenHash, until time.Time, keyHash string, refresh *RefreshToken, access *GrantToken, replay Event) error
	// RedeemCommandLine uses an approved device grant of the command line up and adds an
	// access token of its user: ErrGrantUsed, ErrTooManyTokens.
	RedeemCommandLine(ctx context.Context, device TokenHash, t AccessToken, hash TokenHash, ev Event, post ...Post) error
}

// LogoutNotice tells a service of a sign-out (OpenID Connect Back-Channel Logout 1.0). It is
// written by the transaction that ends the session, and deleted when the service knows.
type LogoutNotice struct {
	ID        string // UUIDv7
	Service   Service
	User      UserID
	Session   SessionID // that ended
	CreatedAt time.Time
	Tries     int
}

// LogoutNoticeStore keeps logout notices.
type LogoutNoticeStore interface {
	// LogoutNotices gives those that are due at a time, the oldest first: so many in all, and
	// of each service no more than each.
	LogoutNotices(ctx context.Context, now time.Time, each, limit int) ([]LogoutNotice, error)
	// LogoutNoticeDone deletes one; ev may be nil.
	LogoutNoticeDone(ctx context.Context, id string, ev *Event) error
	// LogoutNoticeLater puts one off until a time, after one more try; with others, those of
	// the same service that are due before as well.
	LogoutNoticeLater(ctx context.Context, n LogoutNotice, until time.Time, others bool) error
}

// The errors of grants.
var (
	ErrGrantInvalid    = &Error{Kind: Invalid, Code: "grant_invalid", Message: "This grant is not valid, or not any more."}
	ErrGrantUsed       = &Error{Kind: Conflict, Code: "grant_used", Message: "This grant was used before."}
	ErrUserCodeInvalid = &Error{Kind: NotFound, Code: "user_code_invalid", Field: "user_code", Message: "This code is not valid, or not any more. Look at the device for a new one."}
)
