package caddymodule

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// runtimeOf is a configuration joined with its core: what requests use.
type runtimeOf struct {
	app      *App
	core     *core
	accounts *authcore.Accounts
	check    *web.Check
	pages    *web.Handler
	portal   origin // the zero origin where each host is its own
	sites    []site
}

// site is an origin on which a handler of ours stands.
type site struct {
	origin
	gates  []*Gate
	portal bool
}

func newRuntime(a *App) (*runtimeOf, error) {
	accounts, err := a.core.accounts(a.values)
	if err != nil {
		return nil, err
	}
	rt := &runtimeOf{app: a, core: a.core, accounts: accounts,
		check: &web.Check{Sessions: a.core.sessions, Idle: a.values.lifetime.Idle}}
	if err := rt.findSites(); err != nil {
		return nil, err
	}
	rt.pages = (&web.Handler{Accounts: accounts, Check: rt.check, Flows: a.core.key.NewSealer("sign-in flow", time.Now),
		KnownOrigin: rt.knownOrigin, Apps: rt.apps, Ready: a.core.db.Ping, Brand: "Gatehouse", Log: slog.New(a.ctx.Slogger().Handler())}).Init()
	return rt, nil
}

// findSites walks the HTTP app for our handlers and the hosts they stand on: the
// hosts that configuration names are our own, and no others.
func (rt *runtimeOf) findSites() error {
	v := rt.app.values
	if v.portal != "" {
		var err error
		if rt.portal, err = parseOrigin(v.portal); err != nil {
			return err
		}
	}
	app, err := rt.app.ctx.AppIfConfigured("http")
	if err != nil {
		return nil // no sites at all: the command line and the admin endpoint still work
	}
	httpApp := app.(*caddyhttp.App)
	for _, name := range sortedKeys(httpApp.Servers) {
		w := walker{rt: rt, http: httpApp, server: httpApp.Servers[name], seen: make(map[*caddyhttp.Route]bool)}
		w.routes(w.server.Routes, nil)
		if w.err != nil {
			return w.err
		}
	}
	rt.adoptPortal()
	return rt.checkSites()
}

// adoptPortal takes scheme and port of the portal from the site that serves it,
// where the setting is a bare host name.
func (rt *runtimeOf) adoptPortal() {
	if rt.portal.host == "" || strings.Contains(rt.app.values.portal, "://") {
		return
	}
	for _, s := range rt.sites {
		if s.portal && s.host == rt.portal.host && (rt.portal.port == 0 || s.port == rt.portal.port) {
			rt.portal = s.origin
			return
		}
	}
}

func (rt *runtimeOf) checkSites() error {
	for _, s := range rt.sites {
		switch {
		case s.host == "" && rt.portal.host == "":
			return fmt.Errorf("%s: a catch-all site needs a portal: add \"portal HOST\" to the global option gate, or name the site's hosts", s.where())
		case s.portal && s.host == "":
			return fmt.Errorf("gate_portal needs a site with a host name")
		case s.portal && s.origin != rt.portal:
			return fmt.Errorf("gate_portal stands on %s, but the portal is %s: make the two the same", s.origin, rt.portal)
		case !s.secure && s.host != "" && !loopback(strings.TrimPrefix(s.host, "*.")):
			return fmt.Errorf("%s: %s is plain HTTP, over which anybody on the way can take a session: use https, "+
				"or add \"trusted_proxies\" for the proxy in front that does", s.where(), s.host)
		}
	}
	return nil
}

// where names the first gate of a site for an error.
func (s *site) where() string {
	for _, g := range s.gates {
		if g.Source != "" {
			return g.Source
		}
	}
	return "gate"
}

// walker gathers the sites of one server.
type walker struct {
	rt     *runtimeOf
	http   *caddyhttp.App
	server *caddyhttp.Server
	seen   map[*caddyhttp.Route]bool
	err    error
}

func (w *walker) routes(routes caddyhttp.RouteList, hosts []string) {
	for i := range routes {
		r := &routes[i]
		inner := hostsOf(r.MatcherSets, hosts)
		for _, h := range r.Handlers {
			switch h := h.(type) {
			case *Gate:
				w.add(inner, h)
			case *Portal:
				w.add(inner, nil)
			case *caddyhttp.Subroute:
				w.routes(h.Routes, inner)
			case *caddyhttp.Invoke:
				if named := w.server.NamedRoutes[h.Name]; named != nil && !w.seen[named] {
					w.seen[named] = true
					w.routes(caddyhttp.RouteList{*named}, inner)
					w.seen[named] = false
				}
			}
		}
	}
}

// hostsOf gives the hosts that a route's matchers name, or those from outside.
func hostsOf(sets caddyhttp.MatcherSets, outer []string) []string {
	var hosts []string
	for _, set := range sets {
		for _, m := range set {
			switch m := m.(type) {
			case caddyhttp.MatchHost:
				hosts = append(hosts, m...)
			case *caddyhttp.MatchHost:
				hosts = append(hosts, *m...)
			}
		}
	}
	if hosts == nil {
		return outer
	}
	return hosts
}

// add notes that a gate, or the portal where it is nil, stands on hosts, at each
// address that the server listens on.
func (w *walker) add(hosts []string, g *Gate) {
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	for _, o := range w.listens() {
		for _, host := range hosts {
			at := newOrigin(o.secure || w.offloaded(host), host, o.port)
			if w.offloaded(host) && !o.secure {
				at.port = 0
			}
			w.rt.site(at, g)
		}
	}
}

// listens gives scheme and port of each listener.
func (w *walker) listens() []origin {
	httpPort := w.http.HTTPPort
	if httpPort == 0 {
		httpPort = caddyhttp.DefaultHTTPPort
	}
	var all []origin
	for _, text := range w.server.Listen {
		addr, err := parseListen(text)
		if err != nil {
			w.err = err
			return nil
		}
		for port := addr.StartPort; port <= addr.EndPort; port++ {
			secure := len(w.server.TLSConnPolicies) > 0 && int(port) != httpPort
			all = append(all, origin{secure: secure, port: int(port)})
		}
	}
	return all
}

// offloaded tells whether a plain-HTTP host is served behind proxies that speak
// HTTPS to browsers.
func (w *walker) offloaded(host string) bool {
	return !loopback(strings.TrimPrefix(host, "*.")) && (len(w.rt.app.values.trusted) > 0 || w.server.TrustedProxiesRaw != nil)
}

func (rt *runtimeOf) site(o origin, g *Gate) {
	i := slices.IndexFunc(rt.sites, func(s site) bool { return s.origin == o })
	if i < 0 {
		rt.sites = append(rt.sites, site{origin: o})
		i = len(rt.sites) - 1
	}
	if g == nil {
		rt.sites[i].portal = true
	} else if !slices.Contains(rt.sites[i].gates, g) {
		rt.sites[i].gates = append(rt.sites[i].gates, g)
	}
}

// originOf gives the configured origin that a host is served under; the port of
// the Host header only chooses among those that are configured.
func (rt *runtimeOf) originOf(secure bool, hostport string) (origin, bool) {
	host, port := strings.ToLower(web.Hostname(hostport)), portOf(hostport)
	var found []origin
	for _, s := range rt.sites {
		if s.secure == secure && s.host != "" && matches(s.host, host) {
			if o := s.with(host); newOrigin(secure, host, port) == o {
				return o, true
			} else {
				found = append(found, o)
			}
		}
	}
	if len(found) == 0 {
		return origin{}, false
	}
	return found[0], true
}

// knownOrigin tells whether text is the origin of a gated host.
func (rt *runtimeOf) knownOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	o, ok := rt.originOf(u.Scheme == "https", u.Host)
	return ok && o.String() == text
}

// pagesOrigin is where the pages are that make the first owner.
func (rt *runtimeOf) pagesOrigin() string {
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
func (rt *runtimeOf) apps(live *authcore.Live) []web.App {
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

// admits tells whether a user may open the start page of a gate's site.
func (g *Gate) admits(live *authcore.Live) bool {
	d := g.policy.Decide(&access.Request{Method: "GET", Path: "/"}, &live.Prepared().(*web.Known).Identity)
	return d.Outcome == access.Allow
}

// use counts a request to our own pages, so that the core waits for it.
func (c *core) use() (done func()) {
	c.busy.Add(1)
	return func() { c.busy.Add(-1) }
}
