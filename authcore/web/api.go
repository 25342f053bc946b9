package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// apiPrefix is where the JSON API is.
const apiPrefix = Prefix + "api/v1"

// serveAPI answers a request to the JSON API: on the portal, and on a host that is its own
// portal as far as the user's own account goes. All answers are JSON.
func (h *Handler) serveAPI(w http.ResponseWriter, r *http.Request, p Place, path string) error {
	if h.API == nil || p.Mode == ModeSite {
		writeProblem(w, describe(errNotFound, p.Client.RequestID), nil)
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, api.MaxBody)
	answer, err := h.API.Serve(r, path, p.Origin, func(rt *api.Route) (authcore.Actor, error) { return h.apiActor(r, p, rt) })
	var refused *tokenRefusal
	switch {
	case errors.As(err, &refused):
		h.RefuseToken(w, p, refused.err)
	case errors.Is(err, errStepUp):
		challengeStepUp(w, p, access.Need{SecondFactor: true})
	case err != nil:
		prob := describe(err, p.Client.RequestID)
		h.log(r, prob, err)
		if errors.Is(err, authcore.ErrNoSession) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+p.Host+`"`)
		}
		writeProblem(w, prob, nil)
	default:
		if answer.Replayed {
			w.Header().Set("Idempotency-Replayed", "true")
		}
		if answer.Body != nil {
			writeJSON(w, answer.Status, answer.Body)
			return nil
		}
		secureHeaders(w.Header())
		w.WriteHeader(answer.Status)
	}
	return nil
}

// tokenRefusal is why the API does not take an access token.
type tokenRefusal struct{ err *authcore.Error }

func (e *tokenRefusal) Error() string { return e.err.Message }

// apiActor tells whose a request to the API is. Changes must be from our own pages, or
// from a program that is no browser; that is looked at first.
func (h *Handler) apiActor(r *http.Request, p Place, rt *api.Route) (authcore.Actor, error) {
	if p.Mode == ModeOwn && rt.Realm != api.Account {
		return authcore.Actor{}, errNotFound
	}
	if rt.Changes() {
		if r.TLS != nil && !r.TLS.HandshakeComplete {
			return authcore.Actor{}, errTooEarly
		}
		if err := h.crossOrigin.Check(r); err != nil {
			return authcore.Actor{}, errCrossSite
		}
	}
	if rt.Realm == api.Service {
		return h.apiKey(r, p, rt)
	}
	if by := CredentialsOf(r.Header, p.Secure); by.Access != "" {
		return h.apiToken(r, p, rt, by.Access)
	}
	return h.apiSession(r, p, rt)
}

// apiToken is the user of an access token that is good for this host and path and has the
// scope of the route. As a platform owner it acts only where a scope of those says so.
func (h *Handler) apiToken(r *http.Request, p Place, rt *api.Route, token string) (authcore.Actor, error) {
	live, err := h.Check.Sessions.LookupAccessToken(r.Context(), token, h.Accounts.Now())
	if errors.Is(err, authcore.ErrNoSession) {
		return authcore.Actor{}, &tokenRefusal{notGood.err}
	}
	if err != nil {
		return authcore.Actor{}, err
	}
	grant := &live.Session.Access.Grant
	switch {
	case rt.InPerson:
		return authcore.Actor{}, errInPerson
	case !grant.Holds(p.Host, r.URL.Path):
		return authcore.Actor{}, &tokenRefusal{notGranted.err}
	case !grant.Has([]string{rt.NeedsScope()}):
		return authcore.Actor{}, &tokenRefusal{lacksScope("access token", rt.NeedsScope())}
	case rt.Realm == api.Platform && !live.User().Owner: // whom a second factor would not help
		return authcore.Actor{}, authcore.ErrNotOwner
	}
	// Without the two factors that its user had to show, a token governs no more than a
	// session without them.
	lacks := !live.Session.Access.SecondFactor
	if lacks && (live.User().NeedsFactor() || rt.Realm == api.Platform && !h.OwnersFree) {
		return authcore.Actor{}, errStepUp
	}
	ordinary := rt.Realm != api.Platform && !grant.Has([]string{api.ScopeOrganizationsManage}) || lacks && !h.OwnersFree
	return authcore.Actor{Kind: authcore.ActorToken, User: live.Session.UserID, Session: live.Session.ID, Client: p.Client, Ordinary: ordinary},
		h.Check.Sessions.Touch(r.Context(), live, h.Accounts.Now())
}

// apiSession is the user of a session. Administration asks for a second factor, as the
// pages for owners do; a change of the account, and what only owners of an organization may,
// for a proof that is fresh.
func (h *Handler) apiSession(r *http.Request, p Place, rt *api.Route) (authcore.Actor, error) {
	live, err := h.signedIn(r, p)
	if err != nil {
		return authcore.Actor{}, err
	}
	actor, lacks := h.governs(live, p, rt.Realm == api.Platform)
	switch {
	case live.Session.Act != "" && (rt.Realm == api.Platform || rt.Realm == api.Account && rt.Changes()):
		return actor, authcore.ErrImpersonating
	case rt.Realm == api.Platform && !live.User().Owner:
		return actor, authcore.ErrNotOwner
	case lacks:
		return actor, errStepUp
	case (rt.Realm == api.Account && rt.Changes() || rt.Owners) && !h.fresh(p, live):
		return actor, errProofFirst
	}
	return actor, nil
}

// apiKey is the service whose API key a request has, as X-Api-Key or Bearer, with the scope
// of the route.
func (h *Handler) apiKey(r *http.Request, p Place, rt *api.Route) (authcore.Actor, error) {
	text := r.Header.Get("X-Api-Key")
	if scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " "); text == "" && strings.EqualFold(scheme, "Bearer") {
		text = strings.TrimSpace(rest)
	}
	_, k, err := h.Accounts.ServiceByKey(r.Context(), text)
	switch {
	case errors.Is(err, authcore.ErrKeyInvalid):
		return authcore.Actor{}, &tokenRefusal{authcore.ErrKeyInvalid}
	case err != nil:
		return authcore.Actor{}, err
	case rt.Scope != "" && !k.Has(authcore.ServiceScope(rt.Scope)):
		return authcore.Actor{}, &tokenRefusal{lacksScope("API key", rt.Scope)}
	}
	return k.Actor(p.Client), nil
}

var (
	errInPerson = &authcore.Error{Kind: authcore.Forbidden, Code: "session_required", Message: "An access token is not good for that. Sign in and do it there."}
)
