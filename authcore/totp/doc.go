// Package totp makes and checks time-based one-time passwords (RFC 6238 over
// RFC 4226): codes of six digits, a new one every 30 seconds, HMAC with SHA-1.
// No other choice is offered, because these are the ones that every app takes.
//
// Threat model. Whoever reads a [Secret] has the second factor, so printing or
// logging one shows a placeholder; it is for the caller to encrypt it at rest.
// A code that somebody has looked over a shoulder, or on a false sign-in page,
// must not be good a second time: [Secret.Match] tells which step it matched,
// and refuses that step and all before it when it is given back (RFC 6238,
// section 5.2). That holds only where the caller stores the step with a
// condition, in one command with what the code is for. A code has a million
// values and three of them are right at any time, so the caller also limits how
// often one account may try.
package totp
