package caddymodule

import (
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// stateVar is the request variable under which the state of a request is kept, so
// that a second gate on its way knows what the first has done.
const stateVar = "gate.state"

// state is what the gate keeps for the time of one request. It is pooled: all of
// it is reset before it serves another.
//
// The variable keeps pointing to a state after its release: when a client leaves
// early, the proxy's own goroutine may still read the variables, so that nothing
// may be written to them any more. owner tells whether the state is still this
// request's, or serves another by now.
type state struct {
	owner   atomic.Pointer[caddy.Replacer] // each request has one of its own
	by      web.Credentials
	cookies []string   // the Cookie lines as they came; its memory is kept
	values  web.Values // of identity headers; see web.Known.Tell
	preset  *web.Preset
	live    *authcore.Live // whom the last gate on the way has told of
	guard   guard
}

var states = sync.Pool{New: func() any { return new(state) }}

// vars are Caddy's variables of a request.
func vars(r *http.Request) map[string]any {
	v, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	return v
}

// replacer is Caddy's replacer of a request.
func replacer(r *http.Request) *caddy.Replacer {
	repl, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	return repl
}

// release gives a state back. What was told of the user leaves the request first:
// the access log and error routes still read its headers.
func (s *state) release(r *http.Request) {
	if s.preset != nil {
		web.Untell(r.Header, s.preset)
	}
	s.owner.Store(nil)
	clear(s.cookies)
	s.by, s.cookies, s.values, s.preset, s.live, s.guard = web.Credentials{}, s.cookies[:0], web.Values{}, nil, nil, guard{}
	states.Put(s)
}

// answer makes a request ready to be answered by ourselves: with the cookies that
// it came with, and free to set ours.
func (s *state) answer(r *http.Request) {
	if len(s.cookies) > 0 {
		r.Header["Cookie"] = slices.Clone(s.cookies)
	}
	s.guard.checked = true
}

// guard takes our cookies out of what an upstream answers.
type guard struct {
	http.ResponseWriter
	checked bool
}

func (g *guard) check() {
	if !g.checked {
		g.checked = true
		web.DropCookies(g.ResponseWriter.Header())
	}
}

// WriteHeader implements http.ResponseWriter. Informational answers are checked
// too, and do not spare the final one from it.
func (g *guard) WriteHeader(status int) {
	g.check()
	g.checked = status >= 200 || status == http.StatusSwitchingProtocols
	g.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (g *guard) Write(p []byte) (int, error) {
	g.check()
	return g.ResponseWriter.Write(p)
}

// ReadFrom lets the connection copy a body without a buffer of ours.
func (g *guard) ReadFrom(r io.Reader) (int64, error) {
	g.check()
	return io.Copy(g.ResponseWriter, r)
}

// FlushError implements what http.ResponseController looks for.
func (g *guard) FlushError() error {
	g.check()
	return http.NewResponseController(g.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the rest.
func (g *guard) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// original gives method and address of the request as the client sent it, before
// any rewrite. It does not hand out the request itself, which would escape.
func original(r *http.Request) (method string, u *url.URL) {
	if o, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return o.Method, o.URL
	}
	return r.Method, r.URL
}

// secure tells whether the browser's connection is HTTPS: because ours is, or
// because a trusted proxy says so.
func (rt *instance) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	return rt.trusts(r) && !loopback(web.Hostname(r.Host)) && r.Header.Get("X-Forwarded-Proto") == "https"
}

// trusts tells whether the peer is a proxy that may say where a request is from.
func (rt *instance) trusts(r *http.Request) bool {
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		return true
	}
	return len(rt.app.values.trusted) > 0 && contains(rt.app.values.trusted, peer(r))
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

func peer(r *http.Request) netip.Addr {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap()
}

// address is the client's address: what Caddy says, or behind our own trusted
// proxies the last hop in X-Forwarded-For that is none of them.
//
// Where a trusted proxy says nothing that can be read, the address is the proxy's,
// which is right to count and to note, but known is false: no network rule may
// hold for everybody behind that proxy.
func (rt *instance) address(r *http.Request) (from netip.Addr, known bool) {
	from = peer(r)
	if contains(rt.app.values.trusted, from) {
		hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			hop, ok := parseHop(hops[i])
			if !ok {
				return from, false
			}
			if from = hop; !contains(rt.app.values.trusted, from) {
				break
			}
		}
		return from, true
	}
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		from = web.Address(ip)
	}
	return from, from.IsValid()
}

// place says where a request stands. It is for the slow path only: a request that
// passes needs none.
func (rt *instance) place(r *http.Request, isPortal bool) web.Place {
	secure := rt.secure(r)
	p := web.Place{Mode: web.ModeOwn, Host: strings.ToLower(web.Hostname(r.Host)), Secure: secure}
	if o, known := rt.originOf(secure, r.Host); known {
		p.Origin, p.Portal = o.String(), o.String()
	}
	switch {
	case isPortal:
		p.Mode = web.ModePortal
	case rt.portal.host != "":
		p.Mode, p.Portal, p.Organization = web.ModeSite, rt.portal.String(), rt.organizationOf(p.Host)
	}
	from, _ := rt.address(r)
	p.Client = authcore.NewClient(addressText(from), r.UserAgent(), requestID(r))
	return p
}

// parseHop reads one hop of X-Forwarded-For, with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap(), true
	}
	ap, err := netip.ParseAddrPort(s)
	return ap.Addr().Unmap(), err == nil
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// requestID is Caddy's id of the request, which also goes to the access log when
// an answer of ours shows it.
func requestID(r *http.Request) string {
	repl := replacer(r)
	if repl == nil {
		return ""
	}
	id, _ := repl.GetString("http.request.uuid")
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok && id != "" {
		extra.Add(zap.String("request_id", id))
	}
	return id
}
