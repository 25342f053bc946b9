package caddymodule

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// site is an origin on which a handler of ours stands.
type site struct {
	origin
	gates  []*Gate
	portal bool
	whole  bool // some handler of ours sees every path of the site
}

// findSites walks the HTTP app for our handlers and the hosts they stand on: the
// hosts that configuration names are our own, and no others.
func (rt *instance) findSites() error {
	rt.portal, rt.managed = rt.app.values.portal, make(web.Managed)
	app, err := rt.app.ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil // no sites at all: the command line and the admin endpoint still work
	}
	if err != nil {
		return err
	}
	httpApp := app.(*caddyhttp.App)
	for _, name := range sortedKeys(httpApp.Servers) {
		w := walker{rt: rt, http: httpApp, server: httpApp.Servers[name], seen: make(map[*caddyhttp.Route]bool)}
		w.routes(w.server.Routes, nil)
		if w.found && w.server.TrustedProxiesRaw != nil && w.server.TrustedProxiesStrict == 0 {
			w.err = errors.New("with trusted_proxies in servers, Caddy believes the first address in X-Forwarded-For, which any client can write: " +
				"add trusted_proxies_strict beside it")
		}
		if w.err != nil {
			return w.err
		}
	}
	rt.adoptPortal()
	return rt.checkSites()
}

// adoptPortal takes scheme and port of the portal from the site that serves it,
// where the setting is a bare host name.
func (rt *instance) adoptPortal() {
	if rt.portal.host == "" || rt.app.values.portalIsURL {
		return
	}
	for _, s := range rt.sites {
		if s.portal && s.host == rt.portal.host && (rt.portal.port == 0 || s.port == rt.portal.port) {
			rt.portal = s.origin
			return
		}
	}
}

func (rt *instance) checkSites() error {
	if rt.portal.host != "" && !slices.ContainsFunc(rt.sites, func(s site) bool { return s.portal }) && len(rt.sites) > 0 {
		return fmt.Errorf("the portal is %s, but no site serves it: add %s { gate_portal }", rt.portal, rt.portal.host)
	}
	for _, s := range rt.sites {
		switch {
		case s.host == "" && rt.portal.host == "":
			return fmt.Errorf("%s: a catch-all site needs a portal: add \"portal HOST\" to the global option gate, or name the site's hosts", s.where())
		case !s.whole:
			return fmt.Errorf("%s: the gate stands inside a block for some paths, so that sign-in under %s cannot reach it, "+
				"and what serves the other paths would see its cookie: put \"gate PATH\" beside the block", s.where(), web.Prefix)
		case s.portal && len(s.gates) > 0:
			return fmt.Errorf("%s: gate and gate_portal stand on one host: give the portal a host of its own", s.where())
		case s.portal && s.host == "":
			return fmt.Errorf("gate_portal needs a site with a host name")
		case s.portal && s.origin != rt.portal:
			return fmt.Errorf("gate_portal stands on %s, but the global option gate says that the portal is %s: make the two the same", s.origin, rt.portal)
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
	nested bool // under a path matcher that leaves /.gate/ out
	found  bool // something of ours
	rt     *instance
	http   *caddyhttp.App
	server *caddyhttp.Server
	seen   map[*caddyhttp.Route]bool
	err    error
}

func (w *walker) routes(routes caddyhttp.RouteList, hosts []string) {
	for i := range routes {
		r := &routes[i]
		inner := hostsOf(r.MatcherSets, hosts)
		outside := w.nested
		w.nested = outside || leavesOut(r.MatcherSets)
		for _, h := range r.Handlers {
			switch h := h.(type) {
			case *Gate:
				w.add(inner, h)
			case *Portal:
				w.add(inner, nil)
			case *Verify:
				w.found = true
				for _, v := range h.hosts {
					w.rt.site(v.origin, v.gate, true)
				}
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
		w.nested = outside
	}
}

// leavesOut tells whether a route's path matchers keep our own paths from it.
func leavesOut(sets caddyhttp.MatcherSets) bool {
	for _, set := range sets {
		covered := true
		for _, m := range set {
			switch m := m.(type) {
			case caddyhttp.MatchPath:
				covered = covered && coversOurs(m)
			case *caddyhttp.MatchPath:
				covered = covered && coversOurs(*m)
			}
		}
		if covered {
			return false
		}
	}
	return len(sets) > 0
}

func coversOurs(patterns caddyhttp.MatchPath) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, wild := strings.CutSuffix(p, "*")
		return wild && strings.HasPrefix(web.Prefix, prefix)
	})
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
	w.found = true
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	for _, o := range w.listens() {
		for _, host := range hosts {
			at := newOrigin(o.secure || w.offloaded(host), host, o.port)
			if w.offloaded(host) && !o.secure {
				at.port = 0
			}
			w.rt.site(at, g, !w.nested)
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
		addr, err := caddy.ParseNetworkAddress(text)
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

func (rt *instance) site(o origin, g *Gate, whole bool) {
	i := slices.IndexFunc(rt.sites, func(s site) bool { return s.origin == o })
	if i < 0 {
		rt.sites = append(rt.sites, site{origin: o})
		i = len(rt.sites) - 1
	}
	if g == nil {
		rt.sites[i].portal = true
	}
	if whole {
		rt.sites[i].whole = true
	}
	if g != nil && (g.Headers.own() || g.PassToken.Provider != "") {
		rt.managed.Add(g.preset)
	}
	if g != nil && !slices.Contains(rt.sites[i].gates, g) {
		rt.sites[i].gates = append(rt.sites[i].gates, g)
	}
}

// originOf gives the configured origin that a host is served under; the port of
// the Host header only chooses among those that are configured.
func (rt *instance) originOf(secure bool, hostport string) (origin, bool) {
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

// organizationOf gives the slug of the organization whose members all gates of a host let in,
// and nobody else; empty for none.
func (rt *instance) organizationOf(host string) string {
	slug := ""
	for _, s := range rt.sites {
		if s.host == "" || !matches(s.host, host) {
			continue
		}
		for _, g := range s.gates {
			one := g.policy.Organization()
			if one == "" || slug != "" && slug != one {
				return ""
			}
			slug = one
		}
	}
	return slug
}

// knownOrigin tells whether text is the origin of a gated host.
func (rt *instance) knownOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	o, ok := rt.originOf(u.Scheme == "https", u.Host)
	return ok && o.String() == text
}
