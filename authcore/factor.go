package authcore

import (
	"context"
	"time"
)

// TOTP is a user's second factor: a secret that an app has as well (RFC 6238).
type TOTP struct {
	Sealed    string // the secret, encrypted
	LastStep  int64  // of the newest code that was used: none up to it is taken again
	CreatedAt time.Time
}

// Factors are the second factors of a user.
type Factors struct {
	TOTP     *TOTP // nil for none
	Codes    int   // recovery codes that are left
	Passkeys int
	Required bool // a passkey is asked for too, where it is the only factor
}

// Has tells whether there is a second factor that a sign-in asks for. Recovery codes
// stand in for one, and are none themselves. A passkey is one to who needs one; to
// others it is another way in.
func (f Factors) Has() bool { return f.TOTP != nil || f.Required && f.Passkeys > 0 }

// LeavesAlone tells whether a password would stand alone without the TOTP, or without one
// passkey: one that is short may not.
func (f Factors) LeavesAlone(totp bool) bool {
	if totp {
		f.TOTP = nil
	} else {
		f.Passkeys--
	}
	return !f.Has()
}

// FactorUse is a proof of a second factor: a step of the TOTP, a recovery code or a
// passkey, which each count once; or a device that was trusted with one.
type FactorUse struct {
	Step    int64      // 0 for another one
	Sealed  string     // the TOTP that the step is of
	Code    *TokenHash // of a recovery code
	Passkey *PasskeyUse
	Device  *TokenHash // of a trusted device, which may be used again
	At      time.Time  // when a device is used
}

// FirstProof is what a sign-in that waits for the second factor has proven, and what must
// still be so at its end.
type FirstProof struct {
	Since  time.Time // of a password, as ProofSince has it
	Mail   string    // of a link or a code by mail: RecoveryState
	Tokens bool      // the identity had tokens: without them the provider vouches no more
}

// FactorStore keeps second factors.
type FactorStore interface {
	// Factors gives the second factors of a user.
	Factors(ctx context.Context, user UserID) (Factors, error)
	// SetTOTP gives an active user a TOTP and recovery codes in place of the TOTP that is
	// sealed so, empty for none: else ErrFactorExists. The sessions of a root of the user,
	// else ErrSessionNotFound, are as if they had been proven so from then on; all others
	// of the user end.
	SetTOTP(ctx context.Context, user UserID, t TOTP, replaces string, codes []TokenHash, root SessionID, amr []string, ev Event, post ...Post) error
	// ReplaceRecoveryCodes replaces the recovery codes of a user who has a TOTP, else
	// ErrNoFactor.
	ReplaceRecoveryCodes(ctx context.Context, user UserID, codes []TokenHash, ev Event) error
	// RemoveFactors takes the TOTP and the recovery codes from a user, or returns ErrNoFactor. The
	// sessions of a root are as if they had been proven without; all others end.
	RemoveFactors(ctx context.Context, user UserID, keep SessionID, ev Event, post ...Post) error
	// UseFactor uses a second factor up: ErrFactorWrong where it was used, or is none.
	UseFactor(ctx context.Context, user UserID, use FactorUse, ev Event) error
	// CreateProvenSession adds a root session of an active user and uses the second
	// factor up. The first proof must still be good, else ErrLoginFailed; or
	// ErrFactorWrong.
	CreateProvenSession(ctx context.Context, s Session, token TokenHash, first FirstProof, use FactorUse, ev Event) error
	// ProveFactor uses a second factor up and makes all sessions of a root of the user
	// as if they were proven with it: ErrSessionNotFound, ErrFactorWrong.
	ProveFactor(ctx context.Context, root SessionID, user UserID, amr []string, use FactorUse, ev Event) error
}

// The errors of second factors.
var (
	ErrFactorRequired = &Error{Kind: Unauthenticated, Code: "factor_required", Message: "Please enter the code of your second factor."}
	ErrFactorWrong    = &Error{Kind: Unauthenticated, Code: "factor_wrong", Field: "code",
		Message: "This code is not right, or was used already. Wait for the next one in your app."}
	ErrNoFactor     = &Error{Kind: NotFound, Code: "factor_not_found", Message: "There is no second factor on this account."}
	ErrFactorExists = &Error{Kind: Conflict, Code: "factor_exists", Message: "The second factor of this account was changed meanwhile. Load the page again."}
	ErrFactorOld    = &Error{Kind: Unauthenticated, Code: "factor_too_late", Message: "That took too long. Please sign in again."}
)

// Awaited is a sign-in whose first proof was good, and that waits for the second factor.
// It is kept nowhere: whoever shows it to the browser seals it.
type Awaited struct {
	User            UserID
	First           FirstProof
	Identity        IdentityID
	Provider        string
	ProviderSession string
	AuthTime        time.Time
	AMR             []string
	Host            string
	Also            *PendingLink // an account at a provider that is linked along with it; nil for none
}

// AwaitsFactor is the error of a sign-in that waits for the second factor. It is
// ErrFactorRequired.
type AwaitsFactor struct{ Awaited Awaited }

// Error implements error.
func (*AwaitsFactor) Error() string { return ErrFactorRequired.Message }

// Unwrap makes it ErrFactorRequired.
func (*AwaitsFactor) Unwrap() error { return ErrFactorRequired }
