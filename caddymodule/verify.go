package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// Verify answers other proxies whether a request may pass (forward-auth): one path
// for each kind of proxy. It also serves what is under /.gate/ of the hosts that it
// answers for. Only proxies in trusted_proxies are heard.
type Verify struct {
	Hosts []VerifyHost `json:"hosts"`
	// The set of identity headers.
	Headers Headers `json:"headers,omitzero"`
	// Where the directive stands in a Caddyfile, for errors.
	Source string `json:"source,omitempty"`

	app   *App
	hosts []verified
}

// VerifyHost is a host, or all of one label below a domain, with its policy.
type VerifyHost struct {
	// A host name such as app.example.com or *.example.com, or an origin such as
	// http://app.localhost:8080.
	Host   string `json:"host"`
	Policy string `json:"policy,omitempty"`
	Source string `json:"source,omitempty"`
}

// verified is a host as requests use it; its gate is never called as a handler.
type verified struct {
	origin origin
	gate   *Gate
}

var (
	_ caddyhttp.MiddlewareHandler = (*Verify)(nil)
	_ caddy.Provisioner           = (*Verify)(nil)
)

// CaddyModule implements caddy.Module.
func (*Verify) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.gate_verify", New: func() caddy.Module { return new(Verify) }}
}

// Provision finds the app and the policies.
func (v *Verify) Provision(ctx caddy.Context) (err error) {
	if v.app, err = appOf(ctx); err != nil {
		return err
	}
	if len(v.app.values.trusted) == 0 {
		return v.wrong(v.Source, errors.New("gate_verify needs \"trusted_proxies ADDRESS…\" in the global option gate: the proxies that may ask"))
	}
	if len(v.Hosts) == 0 {
		return v.wrong(v.Source, errors.New("gate_verify answers for no host: add \"host NAME [POLICY]\""))
	}
	for _, h := range v.Hosts {
		g := &Gate{Policy: h.Policy, Headers: v.Headers, Source: h.Source, verifies: true}
		if err := g.Provision(ctx); err != nil {
			return v.wrong(h.Source, err)
		}
		o, err := parseHost(h.Host)
		if err != nil {
			return v.wrong(h.Source, fmt.Errorf("host %q: %w", h.Host, err))
		}
		for _, other := range v.hosts {
			if other.origin == o {
				return v.wrong(h.Source, fmt.Errorf("host %s is there twice", h.Host))
			}
		}
		v.hosts = append(v.hosts, verified{o, g})
	}
	return nil
}

func (v *Verify) wrong(at string, err error) error {
	if at == "" {
		return err
	}
	return fmt.Errorf("%w, at %s", err, at)
}

// find gives the host that a Host header names. An exact name goes before "*".
func (v *Verify) find(hostport string) *verified {
	host := web.Hostname(hostport)
	var found *verified
	for i := range v.hosts {
		if h := &v.hosts[i]; matches(h.origin.host, host) && (found == nil || strings.HasPrefix(found.origin.host, "*")) {
			found = h
		}
	}
	return found
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (v *Verify) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	rt, err := v.app.running()
	if err != nil {
		web.Starting(w)
		return nil
	}
	_, u := original(r)
	if !contains(rt.app.values.trusted, peer(r)) {
		rt.pages.Fail(w, r, web.Place{}, nil, web.ErrNotTrusted)
		return nil
	}
	if d := web.DialectOf(u.Path); d != nil {
		return v.verify(rt, w, r, d)
	}
	if ours, _ := web.Ours(u.Path); ours {
		if v.find(r.Host) == nil {
			rt.pages.Fail(w, r, web.Place{}, nil, web.ErrUnknownHost)
			return nil
		}
		return rt.serve(w, r, u, false)
	}
	rt.pages.Fail(w, r, web.Place{}, nil, web.ErrNotFound)
	return nil
}

// verify answers a proxy.
func (v *Verify) verify(rt *instance, w http.ResponseWriter, r *http.Request, d *web.Dialect) error {
	if d.Quiet {
		w = &quiet{ResponseWriter: w}
	}
	f, err := d.Read(r)
	if err != nil {
		rt.pages.Fail(w, r, web.Place{}, nil, err)
		return nil
	}
	h := v.find(f.Host)
	if h == nil {
		rt.pages.Fail(w, r, web.Place{}, nil, web.ErrUnknownHost)
		return nil
	}
	if ours, _ := web.Ours(f.URL.Path); ours {
		if !d.OwnPages {
			return v.fail(rt, w, r, f, web.ErrNoRoute)
		}
		through := &relayed{ResponseWriter: w}
		defer through.finish()
		return rt.serve(through, asked(r, f), f.URL, false)
	}
	req := access.Request{Method: f.Method, Path: f.URL.Path, RawPath: f.URL.RawPath}
	if h.gate.policy.NeedsAddress() {
		if from, known := rt.address(r); known {
			req.Address = from
		}
	}
	host := web.Hostname(f.Host)
	by := web.CredentialsOf(r.Header, f.Secure && !loopback(host)) // as secure says it of the request that is asked about
	verdict, err := rt.check.Judge(r.Context(), by, h.gate.door(host), time.Now(), &req)
	if err != nil {
		return v.fail(rt, w, r, f, err)
	}
	if verdict.Outcome != access.Allow {
		asked := asked(r, f)
		p := rt.place(asked, false)
		if !h.gate.policy.Observes() {
			p.Asked, p.SignInHere = true, !d.OwnPages
			rt.stop(w, asked, p, f.URL, verdict)
			return nil
		}
		rt.denied(p, verdict, f.URL, true)
	}
	if verdict.Live != nil {
		known, preset := verdict.Live.Prepared().(*web.Known), h.gate.preset.ToProxy()
		active := known.In(verdict.Organization)
		var values web.Values
		var assertion string
		if preset.Signed {
			if assertion, err = known.Assertion(rt.core.keys, active, rt.place(asked(r, f), false), verdict.Live.Session.Act, time.Now()); err != nil {
				return v.fail(rt, w, r, f, err)
			}
		}
		known.Tell(w.Header(), preset, active, &values, web.PerRequest{Assertion: assertion})
	}
	w.Header()["Cache-Control"] = noStore
	w.WriteHeader(http.StatusOK)
	return nil
}

// fail answers a proxy that its request cannot pass, for an error.
func (v *Verify) fail(rt *instance, w http.ResponseWriter, r *http.Request, f web.Forwarded, err error) error {
	asked := asked(r, f)
	rt.pages.Fail(w, asked, rt.place(asked, false), nil, err)
	return nil
}

var noStore = []string{"no-store"}

// asked is the request that a proxy asks about, as if it had come to us. It is for the
// slow path only.
func asked(r *http.Request, f web.Forwarded) *http.Request {
	a := r.Clone(r.Context())
	a.Method, a.Host, a.URL, a.RequestURI = f.Method, f.Host, f.URL, f.URI
	a.Body, a.ContentLength, a.TLS = http.NoBody, 0, nil // what the browser's connection is, the proxy says
	proto := "http"
	if f.Secure {
		proto = "https"
	}
	a.Header["X-Forwarded-Proto"] = []string{proto}
	return a
}

// quiet turns what a proxy of few words would take for an error into a refusal that
// it knows: a redirect becomes 401 with Location, everything else 403.
type quiet struct {
	http.ResponseWriter
}

// WriteHeader implements http.ResponseWriter.
func (q *quiet) WriteHeader(status int) {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status < 300:
	case status == http.StatusFound || status == http.StatusSeeOther:
		status = http.StatusUnauthorized
	default:
		status = http.StatusForbidden
	}
	q.ResponseWriter.WriteHeader(status)
}

// relayed refuses to say 2xx, which would let the request pass: what a page of ours
// has to say does not come through the verifier.
type relayed struct {
	http.ResponseWriter
	wrote, refused bool
}

// WriteHeader implements http.ResponseWriter.
func (a *relayed) WriteHeader(status int) {
	if a.wrote {
		return
	}
	a.wrote = true
	if a.refused = status < 300; !a.refused {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	h := a.ResponseWriter.Header()
	clear(h)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	a.ResponseWriter.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(a.ResponseWriter, "To see this page, let the proxy send "+web.Prefix+" of this host to the site with gate_verify.\n")
}

// Write implements http.ResponseWriter.
func (a *relayed) Write(p []byte) (int, error) {
	if a.WriteHeader(http.StatusOK); a.refused {
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}

// finish refuses where nothing was said, which would count as 200.
func (a *relayed) finish() { a.WriteHeader(http.StatusOK) }

// parseVerify reads the directive gate_verify.
func parseVerify(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // gate_verify
	v := &Verify{Source: position(h.Dispenser)}
	if h.NextArg() {
		return nil, h.Errf("gate_verify takes no argument and no matcher, not %q", h.Val())
	}
	for nesting := h.Nesting(); h.NextBlock(nesting); {
		if err := v.word(h.Dispenser); err != nil {
			return nil, err
		}
	}
	if len(v.Hosts) == 0 {
		return nil, h.Err("gate_verify answers for no host: add \"host NAME [POLICY]\" to its block")
	}
	s := globalSettings(h)
	for _, host := range v.Hosts {
		if err := s.checkPolicy(host.Policy); err != nil {
			return nil, v.wrong(host.Source, err)
		}
	}
	if len(s.TrustedProxies) == 0 {
		return nil, h.Err("gate_verify needs \"trusted_proxies ADDRESS…\" in the global option gate: the proxies that may ask")
	}
	return h.NewRoute(nil, v), nil
}

func (v *Verify) word(d *caddyfile.Dispenser) error {
	switch word := d.Val(); word {
	case "host":
		args := d.RemainingArgs()
		if len(args) < 1 || len(args) > 2 || args[0] == "" {
			return d.Errf("host takes a name such as app.example.com or *.example.com, and the name of a policy")
		}
		h := VerifyHost{Host: args[0], Source: position(d)}
		if len(args) == 2 {
			h.Policy = args[1]
		}
		if _, err := parseHost(h.Host); err != nil {
			return d.Errf("host %q: %v", h.Host, err)
		}
		v.Hosts = append(v.Hosts, h)
	case "headers":
		return v.Headers.parse(d)
	default:
		return d.Errf("unknown word %q; known here: headers, host", word)
	}
	return noBlock(d, "this line")
}
