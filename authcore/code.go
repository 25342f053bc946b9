package authcore

import "time"

// Purpose says what a one-time code is good for.
type Purpose string

// The purposes of codes.
const (
	PurposeSetup   Purpose = "setup"
	PurposeInvite  Purpose = "invite"
	PurposeHandoff Purpose = "handoff"
	PurposeRecover Purpose = "recover" // to choose a new password
	PurposeVerify  Purpose = "verify"  // to prove an address, which is its Data
	PurposeDisown  Purpose = "disown"  // to say "it wasn't me"; Data is the key of the address, and on a second line what to take away
	PurposeKeep    Purpose = "keep"    // to keep an account from being deleted
	// To sign in by mail: a link, and the digits beside it. Either ends both.
	PurposeMailLink Purpose = "mail-link"
	PurposeMailCode Purpose = "mail-code"
	// What was used once and must not be used again; nobody redeems these.
	PurposeConnect Purpose = "connect" // a sign-in with a provider
	PurposeSignOut Purpose = "signout" // a provider's word of a sign-out
	PurposePasskey Purpose = "passkey" // a challenge for a passkey
)

// Code is a one-time code. Only its hash is stored, and it is deleted by the
// command that redeems it.
type Code struct {
	Hash      TokenHash
	Purpose   Purpose
	Session   SessionID // handoff: the portal session that vouches
	User      UserID    // recover, verify: whose it is
	Host      string    // handoff: the host it is for
	Browser   string    // handoff, mail: hash of the flow cookie of the browser it is for
	Data      string    // handoff: the path and query to return to; else what it is bound to
	CreatedAt time.Time
	ExpiresAt time.Time
}
