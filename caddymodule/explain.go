package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// explain says what happens with a request: it follows Caddy's routes to the gates
// on the way, without calling any handler, and asks their policies.
func (rt *instance) explain(q web.Question) (web.Explanation, error) {
	if ours, _ := web.Ours(q.URL.Path); ours {
		return web.Explanation{Outcome: noGate, Notes: []string{"What is under " + web.Prefix + " is served by the gate itself, to everybody."}}, nil
	}
	gates, portal, err := rt.trace(q)
	if g := rt.verifies(q.URL); g != nil && len(gates) == 0 && !portal {
		gates = []*Gate{g}
	}
	switch {
	case err != nil:
		return web.Explanation{}, err
	case portal:
		return web.Explanation{Outcome: noGate, Notes: []string{"This is the portal: it serves its own pages."}}, nil
	case len(gates) == 0:
		return web.Explanation{Outcome: noGate, Notes: []string{"No gate stands on the way of this request, so that nobody is asked who they are."}}, nil
	}
	var e web.Explanation
	for _, g := range gates {
		if e = g.explain(q); e.Outcome != access.Allow.String() {
			break
		}
	}
	return e, nil
}

// noGate is the outcome where no gate decides.
const noGate = "no gate"

// explain says what a gate decides.
func (g *Gate) explain(q web.Question) web.Explanation {
	req := access.Request{Method: q.Method, Path: q.URL.Path, RawPath: q.URL.RawPath, Address: q.From, Proof: q.Proof}
	var id *access.Identity
	if q.User != nil && q.User.Status == authcore.Active {
		id = &web.Prepare(q.User).(*web.Known).Identity
	}
	d := g.policy.Decide(&req, id)
	e := web.Explanation{Outcome: d.Outcome.String(), Rule: d.Rule.Text, At: d.Rule.At, Policy: g.Policy, Gate: g.Source}
	note := func(format string, args ...any) { e.Notes = append(e.Notes, fmt.Sprintf(format, args...)) }
	if d.Ambiguous {
		note("Servers may take this path for another one, so that every path of the policy had to agree.")
	}
	if !q.From.IsValid() && g.policy.NeedsAddress() && d.Outcome != access.Allow {
		note("The policy looks at the client's address, and none was given.")
	}
	if d.Outcome == access.StepUp {
		note("A browser is asked for another proof and comes back; a program gets 401.")
	}
	if d.Outcome == access.SignIn {
		note("A browser is sent to the sign-in page; a program gets 401.")
	}
	if q.User != nil && q.User.Email != "" && !q.User.EmailVerified {
		note("The email address is not verified, so that no domain: rule holds.")
	}
	if q.User != nil && d.Outcome == access.Deny && len(q.User.Groups) > 0 {
		note("The user is in: %s.", strings.Join(q.User.Groups, ", "))
	}
	if d.Rule == access.RuleOrganizationOnly {
		note("The user belongs to an organization only: allow rules let in that name one of the user's, by org: or role:, and no other ones. \"caddy gate user admit %s\" changes that.", q.User.Username)
	}
	if names := g.app.values.providerNames(); q.User != nil && d.Outcome == access.Deny && q.Proof.Provider == "" && len(names) > 0 {
		note("This is for a sign-in without a provider; --provider NAME asks for one with: %s.", strings.Join(names, ", "))
	}
	if q.User != nil && q.User.Status != authcore.Active {
		note("The user is disabled, and counts as nobody.")
	}
	if g.policy.Observes() && e.Outcome != access.Allow.String() {
		note("The policy only observes: the request passes, and the audit log says what would have happened.")
	}
	return e
}

// verifies finds the gate by which gate_verify answers for a URL: the request itself
// goes to another server. An exact name goes before "*".
func (rt *instance) verifies(u *url.URL) (found *Gate) {
	want := newOrigin(u.Scheme == "https", web.Hostname(u.Host), portOf(u.Host))
	for _, s := range rt.sites {
		if !matches(s.host, want.host) || s.with(want.host) != want {
			continue
		}
		for _, g := range s.gates {
			if g.verifies && (found == nil || s.host == want.host) {
				found = g
			}
		}
	}
	return found
}

// trace finds the gates that a request meets.
func (rt *instance) trace(q web.Question) (gates []*Gate, portal bool, err error) {
	app, err := rt.app.ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	httpApp := app.(*caddyhttp.App)
	for _, name := range sortedKeys(httpApp.Servers) {
		server := httpApp.Servers[name]
		w := walker{rt: rt, http: httpApp, server: server}
		if port := portOf(q.URL.Host); !w.listensOn(q.URL.Scheme == "https", port) {
			continue
		}
		repl := caddy.NewReplacer()
		r, err := http.NewRequest(q.Method, q.URL.String(), nil)
		if err != nil {
			return nil, false, err
		}
		r.RequestURI = q.URL.RequestURI()
		r.RemoteAddr = netip.AddrPortFrom(q.From, 0).String()
		t := tracer{server: server, groups: make(map[string]bool), repl: repl,
			r: caddyhttp.PrepareRequest(r, repl, httptest.NewRecorder(), server)}
		if err := t.routes(server.Routes); err != nil {
			return nil, false, err
		}
		if t.portal || len(t.gates) > 0 {
			return t.gates, t.portal, nil
		}
	}
	return nil, false, nil
}

// listensOn tells whether a server may get a request for a scheme and port: behind
// proxies that speak HTTPS it is anything that they are told to.
func (w *walker) listensOn(secure bool, port int) bool {
	if w.offloaded("") && secure {
		return true
	}
	want := newOrigin(secure, "", port)
	return slices.ContainsFunc(w.listens(), func(o origin) bool { return newOrigin(o.secure, "", o.port) == want })
}

// tracer follows one request through the routes of a server.
type tracer struct {
	server *caddyhttp.Server
	r      *http.Request
	repl   *caddy.Replacer
	groups map[string]bool // of which a route has matched already
	gates  []*Gate
	portal bool
	done   bool // a terminal route was taken
}

func (t *tracer) routes(routes caddyhttp.RouteList) error {
	for i := range routes {
		route := &routes[i]
		if t.done || route.Group != "" && t.groups[route.Group] {
			continue
		}
		matched, err := route.MatcherSets.AnyMatchWithError(t.r)
		if err != nil {
			return err
		}
		if !matched {
			continue
		}
		if route.Group != "" {
			t.groups[route.Group] = true
		}
		for _, h := range route.Handlers {
			if err := t.handler(h); err != nil {
				return err
			}
		}
		t.done = t.done || route.Terminal
	}
	return nil
}

func (t *tracer) handler(h caddyhttp.MiddlewareHandler) error {
	switch h := h.(type) {
	case *Gate:
		return t.gate(h)
	case *Portal:
		t.portal, t.done = true, true
	case *rewrite.Rewrite:
		h.Rewrite(t.r, t.repl)
	case *caddyhttp.Subroute:
		return t.routes(h.Routes)
	case *caddyhttp.Invoke:
		if named := t.server.NamedRoutes[h.Name]; named != nil {
			return t.routes(caddyhttp.RouteList{*named})
		}
	}
	return nil
}

// gate notes a gate whose own matcher holds the request.
func (t *tracer) gate(g *Gate) error {
	_, u := original(t.r)
	if g.matches != nil && access.Canonical(u.Path, u.RawPath) {
		matched, err := g.matches.AnyMatchWithError(t.r)
		if err != nil || !matched {
			return err
		}
	}
	t.gates = append(t.gates, g)
	return nil
}
