package caddymodule

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// Gate checks the session before a request reaches what comes behind it, and
// tells it who is there. On every request of its site, matched or not, it deletes
// identity headers that the client sent, keeps our cookies to itself, and serves
// /.gate/.
type Gate struct {
	// The policy that decides; empty lets every user pass.
	Policy string `json:"policy,omitempty"`
	// The set of identity headers: remote (default) or none.
	Headers string `json:"headers,omitempty"`
	// Which requests are checked. Those that do not match pass unchecked.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`
	// Where the directive stands in a Caddyfile, for errors.
	Source string `json:"source,omitempty"`

	app     *App
	policy  *access.Policy
	preset  *web.Preset
	matches caddyhttp.MatcherSets
}

var (
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
	_ caddy.Provisioner           = (*Gate)(nil)
)

// CaddyModule implements caddy.Module.
func (*Gate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.gate", New: func() caddy.Module { return new(Gate) }}
}

// Provision finds the app and the policy. A gate without the global option gets
// an app with the defaults.
func (g *Gate) Provision(ctx caddy.Context) error {
	app, err := ctx.App("gate")
	if err != nil {
		return err
	}
	g.app = app.(*App)
	if g.policy, err = g.app.policy(g.Policy); err != nil {
		return err
	}
	if g.Headers == "" {
		g.Headers = web.RemotePreset.Name
	}
	if g.preset = web.Presets[g.Headers]; g.preset == nil {
		return fmt.Errorf("gate: unknown headers %q", g.Headers)
	}
	if g.MatcherSetsRaw != nil {
		mods, err := ctx.LoadModule(g, "MatcherSetsRaw")
		if err != nil {
			return fmt.Errorf("gate: its matcher cannot be loaded: %w", err)
		}
		if err := g.matches.FromInterface(mods); err != nil {
			return err
		}
	}
	return nil
}

// policy finds a policy by name. Without a name every user passes, which must
// not be where anybody can become one.
func (a *App) policy(name string) (*access.Policy, error) {
	if name == "" {
		if a.values.register == "open" {
			return nil, errOpenGate
		}
		return access.Everyone, nil
	}
	if p := a.policies[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("there is no policy %q; define it in the global option gate: policy %s { … }", name, name)
}

var errOpenGate = fmt.Errorf("with \"register open\" anybody can make an account, so a gate without a policy keeps nobody out: " +
	"name a policy, e.g. one with \"allow group:staff\"")

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	rt := g.app.runtime.Load()
	if rt == nil {
		var err error
		if rt, err = g.app.running(); err != nil {
			w.Header().Set("Retry-After", "1")
			return caddyhttp.Error(http.StatusServiceUnavailable, err)
		}
	}
	method, u := original(r)
	secure := rt.secure(r)
	vars := vars(r)
	s, _ := vars[stateVar].(*state)
	if s != nil { // another gate on the way has done the rest
		return g.pass(rt, s, w, r, method, u, next)
	}
	web.Strip(r)
	if ours, _ := web.Ours(u.Path); ours {
		return rt.serve(w, r, u, false)
	}
	s = states.Get().(*state)
	s.token = web.SessionToken(r.Header, secure)
	web.Conceal(r.Header)
	s.guard.ResponseWriter = w
	vars[stateVar] = s
	err := g.pass(rt, s, &s.guard, r, method, u, next)
	s.release(r, vars) // not after a panic: then whoever still runs keeps the state
	return err
}

// pass judges a request and lets it through, or answers it.
func (g *Gate) pass(rt *runtimeOf, s *state, w http.ResponseWriter, r *http.Request, method string, u *url.URL, next caddyhttp.Handler) error {
	if g.matches != nil {
		match, err := g.matches.AnyMatchWithError(r)
		if err != nil {
			return err
		}
		if !match {
			return next.ServeHTTP(w, r)
		}
	}
	req := access.Request{Method: method, Path: u.Path, RawPath: u.RawPath}
	if g.policy.NeedsAddress() {
		req.Address = rt.address(r)
	}
	v, err := rt.check.Judge(r.Context(), s.token, web.Hostname(r.Host), time.Now(), g.policy, &req)
	switch {
	case err != nil:
		rt.pages.Fail(unguarded(w), r, rt.place(r, false), nil, err)
		return nil
	case v.Outcome == access.Allow:
		g.tell(s, r, v)
		return next.ServeHTTP(w, r)
	}
	return g.stop(rt, unguarded(w), r, u, v)
}

// tell passes on who is there.
func (g *Gate) tell(s *state, r *http.Request, v web.Verdict) {
	if v.Live == nil {
		return
	}
	known := v.Live.Prepared().(*web.Known)
	if s.preset != nil {
		web.Untell(r.Header, s.preset)
	}
	known.Tell(r.Header, g.preset, &s.values)
	s.preset = g.preset
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(known.Placeholders)
	}
}

// stop answers a request that may not pass.
func (g *Gate) stop(rt *runtimeOf, w http.ResponseWriter, r *http.Request, u *url.URL, v web.Verdict) error {
	p := rt.place(r, false)
	switch {
	case v.Outcome == access.Deny:
		rt.pages.Refuse(w, r, p, v.Live)
	case !welcome(p):
		rt.pages.Fail(w, r, p, nil, web.ErrInsecure)
	case p.Origin == "":
		rt.pages.Fail(w, r, p, nil, web.ErrUnknownHost)
	default:
		rt.pages.RequireSignIn(w, r, p, u)
	}
	return nil
}

// welcome tells whether a session may begin on this connection: over HTTPS, or
// on a loopback host.
func welcome(p web.Place) bool { return p.Secure || loopback(p.Host) }

// unguarded gives the writer under a guard: what we answer ourselves may set our
// cookies.
func unguarded(w http.ResponseWriter) http.ResponseWriter {
	if g, ok := w.(*guard); ok {
		return g.ResponseWriter
	}
	return w
}

// serve answers a request under /.gate/. Its address may hold a one-time code, so
// those that do stay out of the access log.
func (rt *runtimeOf) serve(w http.ResponseWriter, r *http.Request, u *url.URL, isPortal bool) error {
	done := rt.core.use()
	defer done()
	p := rt.place(r, isPortal)
	if u.RawQuery != "" && holdsSecret(u) {
		caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	}
	asked := r.Clone(r.Context())
	asked.URL = u
	switch {
	case !welcome(p):
		rt.pages.Fail(w, asked, p, nil, web.ErrInsecure)
	case p.Origin == "":
		rt.pages.Fail(w, asked, p, nil, web.ErrUnknownHost)
	default:
		rt.pages.Serve(w, asked, p)
	}
	return nil
}

func holdsSecret(u *url.URL) bool {
	for _, page := range []string{"callback", "setup", "register"} {
		if strings.HasPrefix(u.Path, web.Prefix+page) {
			return true
		}
	}
	return false
}
