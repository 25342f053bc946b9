package authcore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// PasskeyID is the SHA-256 of a credential's id, in hex.
type PasskeyID string

// PasskeyIDOf gives the id under which the credential with an authenticator's id is kept.
func PasskeyIDOf(credential []byte) PasskeyID {
	sum := sha256.Sum256(credential)
	return PasskeyID(hex.EncodeToString(sum[:]))
}

// Passkey is a discoverable WebAuthn credential of a user (Web Authentication Level 3,
// section 4, "credential record").
type Passkey struct {
	ID             PasskeyID
	User           UserID
	Domain         string   // the relying party id
	Name           string   // as the person calls it
	Credential     []byte   // the id that the authenticator chose; at most 1023 bytes
	PublicKey      []byte   // COSE_Key
	SignCount      uint32   // of the authenticator; 0 where it counts nothing
	BackupEligible bool     // it may be synchronised to other devices
	BackedUp       bool     // and was
	Transports     []string // by which the authenticator is reached
	CreatedAt      time.Time
	UsedAt         time.Time
}

// amr says how somebody is proven by the passkey, who was verified by it (RFC 8176).
func (p *Passkey) amr() []string {
	if p.BackupEligible {
		return []string{"swk", "mfa"}
	}
	return []string{"hwk", "mfa"}
}

// PasskeyUse is one proof by a passkey, whose signature was checked. The passkey is as
// it is after it.
type PasskeyUse struct {
	Passkey Passkey
	Once    Code // of the challenge
}

// NewPasskeyUser is a user whose first credential is a passkey.
type NewPasskeyUser struct {
	User    User
	Passkey Passkey
	Once    Code       // of the challenge
	Setup   *TokenHash // for the first owner
	Invite  *TokenHash // where one is needed
	Session Session
	Token   TokenHash
	Created Event // of the user
	Began   Event // of the session
}

// MaxPasskeys is how many passkeys one user may have.
const MaxPasskeys = 20

// PasskeyStore keeps passkeys.
type PasskeyStore interface {
	// Passkeys lists the passkeys of a user, the oldest first.
	Passkeys(ctx context.Context, user UserID) ([]Passkey, error)
	// PasskeyByID finds a passkey, or returns ErrPasskeyWrong.
	PasskeyByID(ctx context.Context, id PasskeyID) (Passkey, error)
	// CreatePasskeyUser adds a user with a passkey and a first session. The errors are
	// those of CreateUser and CreateFirstOwner, and of AddPasskey.
	CreatePasskeyUser(ctx context.Context, n NewPasskeyUser, post ...Post) error
	// AddPasskey adds a passkey to an active user with a root session, else
	// ErrSessionNotFound: ErrCodeInvalid for a challenge that was used before,
	// ErrPasskeyExists, ErrTooManyPasskeys.
	AddPasskey(ctx context.Context, p Passkey, root SessionID, once Code, ev Event, post ...Post) error
	// RenamePasskey changes what a passkey of a user is called, or returns ErrPasskeyNotFound.
	RenamePasskey(ctx context.Context, id PasskeyID, user UserID, name string, ev Event) error
	// RemovePasskey takes a passkey from a user: ErrPasskeyNotFound; ErrLastWayIn where
	// the user could not sign in any more, for which only ways count. The sessions of the root keep are as if they had not been proven by a passkey;
	// all others of the user end.
	RemovePasskey(ctx context.Context, id PasskeyID, user UserID, keep SessionID, ways Ways, ev Event, post ...Post) error
	// SignInWithPasskey adds a root session of an active user, else ErrLoginFailed, who
	// has the passkey: ErrPasskeyWrong, also where its counter went back; ErrCodeInvalid
	// for a challenge that was used before.
	SignInWithPasskey(ctx context.Context, use PasskeyUse, s Session, token TokenHash, ev Event) error
	// ProvePasskey makes all sessions of a root of the user as if they were proven by the
	// passkey at a time: ErrSessionNotFound, ErrPasskeyWrong, ErrCodeInvalid.
	ProvePasskey(ctx context.Context, use PasskeyUse, root SessionID, amr []string, at time.Time, ev Event) error
	// RemovePassword takes the password from a user who has a passkey: ErrNoPassword,
	// ErrLastWayIn. All sessions but those of the root keep end.
	RemovePassword(ctx context.Context, user UserID, keep SessionID, ev Event, post ...Post) error
}

// The errors of passkeys.
var (
	ErrPasskeyWrong = &Error{Kind: Unauthenticated, Code: "passkey_wrong",
		Message: "That passkey did not sign you in. Try again, or use another way."}
	ErrPasskeyOld      = &Error{Kind: Unauthenticated, Code: "passkey_too_late", Message: "That took too long, or was used already. Please try again."}
	ErrPasskeyRefused  = &Error{Kind: Invalid, Code: "passkey_refused", Message: "That passkey could not be set up. Try again, or use another device."}
	ErrPasskeyNotFound = &Error{Kind: NotFound, Code: "passkey_not_found", Message: "There is no such passkey on this account."}
	ErrPasskeyExists   = &Error{Kind: Conflict, Code: "passkey_exists", Message: "This passkey is set up already."}
	ErrTooManyPasskeys = &Error{Kind: Conflict, Code: "too_many_passkeys", Message: "There are 20 passkeys on this account. Remove one first."}
	ErrPasskeysOff     = &Error{Kind: Forbidden, Code: "passkeys_disabled", Message: "Passkeys cannot be used here."}
	ErrPasskeyFirst    = &Error{Kind: Forbidden, Code: "passkey_required",
		Message: "Confirm with your passkey first: that shows that you can sign in with it."}
	ErrNoPassword = &Error{Kind: NotFound, Code: "password_not_found", Message: "There is no password on this account."}
)
