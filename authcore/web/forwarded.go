package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Forwarded is a request as a proxy that asks the verifier tells of it.
type Forwarded struct {
	Method string
	Secure bool   // the browser's connection is HTTPS
	Host   string // with port where the browser named one
	URL    *url.URL
	URI    string // path and query as the client sent them
}

// Dialect is a proxy's way to tell of a request, and to understand the answer.
type Dialect struct {
	Name string
	read func(r *http.Request) (method, scheme, host, uri string, err error)
	// OwnPages says that the proxy passes on an answer of ours to the browser,
	// with its cookies, unless it is 2xx: so what is under Prefix can be served
	// through it. Others need a route for that, and so does a redirect to sign in.
	OwnPages bool
	// Quiet says that the proxy understands 2xx, 401 and 403 alone: a redirect is
	// a 401 with Location.
	Quiet bool
}

// VerifyPrefix is the path under which the verifier stands; what follows is the name
// of a dialect.
const VerifyPrefix = "/verify/"

// dialects are all that the verifier speaks. No header of one is read for another.
var dialects = []*Dialect{
	{Name: "nginx", read: readNginx, Quiet: true},
	{Name: "traefik", read: readForwarded, OwnPages: true},
	{Name: "caddy", read: readForwarded, OwnPages: true},
	{Name: "haproxy", read: readForwarded},
	{Name: "envoy", read: readEnvoy},
}

// DialectOf finds the dialect that a path of the verifier names.
func DialectOf(path string) *Dialect {
	rest, ours := strings.CutPrefix(path, VerifyPrefix)
	if !ours {
		return nil
	}
	for _, d := range dialects {
		if rest == d.Name || d.Name == "envoy" && strings.HasPrefix(rest, "envoy/") {
			return d
		}
	}
	return nil
}

// Read reads the request that a proxy asks about. Whatever is missing, said twice or
// malformed is an error with status 400.
func (d *Dialect) Read(r *http.Request) (f Forwarded, err error) {
	method, scheme, host, uri, err := d.read(r)
	if err != nil {
		return f, err
	}
	f = Forwarded{Method: method, Secure: scheme == "https", Host: host, URI: uri}
	switch {
	case scheme != "https" && scheme != "http":
		return f, badForwarded("the scheme is neither http nor https")
	case !isToken(method):
		return f, badForwarded("the method is none")
	case !isHost(host):
		return f, badForwarded("the host is none")
	}
	if f.URL, err = parseURI(uri); err != nil {
		return f, badForwarded("the URI is none")
	}
	return f, nil
}

// one gives the value of a header that must be there once.
func one(h http.Header, name string) (string, error) {
	values := h[name]
	switch {
	case len(values) == 0 || values[0] == "":
		return "", badForwarded(name + " is missing: the proxy's configuration must set it")
	case len(values) > 1:
		return "", badForwarded(name + " is there twice: the proxy's configuration must replace what the client sent")
	}
	return values[0], nil
}

// readNginx reads what the configuration of auth_request sets.
func readNginx(r *http.Request) (method, scheme, host, uri string, err error) {
	whole, err := one(r.Header, "X-Original-Url")
	if err == nil {
		method, err = one(r.Header, "X-Original-Method")
	}
	if err != nil {
		return "", "", "", "", err
	}
	scheme, rest, _ := strings.Cut(whole, "://")
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return "", "", "", "", badForwarded("X-Original-URL is not a whole URL")
	}
	return method, scheme, rest[:slash], rest[slash:], nil
}

// readForwarded reads what Traefik, Caddy and the script for HAProxy send.
func readForwarded(r *http.Request) (method, scheme, host, uri string, err error) {
	for _, v := range []struct {
		name string
		to   *string
	}{{"X-Forwarded-Method", &method}, {"X-Forwarded-Proto", &scheme}, {"X-Forwarded-Host", &host}, {"X-Forwarded-Uri", &uri}} {
		if *v.to, err = one(r.Header, v.name); err != nil {
			return "", "", "", "", err
		}
	}
	return method, scheme, host, uri, nil
}

// readEnvoy reads the request itself: Envoy sends method and Host as they are, and
// the path behind the prefix.
func readEnvoy(r *http.Request) (method, scheme, host, uri string, err error) {
	if scheme, err = one(r.Header, "X-Forwarded-Proto"); err != nil {
		return "", "", "", "", err
	}
	uri, ours := strings.CutPrefix(r.RequestURI, VerifyPrefix+"envoy")
	if !ours {
		return "", "", "", "", badForwarded("the path does not begin with " + VerifyPrefix + "envoy")
	}
	return r.Method, scheme, r.Host, uri, nil
}

func badForwarded(why string) error {
	return &authcore.Error{Kind: authcore.Invalid, Code: "bad_forwarded_request", Message: "The proxy's question cannot be understood: " + why + "."}
}

// isToken tells whether text is a method (RFC 9110 section 9.1).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// isHost tells whether text is a host with or without a port, and nothing else.
func isHost(s string) bool {
	u, err := url.Parse("http://" + s)
	return err == nil && s != "" && u.Host == s && u.User == nil && u.Hostname() != "" && !strings.ContainsAny(s, "/\\?#@% ,")
}

// parseURI reads path and query. What begins with two slashes is a path as well.
func parseURI(uri string) (*url.URL, error) {
	if !strings.HasPrefix(uri, "/") || strings.ContainsAny(uri, "#") {
		return nil, badForwarded("it is no path")
	}
	for i := range len(uri) {
		if uri[i] <= ' ' || uri[i] == 0x7f {
			return nil, badForwarded("it has a control character")
		}
	}
	u, err := url.ParseRequestURI("http://h" + uri)
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host = "", ""
	return u, nil
}
