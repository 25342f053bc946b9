package caddymodule

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// brand is shown on every page, and in every message.
const brand = "Gatehouse"

// instance is a configuration joined with its core: what requests use.
type instance struct {
	app      *App
	core     *core
	accounts *authcore.Accounts
	check    *web.Check
	pages    *web.Handler
	broker   *connect.Broker
	portal   origin // the zero origin where each host is its own
	sites    []site
	managed  web.Managed // header names that some gate has besides the presets'
}

func newInstance(a *App) (*instance, error) {
	accounts, err := a.core.accounts(a.values)
	if err != nil {
		return nil, err
	}
	rt := &instance{app: a, core: a.core, accounts: accounts,
		check: &web.Check{Sessions: a.core.sessions, Idle: a.values.lifetime.Idle}}
	if err := rt.findSites(); err != nil {
		return nil, err
	}
	if accounts.Mail != nil {
		accounts.Mail.Origin = rt.pagesOrigin()
	}
	if rt.signs() || rt.portal.host != "" {
		if err := a.core.keys.Want(a.ctx); err != nil { // they are read again soon
			a.core.log().Error("the signing keys cannot be read, and what needs a signature is refused", zap.Error(err))
		}
	}
	providers := a.providers.WithOwn(accounts.ClientOf)
	rt.check.Provider = rt.provider(accounts)
	rt.broker = connect.NewBroker(providers, accounts)
	rt.pages = &web.Handler{Accounts: accounts, Check: rt.check, Seals: web.NewSeals(a.core.key, time.Now), Passkeys: a.values.passkeys, OwnersFree: a.values.ownersFree, Providers: providers, Broker: rt.broker,
		KnownOrigin: rt.knownOrigin, Apps: rt.apps, Tokens: a.acceptsTokens(), Keys: a.core.keys, OAuth: rt.check.Provider, API: a.core.api(accounts, a.ctx.Slogger()), Explain: rt.explain, Ready: a.core.db.Ping, Brand: brand, Log: a.ctx.Slogger()}
	return rt, nil
}

// signs tells whether some gate tells its upstream who is there in a signed
// assertion.
func (rt *instance) signs() bool {
	return slices.ContainsFunc(rt.sites, func(s site) bool {
		return slices.ContainsFunc(s.gates, func(g *Gate) bool { return g.preset.Signed })
	})
}

// pagesOrigin is where the pages are that make the first owner.
func (rt *instance) pagesOrigin() string {
	if rt.portal.host != "" {
		return rt.portal.String()
	}
	for _, s := range rt.sites {
		if s.host != "" && !strings.HasPrefix(s.host, "*") {
			return s.origin.String()
		}
	}
	return ""
}

// apps lists the gated sites that a user may open; all of them for nil.
func (rt *instance) apps(live *authcore.Live) []web.App {
	var apps []web.App
	for _, s := range rt.sites {
		if s.host == "" || strings.HasPrefix(s.host, "*") || len(s.gates) == 0 {
			continue
		}
		if live == nil || slices.ContainsFunc(s.gates, func(g *Gate) bool { return g.admits(live) }) {
			apps = append(apps, web.App{Name: s.host, URL: s.origin.String()})
		}
	}
	return apps
}

// welcome tells whether a session may begin on this connection: over HTTPS, or
// on a loopback host.
func welcome(p web.Place) bool { return p.Secure || loopback(p.Host) }

// serve answers a request under /.gate/. Its address may hold a one-time code, so
// those that do stay out of the access log.
func (rt *instance) serve(w http.ResponseWriter, r *http.Request, u *url.URL, isPortal bool) error {
	done := rt.core.use()
	defer done()
	p := rt.place(r, isPortal)
	if holdsSecret(u) || refersToSecret(r) {
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
	if to, err := url.Parse(w.Header().Get("Location")); err != nil || holdsSecret(to) || leadsAway(u) {
		caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true) // the access log has headers of answers too
	}
	return nil
}

// leadsAway tells whether an answer at an address may lead to another site with what is
// secret.
func leadsAway(u *url.URL) bool {
	return strings.HasPrefix(u.Path, web.Prefix+"connect/") || strings.HasPrefix(u.Path, web.Prefix+"oauth/authorize") || strings.HasPrefix(u.Path, web.Prefix+"oauth/end_session")
}

// serveWellKnown answers where clients look for the provider, on the portal, and tells
// whether that is there.
func (rt *instance) serveWellKnown(w http.ResponseWriter, r *http.Request, u *url.URL) bool {
	done := rt.core.use()
	defer done()
	p := rt.place(r, true)
	if !welcome(p) || p.Origin == "" {
		return false
	}
	asked := r.Clone(r.Context())
	asked.URL = u
	return rt.pages.ServeWellKnown(w, asked, p)
}

func refersToSecret(r *http.Request) bool {
	referer := r.Header.Get("Referer")
	if !strings.Contains(referer, web.Prefix) {
		return false
	}
	u, err := url.Parse(referer)
	return err != nil || holdsSecret(u)
}

func holdsSecret(u *url.URL) bool {
	if u.RawQuery == "" {
		return false
	}
	for _, page := range []string{"callback", "setup", "register", "recover", "mail", "not-me", "keep-account", "verify-email", "connect/", "logout", "account", "oauth/", "device"} {
		if strings.HasPrefix(u.Path, web.Prefix+page) {
			return true
		}
	}
	return false
}
