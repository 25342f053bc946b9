package caddymodule

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-auth/gatehouse/authcore"
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
	// The set of identity headers.
	Headers Headers `json:"headers,omitzero"`
	// The provider whose token the upstream gets.
	PassToken PassToken `json:"pass_token,omitzero"`
	// Which requests are checked. Those that do not match pass unchecked.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`
	// Where the directive stands in a Caddyfile, for errors.
	Source string `json:"source,omitempty"`

	app      *App
	policy   *access.Policy
	preset   *web.Preset
	matches  caddyhttp.MatcherSets
	verifies bool // for a verifier, which asks it about requests to other servers
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
	var err error
	if g.app, err = appOf(ctx); err != nil {
		return err
	}
	if g.policy, err = g.app.policy(g.Policy); err != nil {
		return err
	}
	if g.preset, err = g.Headers.preset(); err != nil {
		return fmt.Errorf("gate: %w", err)
	}
	if err := g.passToken(); err != nil {
		return err
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

// PassToken says which provider's token an upstream gets. The zero value is none.
type PassToken struct {
	Provider string `json:"provider"`
	// Default: X-Forwarded-Access-Token.
	Header string `json:"header,omitempty"`
}

// passToken adds the header of a provider's token to the preset.
func (g *Gate) passToken() error {
	if g.PassToken.Provider == "" {
		return nil
	}
	if err := g.app.knowsProvider(g.PassToken.Provider); err != nil {
		return fmt.Errorf("gate: pass_token: %w", err)
	}
	var err error
	if g.preset, err = g.preset.WithProviderToken(cmp.Or(g.PassToken.Header, web.ProviderTokenHeader)); err != nil {
		return fmt.Errorf("gate: pass_token: %w", err)
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	rt, err := g.app.running()
	if err != nil {
		web.Starting(w)
		return nil
	}
	method, u := original(r)
	secure := rt.secure(r)
	vars, repl := vars(r), replacer(r)
	s, _ := vars[stateVar].(*state)
	if s != nil && s.owner.Load() == repl { // another gate on the way has done the rest
		return g.judge(rt, s, w, r, method, u, next)
	}
	rt.managed.Strip(r)
	if ours, _ := web.Ours(u.Path); ours {
		return rt.serve(w, r, u, false)
	}
	s = states.Get().(*state)
	s.by = web.CredentialsOf(r.Header, secure)
	s.cookies = append(s.cookies, r.Header["Cookie"]...)
	web.HideCookies(r.Header)
	if s.by.Access != "" {
		web.HideAccessTokens(r.Header)
	}
	s.guard.ResponseWriter = w
	s.owner.Store(repl)
	vars[stateVar] = s
	err = g.judge(rt, s, &s.guard, r, method, u, next)
	s.release(r) // not after a panic: then whoever still runs keeps the state
	return err
}

// door is what a request to a host wants to pass.
func (g *Gate) door(host string) web.Door { return web.Door{Host: host, Policy: g.policy, Gate: g} }

// judge lets a request through, or answers it.
func (g *Gate) judge(rt *instance, s *state, w http.ResponseWriter, r *http.Request, method string, u *url.URL, next caddyhttp.Handler) error {
	// A path that servers read in more than one way is taken as matched: what is
	// behind us may see another path than the matcher does.
	if g.matches != nil && access.Canonical(u.Path, u.RawPath) {
		match, err := g.matches.AnyMatchWithError(r)
		if err != nil {
			return err
		}
		if !match {
			rt.check.HideIssued(r.Header, "")
			return g.pass(rt, s, w, r, web.Verdict{}, next)
		}
	}
	req := access.Request{Method: method, Path: u.Path, RawPath: u.RawPath}
	if g.policy.NeedsAddress() {
		if from, known := rt.address(r); known {
			req.Address = from
		}
	}
	v, err := rt.check.Judge(r.Context(), s.by, g.door(web.Hostname(r.Host)), time.Now(), &req)
	rt.check.HideIssued(r.Header, v.Issued)
	switch {
	case err != nil:
		s.answer(r)
		rt.pages.Fail(w, r, rt.place(r, false), nil, err)
		return nil
	case v.Outcome == access.Allow:
		if v.Live != nil && lasting(r.Header) {
			next = g.watched(rt, s.by, req, next)
		}
		return g.pass(rt, s, w, r, v, next)
	case g.policy.Observes():
		rt.denied(rt.place(r, false), v, u, true)
		return g.pass(rt, s, w, r, v, next)
	}
	s.answer(r)
	rt.stop(w, r, rt.place(r, false), u, v)
	return nil
}

// pass lets a request through and tells who is there. Where that is to be signed and
// cannot be, the request does not pass.
func (g *Gate) pass(rt *instance, s *state, w http.ResponseWriter, r *http.Request, v web.Verdict, next caddyhttp.Handler) error {
	repl := replacer(r)
	if v.Live == nil {
		if s.preset == nil && repl != nil { // no gate on the way has told of anybody
			repl.Map(web.Nobody)
		}
		return next.ServeHTTP(w, r)
	}
	known := v.Live.Prepared().(*web.Known)
	active := known.In(v.Organization)
	var made web.PerRequest
	if g.PassToken.Provider != "" && v.Live.Session.Act == "" { // it is the user's alone
		var err error
		if made.Token, err = known.ProviderToken(r.Context(), rt.broker, v.Live.Session.UserID, g.PassToken.Provider, time.Now()); err != nil {
			s.answer(r)
			rt.pages.Fail(w, r, rt.place(r, false), nil, err)
			return nil
		}
	}
	if g.preset.Signed {
		p := rt.place(r, false)
		var err error
		if made.Assertion, err = known.Assertion(rt.core.keys, active, p, v.Live.Session.Act, time.Now()); err != nil {
			s.answer(r)
			rt.pages.Fail(w, r, p, nil, err)
			return nil
		}
	}
	if s.preset != nil {
		web.Untell(r.Header, s.preset)
		if repl != nil { // what another gate on the way has mapped goes before what is mapped now
			repl.Set(web.PlaceholderOrganization, active.Organization)
			repl.Set(web.PlaceholderOrganizationRole, active.Role)
		}
	}
	known.Tell(r.Header, g.preset, active, &s.values, made)
	s.preset, s.live = g.preset, v.Live
	if repl != nil {
		repl.Map(active.Placeholders)
	}
	return next.ServeHTTP(w, r)
}

// stop answers a request that may not pass.
func (rt *instance) stop(w http.ResponseWriter, r *http.Request, p web.Place, u *url.URL, v web.Verdict) {
	if v.Outcome == access.Deny {
		rt.denied(p, v, u, false)
	}
	switch {
	case v.Token != nil:
		rt.pages.RefuseToken(w, p, v.Token)
	case v.Outcome == access.Deny:
		rt.pages.Refuse(w, r, p, v.Live)
	case !welcome(p):
		rt.pages.Fail(w, r, p, nil, web.ErrInsecure)
	case p.Origin == "":
		rt.pages.Fail(w, r, p, nil, web.ErrUnknownHost)
	case v.Outcome == access.StepUp:
		rt.pages.RequireStepUp(w, r, p, u, v.Live, v.Need)
	default:
		rt.pages.RequireSignIn(w, r, p, u, v.Tokens)
	}
}

// denied notes who was refused by which rule, or would have been where the policy
// observes.
func (rt *instance) denied(p web.Place, v web.Verdict, u *url.URL, observed bool) {
	actor, message := authcore.Anonymous(p.Client), "access denied"
	if v.Live != nil {
		actor = authcore.Actor{Kind: authcore.ActorUser, User: v.Live.Session.UserID, Session: v.Live.Session.Root, Client: p.Client, Act: v.Live.Session.Act}
		if v.Live.Session.Access != nil {
			actor.Kind = authcore.ActorToken
		}
	}
	if observed {
		message = "access would have been denied"
	}
	rt.pages.Log.Info(message, "user_id", string(actor.User), "rule", v.Rule.Text, "at", v.Rule.At, "outcome", v.Outcome.String(), "host", p.Host, "request_id", p.Client.RequestID)
	rt.accounts.Denied(actor, observed, v.Rule.Text, "url:"+p.Host+u.Path)
}

// admits tells whether a user may open the start page of a gate's site.
func (g *Gate) admits(live *authcore.Live) bool {
	d := g.policy.Decide(&access.Request{Method: "GET", Path: "/"}, &live.Prepared().(*web.Known).Identity)
	return d.Outcome >= access.StepUp
}
