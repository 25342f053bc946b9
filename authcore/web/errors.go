package web

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// statusOf is the one table from kind of error to HTTP status.
var statusOf = map[authcore.Kind]int{
	authcore.Internal:        http.StatusInternalServerError,
	authcore.Invalid:         http.StatusBadRequest,
	authcore.Unauthenticated: http.StatusUnauthorized,
	authcore.Forbidden:       http.StatusForbidden,
	authcore.NotFound:        http.StatusNotFound,
	authcore.Conflict:        http.StatusConflict,
	authcore.TooMany:         http.StatusTooManyRequests,
	authcore.Unavailable:     http.StatusServiceUnavailable,
}

// httpError is an error of the protocol rather than of the accounts.
type httpError struct {
	status  int
	code    string
	message string
	allow   string // for 405
}

func (e *httpError) Error() string { return e.message }

var (
	errNotFound    = &httpError{status: 404, code: "not_found", message: "There is nothing at this address."}
	errBadPath     = &httpError{status: 400, code: "bad_path", message: "This address is not written in its plain form."}
	errCrossSite   = &httpError{status: 403, code: "cross_site", message: "This request came from another site. Open the page here and try again."}
	errTooLarge    = &httpError{status: 413, code: "body_too_large", message: "That is more than this form takes."}
	errContentType = &httpError{status: 415, code: "content_type", message: "Send a form (application/x-www-form-urlencoded) or JSON (application/json)."}
	errBadBody     = &httpError{status: 400, code: "bad_body", message: "The body could not be read as what its Content-Type says."}
	errTooEarly    = &httpError{status: 425, code: "too_early", message: "Please send this again once the connection is established."}
)

// problem is an error as it is shown.
type problem struct {
	Status     int    `json:"-"`
	Code       string `json:"code"`
	Message    string `json:"message"`
	RequestID  string `json:"request_id,omitempty"`
	Field      string `json:"field,omitempty"`
	retryAfter int
	allow      string
}

// describe turns any error into what may be shown. What nobody sorted is
// shown as an internal error, without its text.
func describe(err error, requestID string) problem {
	var he *httpError
	if errors.As(err, &he) {
		return problem{Status: he.status, Code: he.code, Message: he.message, RequestID: requestID, allow: he.allow}
	}
	var refusal *api.Refusal
	if errors.As(err, &refusal) {
		return problem{Status: refusal.Status, Code: refusal.Code, Message: refusal.Message, RequestID: requestID, allow: refusal.Allow}
	}
	var ae *authcore.Error
	if errors.As(err, &ae) && ae.Kind != authcore.Internal {
		return problem{Status: statusOf[ae.Kind], Code: ae.Code, Message: ae.Message, Field: ae.Field,
			RequestID: requestID, retryAfter: int(math.Ceil(ae.RetryAfter.Seconds()))}
	}
	return problem{Status: http.StatusInternalServerError, Code: "internal", RequestID: requestID,
		Message: "Something went wrong on our side. It has been noted."}
}

// headers sets what belongs to the status.
func (p problem) headers(h http.Header) {
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
}

func writeProblem(w http.ResponseWriter, p problem, more map[string]any) {
	body := map[string]any{"error": p}
	for k, v := range more {
		body[k] = v
	}
	p.headers(w.Header())
	writeJSON(w, p.Status, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	secureHeaders(w.Header())
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the status is out; a lost client is all that can fail
}

// Starting answers a request that comes before the gate is ready.
func Starting(w http.ResponseWriter) {
	writeProblem(w, problem{Status: http.StatusServiceUnavailable, Code: "starting", retryAfter: 1,
		Message: "The sign-in service is starting. Please try again in a moment."}, nil)
}

// inField moves an error from the field that the accounts name to the one that
// the form has.
func inField(err error, from, to string) error {
	var e *authcore.Error
	if errors.As(err, &e) && e.Field == from {
		moved := *e
		moved.Field = to
		return &moved
	}
	return err
}

// Errors for requests that stand where no session can be.
var (
	// ErrInsecure: plain HTTP on a host that is not loopback.
	ErrInsecure error = &httpError{status: 403, code: "https_required", message: "Sign-in needs HTTPS. Open this page with https://."}
	// ErrNotTrusted: a question from an address that may not ask.
	ErrNotTrusted error = &httpError{status: 403, code: "not_trusted", message: "Only proxies that trusted_proxies names may ask here."}
	// ErrNotFound: no address of ours.
	ErrNotFound error = errNotFound
	// ErrNoRoute: a page of ours, asked for through the verifier.
	ErrNoRoute error = &httpError{status: 403, code: "gate_route_missing",
		message: "The proxy must send /.gate/ of this host to the site with gate_verify."}
	// ErrUnknownHost: a host that no site names.
	ErrUnknownHost error = &httpError{status: 403, code: "unknown_host",
		message: "This host is not named in the configuration, so nobody can sign in on it."}
)
