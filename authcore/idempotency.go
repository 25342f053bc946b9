package authcore

import (
	"context"
	"time"
)

// Claim is a request to create something that names itself by an idempotency key: while
// it is kept, the same request gets the same answer, and creates nothing again.
type Claim struct {
	ID        TokenHash // of the key, its actor and what is created where
	Body      TokenHash // of the request
	Holder    string    // a UUIDv7: which of several equal requests does it
	Answer    string    // sealed, for answers hold secrets; empty while it is being done
	CreatedAt time.Time
	ExpiresAt time.Time
}

// ClaimLife is how long an idempotency key counts.
const ClaimLife = 24 * time.Hour

// NewClaim makes a claim of now.
func NewClaim(id, body TokenHash, now time.Time) Claim {
	return Claim{ID: id, Body: body, Holder: newID(), CreatedAt: now, ExpiresAt: now.Add(ClaimLife)}
}

// ClaimStore keeps claims.
type ClaimStore interface {
	// TakeClaim keeps a claim, unless one with its ID is kept that has not ended: it gives
	// the one that is kept, which is the caller's own where the Holder is.
	TakeClaim(ctx context.Context, c Claim) (Claim, error)
	// AnswerClaim writes the answer of a claim that was taken.
	AnswerClaim(ctx context.Context, c Claim) error
	// DropClaim forgets a claim that was taken: nothing was created.
	DropClaim(ctx context.Context, c Claim) error
}

// The errors of idempotency keys.
var (
	ErrKeyReused = &Error{Kind: Conflict, Code: "idempotency_key_reused", Message: "This Idempotency-Key was sent with another request before. Take a new one for each thing to create."}
	ErrKeyInUse  = &Error{Kind: Conflict, Code: "idempotency_in_progress", Message: "A request with this Idempotency-Key is under way, or broke off. Try again in a moment; if this stays, look whether it was created.", RetryAfter: time.Second}
	ErrKeyBad    = &Error{Kind: Invalid, Code: "idempotency_key_invalid", Message: "An Idempotency-Key has 1 to 128 printable ASCII characters."}
)
