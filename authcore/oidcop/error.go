package oidcop

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Error is an error as a standard names it, in an answer to a program or in the address to
// which a browser is led.
type Error struct {
	Code        string // e.g. "invalid_request" (RFC 6749 section 5.2)
	Description string // for developers; printable ASCII without " and \
	Status      int    // of the answer; 400 where it is 0
	Challenge   string // of WWW-Authenticate
	retryAfter  int    // seconds
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Is makes errors.Is compare by code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// The errors without more to say.
var (
	errSlowDown = &Error{Code: "slow_down", Description: "You ask too often: wait five seconds longer each time."}
	errPending  = &Error{Code: "authorization_pending", Description: "The user has not answered yet."}
	errExpired  = &Error{Code: "expired_token", Description: "The device code has expired. Ask for a new one."}
	errDenied   = &Error{Code: "access_denied", Description: "The user, or a rule, did not allow this."}
	errGrant    = &Error{Code: "invalid_grant", Description: "The grant is not valid, or not any more."}
)

func invalid(description string) *Error {
	return &Error{Code: "invalid_request", Description: description}
}

// sorted makes an error of the accounts one for a program: what the database cannot tell now
// can be asked again; what a user may not is denied.
func sorted(err error) *Error {
	var oauth *Error
	var ours *authcore.Error
	switch {
	case errors.As(err, &oauth):
		return oauth
	case !errors.As(err, &ours):
	case ours.Kind == authcore.Unavailable, ours.Kind == authcore.TooMany:
		status := http.StatusServiceUnavailable
		if ours.Kind == authcore.TooMany {
			status = http.StatusTooManyRequests
		}
		return &Error{Code: "temporarily_unavailable", Description: ours.Message, Status: status, retryAfter: max(1, int(math.Ceil(ours.RetryAfter.Seconds())))}
	case errors.Is(err, authcore.ErrGrantInvalid), errors.Is(err, authcore.ErrGrantUsed):
		return errGrant
	case ours.Kind == authcore.Forbidden, errors.Is(err, authcore.ErrTooManyTokens):
		return &Error{Code: "access_denied", Description: ours.Message}
	}
	return &Error{Code: "server_error", Description: "Something went wrong on our side. It has been noted.", Status: http.StatusInternalServerError}
}

// write answers with an error (RFC 6749 section 5.2).
func (e *Error) write(w http.ResponseWriter) {
	h := w.Header()
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	if e.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	answer(w, status, map[string]string{"error": e.Code, "error_description": e.Description})
}

// answer writes JSON that nobody keeps (RFC 6749 section 5.1).
func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	answerJSON(w, status, text)
}

func answerJSON(w http.ResponseWriter, status int, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the status is out; a lost client is all that can fail
}
