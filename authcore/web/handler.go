package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
	"github.com/gatehouse-auth/gatehouse/authcore/passkey"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// App is a gated site as the account page lists it.
type App struct{ Name, URL string }

// Handler serves everything under /.gate/.
type Handler struct {
	Seals
	Accounts    *authcore.Accounts
	Check       *Check
	KnownOrigin func(origin string) bool        // tells whether an origin is a gated host of ours
	Apps        func(live *authcore.Live) []App // the gated sites that a user may open
	Passkeys    passkey.Settings
	OwnersFree  bool               // the pages for owners ask for no second factor
	Tokens      bool               // some policy accepts access tokens
	Keys        *authcore.Keys     // what assertions are signed with
	OAuth       *oidcop.Provider   // for the services of organizations; nil for none
	Providers   *connect.Providers // to sign in with; nil for none
	Broker      *connect.Broker    // of tokens that providers issued
	API         *api.Server        // nil for none
	Explain     func(Question) (Explanation, error)
	Ready       func(ctx context.Context) error // nil when the database answers
	Brand       string                          // shown on every page
	Log         *slog.Logger

	crossOrigin http.CrossOriginProtection
}

// Serve answers a request under Prefix.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, p Place) {
	if err := h.dispatch(w, r, p); err != nil {
		h.Fail(w, r, p, nil, err)
	}
}

func (h *Handler) dispatch(w http.ResponseWriter, r *http.Request, p Place) error {
	ours, plain := Ours(r.URL.Path)
	switch {
	case !ours:
		return errNotFound
	case !plain || r.URL.RawPath != "":
		return errBadPath
	}
	if answer := h.program(r.URL.Path, p); answer != nil {
		return h.serveProgram(w, r, p, answer)
	}
	rt, found := routeOf(strings.TrimPrefix(r.URL.Path, Prefix))
	if path, ok := strings.CutPrefix(r.URL.Path, apiPrefix); ok && !found {
		return h.serveAPI(w, r, p, path)
	}
	if !found || rt.modes&(1<<p.Mode) == 0 {
		return errNotFound
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if rt.get == nil {
			return notAllowed("POST")
		}
		return rt.get(h, w, r, p)
	}
	if r.Method != http.MethodPost || rt.post == nil {
		return notAllowed(allowed(rt))
	}
	return h.change(w, r, p, rt)
}

// change guards every endpoint that changes something: the handshake is
// complete (RFC 8470), the request is from our own pages, its body is small and of
// a known type.
func (h *Handler) change(w http.ResponseWriter, r *http.Request, p Place, rt route) error {
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		return errTooEarly
	}
	if err := h.crossOrigin.Check(r); err != nil && !rt.foreign {
		return errCrossSite
	}
	if err := parseBody(w, r, rt.lists...); err != nil {
		return err
	}
	return rt.post(h, w, r, p)
}

func notAllowed(allow string) error {
	return &httpError{status: 405, code: "method_not_allowed", message: "This address takes " + allow + " only.", allow: allow}
}

func allowed(rt route) string {
	switch {
	case rt.get == nil:
		return "POST"
	case rt.post == nil:
		return "GET, HEAD"
	}
	return "GET, HEAD, POST"
}

// maxBody is the largest form that is read, in bytes.
const maxBody = 64 << 10

// parseBody reads a form, or a flat JSON object as if it were one, into r.PostForm.
func parseBody(w http.ResponseWriter, r *http.Request, lists ...string) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return errTooLarge
		}
		return errBadBody
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case len(body) == 0 && r.Header.Get("Content-Type") == "":
		r.PostForm = url.Values{}
		return nil
	case err != nil:
		return errContentType
	case kind == "application/x-www-form-urlencoded":
		if r.PostForm, err = url.ParseQuery(string(body)); err != nil {
			return errBadBody
		}
	case kind == "application/json":
		if r.PostForm, err = jsonForm(body); err != nil {
			return errBadBody
		}
	default:
		return errContentType
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && !slices.Contains(lists, name) {
			return errBadBody // which one counts would be a guess
		}
	}
	return nil
}

// jsonForm reads a flat object of strings and booleans.
func jsonForm(body []byte) (url.Values, error) {
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, err
	}
	form := make(url.Values, len(fields))
	for name, value := range fields {
		switch v := value.(type) {
		case string:
			form.Set(name, v)
		case bool:
			if v {
				form.Set(name, "1")
			}
		case nil:
		default:
			return nil, errBadBody
		}
	}
	return form, nil
}

func isJSON(r *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "application/json"
}

// live is the session of a request on this host, or nil.
func (h *Handler) live(r *http.Request, p Place) (*authcore.Live, error) {
	live, err := h.Check.session(r.Context(), SessionToken(r.Header, p.Secure), p.Host, h.Accounts.Now())
	if live != nil {
		err = h.Check.Sessions.Touch(r.Context(), live, h.Accounts.Now())
	}
	return live, err
}

// signedIn is live, or an error where nobody is signed in.
func (h *Handler) signedIn(r *http.Request, p Place) (*authcore.Live, error) {
	live, err := h.live(r, p)
	if err == nil && live == nil {
		err = authcore.ErrNoSession
	}
	return live, err
}

// actorOf is the user of a session, acting.
func actorOf(live *authcore.Live, p Place) authcore.Actor {
	return authcore.Actor{Kind: authcore.ActorUser, User: live.Session.UserID, Session: live.Session.Root, Client: p.Client, Act: live.Session.Act}
}

func secret(r *http.Request, field string) authcore.Secret {
	return authcore.Secret(r.PostForm.Get(field))
}

// redirect sends a browser on after a form.
func redirect(w http.ResponseWriter, to string) {
	secureHeaders(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// done answers a change that worked: a redirect for a form, JSON for JSON.
func done(w http.ResponseWriter, r *http.Request, to string, body map[string]any) {
	if !isJSON(r) {
		redirect(w, to)
		return
	}
	if body == nil {
		body = map[string]any{}
	}
	body["redirect"] = to
	writeJSON(w, http.StatusOK, body)
}

// freshFor is how long after a sign-in a change on the portal needs no password.
const freshFor = 10 * time.Minute
