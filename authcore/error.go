package authcore

import (
	"errors"
	"strings"
	"time"
)

// Kind sorts errors by what the caller can do about them. Package web maps each
// kind to one HTTP status.
type Kind uint8

// The kinds of error. The zero value is Internal: an error nobody sorted is ours.
const (
	Internal        Kind = iota // our fault
	Invalid                     // the input is wrong; Field may say where
	Unauthenticated             // nobody is signed in, or the proof is wrong
	Forbidden                   // known, but not allowed
	NotFound                    // no such thing
	Conflict                    // the name is taken, or the state has moved on
	TooMany                     // a limit is reached; RetryAfter says when to come back
	Unavailable                 // the database is away or busy
)

// Error is an error with a stable code for programs and a sentence for people.
type Error struct {
	Kind       Kind
	Code       string        // stable, snake_case, e.g. "login_failed"
	Message    string        // one plain sentence, safe to show to anybody
	Field      string        // name of the form field at fault, where there is one
	RetryAfter time.Duration // for TooMany and Unavailable
	Err        error         // the cause, for the log only
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is compare by code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// is tells whether err is e, whatever its cause.
func (e *Error) is(err error) bool { return errors.Is(err, e) }

// CauseOf gives what is behind an error of ours, for the log; else the error itself.
func CauseOf(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err
	}
	return err
}

// coded is an error for the audit log: its code, where it has one, and its cause.
func coded(err error) string {
	var e *Error
	switch {
	case !errors.As(err, &e):
		return err.Error()
	case e.Err == nil:
		return e.Code + strings.TrimPrefix(err.Error(), e.Error())
	}
	return e.Code + ": " + e.Err.Error() + strings.TrimPrefix(err.Error(), e.Error())
}

// With returns a copy of e that carries the cause err.
func (e *Error) With(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// After returns a copy of e that asks to come back after d.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// The errors that more than one place returns or tests for.
var (
	ErrLoginFailed = &Error{Kind: Unauthenticated, Code: "login_failed",
		Message: "The username or password is not right."}
	ErrLoginBusy = &Error{Kind: TooMany, Code: "login_busy",
		Message: "Many people are signing in right now. Please try again in a moment."}
	ErrTooManyAttempts = &Error{Kind: TooMany, Code: "too_many_attempts",
		Message: "There were too many attempts. Please wait a little before you try again."}
	ErrTooManySignIns = &Error{Kind: TooMany, Code: "too_many_attempts",
		Message: "There were too many attempts to sign in. Please wait a little, or use a browser that you have signed in with before."}
	ErrNoSession = &Error{Kind: Unauthenticated, Code: "login_required",
		Message: "Please sign in."}
	ErrProofRequired = &Error{Kind: Forbidden, Code: "proof_required", Field: "current_password",
		Message: "Please enter your current password to confirm this change."}
	ErrProofWrong = &Error{Kind: Forbidden, Code: "proof_required", Field: "current_password",
		Message: "The current password is not right."}
	ErrRegisterOff = &Error{Kind: Forbidden, Code: "register_disabled",
		Message: "Registration is switched off here."}
	ErrInviteInvalid = &Error{Kind: Forbidden, Code: "invitation_invalid",
		Message: "To register here you need an invitation that is valid. Ask for a new one."}
	ErrSetupClosed = &Error{Kind: Forbidden, Code: "setup_closed",
		Message: "The setup is done already. It does not open again."}
	ErrSetupToken = &Error{Kind: Forbidden, Code: "setup_token_invalid",
		Message: "This setup link is not valid. Use the newest one from the server's log."}
	ErrUserNotFound    = &Error{Kind: NotFound, Code: "user_not_found", Message: "There is no such user."}
	ErrSessionNotFound = &Error{Kind: NotFound, Code: "session_not_found",
		Message: "There is no such session."}
	ErrTokenNotFound = &Error{Kind: NotFound, Code: "token_not_found",
		Message: "There is no such access token."}
	ErrTooManyTokens = &Error{Kind: Conflict, Code: "too_many_tokens", Field: "token_name",
		Message: "This account has as many access tokens as it can have. Revoke one first."}
	ErrUsernameTaken = &Error{Kind: Conflict, Code: "username_taken", Field: "username",
		Message: "This username is taken."}
	ErrEmailTaken = &Error{Kind: Conflict, Code: "email_taken", Field: "email",
		Message: "This email address belongs to another account."}
	ErrLastOwner = &Error{Kind: Conflict, Code: "last_owner",
		Message: "This is the last active platform owner. Make another user an owner first."}
	ErrCodeInvalid = &Error{Kind: Forbidden, Code: "code_invalid",
		Message: "This link was used already, or is too old."}
	ErrUnavailable = &Error{Kind: Unavailable, Code: "database_unavailable",
		Message: "The sign-in service cannot reach its database. Please try again in a moment.", RetryAfter: 2 * time.Second}
	ErrNoSigningKey = &Error{Kind: Unavailable, Code: "signing_key_unavailable",
		Message: "The sign-in service has no key to sign with just now. Please try again in a moment.", RetryAfter: 10 * time.Second}
)
