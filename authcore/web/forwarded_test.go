package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// question is a request to the verifier with header lines.
func question(method, to, host string, lines ...string) *http.Request {
	r := httptest.NewRequest("GET", "http://verifier/", nil)
	r.Method = method
	r.RequestURI, r.Host = to, host
	if u, err := r.URL.Parse(to); err == nil {
		r.URL = u
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[http.CanonicalHeaderKey(name)] = append(r.Header[http.CanonicalHeaderKey(name)], value)
	}
	return r
}

// forwarded is what Traefik, Caddy and HAProxy send of a request.
func forwarded(method, proto, host, uri string) []string {
	return []string{"X-Forwarded-Method: " + method, "X-Forwarded-Proto: " + proto, "X-Forwarded-Host: " + host, "X-Forwarded-Uri: " + uri}
}

func TestDialects(t *testing.T) {
	t.Parallel()
	all := func(lines []string, more ...string) []string { return append(append([]string{}, lines...), more...) }
	nginx := []string{"X-Original-URL: https://app.example.com:8443/a%2Fb?x=1", "X-Original-Method: PUT"}
	traefik := forwarded("PUT", "https", "app.example.com:8443", "/a%2Fb?x=1")
	for _, tt := range []struct {
		name string
		r    *http.Request
		want string // method, scheme and address, or part of the error
	}{
		{"nginx", question("GET", "/verify/nginx", "v", nginx...), "PUT https app.example.com:8443 /a%2Fb?x=1"},
		{"traefik", question("GET", "/verify/traefik", "v", traefik...), "PUT https app.example.com:8443 /a%2Fb?x=1"},
		{"caddy", question("GET", "/verify/caddy", "v", traefik...), "PUT https app.example.com:8443 /a%2Fb?x=1"},
		{"haproxy", question("GET", "/verify/haproxy", "v", traefik...), "PUT https app.example.com:8443 /a%2Fb?x=1"},
		{"envoy", question("PUT", "/verify/envoy/a%2Fb?x=1", "app.example.com:8443", "X-Forwarded-Proto: https"), "PUT https app.example.com:8443 /a%2Fb?x=1"},
		{"two slashes are a path", question("GET", "/verify/traefik", "v", forwarded("GET", "https", "app.example.com", "//evil.example/x")...), "GET https app.example.com //evil.example/x"},
		{"plain", question("GET", "/verify/traefik", "v", forwarded("GET", "http", "app.localhost", "/")...), "GET http app.localhost /"},

		{"nginx by the headers of others", question("GET", "/verify/nginx", "v", traefik...), "X-Original-Url is missing"},
		{"traefik by the headers of nginx", question("GET", "/verify/traefik", "v", nginx...), "X-Forwarded-Method is missing"},
		{"envoy by the headers of others", question("GET", "/verify/envoy", "v", traefik...), "URI is none"},
		{"nginx, and the client's", question("GET", "/verify/nginx", "v", all(nginx, "X-Original-URL: https://app.example.com/public")...), "X-Original-Url is there twice"},
		{"traefik, and the client's", question("GET", "/verify/traefik", "v", all(traefik, "X-Forwarded-Uri: /public")...), "X-Forwarded-Uri is there twice"},
		{"no scheme", question("GET", "/verify/nginx", "v", "X-Original-URL: app.example.com/", "X-Original-Method: GET"), "not a whole URL"},
		{"no path", question("GET", "/verify/nginx", "v", "X-Original-URL: https://app.example.com", "X-Original-Method: GET"), "not a whole URL"},
		{"another scheme", question("GET", "/verify/traefik", "v", forwarded("GET", "evil_protocol", "app.example.com", "/")...), "neither http nor https"},
		{"a method with a space", question("GET", "/verify/traefik", "v", forwarded("GET /x", "https", "app.example.com", "/")...), "the method is none"},
		{"a user in the host", question("GET", "/verify/traefik", "v", forwarded("GET", "https", "app.example.com@evil.example", "/")...), "the host is none"},
		{"a path in the host", question("GET", "/verify/traefik", "v", forwarded("GET", "https", "app.example.com/x", "/")...), "the host is none"},
		{"a relative URI", question("GET", "/verify/traefik", "v", forwarded("GET", "https", "app.example.com", "x")...), "the URI is none"},
		{"a whole URI", question("GET", "/verify/traefik", "v", forwarded("GET", "https", "app.example.com", "https://app.example.com/x")...), "the URI is none"},
		{"a star", question("GET", "/verify/traefik", "v", forwarded("OPTIONS", "https", "app.example.com", "*")...), "the URI is none"},
		{"a bad escape", question("GET", "/verify/traefik", "v", forwarded("GET", "https", "app.example.com", "/%zz")...), "the URI is none"},
		{"a fragment", question("GET", "/verify/traefik", "v", forwarded("GET", "https", "app.example.com", "/x#y")...), "the URI is none"},
		{"a control character", question("GET", "/verify/traefik", "v", forwarded("GET", "https", "app.example.com", "/x\ty")...), "the URI is none"},
	} {
		d := DialectOf(tt.r.URL.Path)
		if d == nil {
			t.Fatalf("%s: no dialect", tt.name)
		}
		f, err := d.Read(tt.r)
		got := f.Method + " http " + f.Host + " " + f.URI
		if f.Secure {
			got = f.Method + " https " + f.Host + " " + f.URI
		}
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != tt.want || err != nil && !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, path := range []string{"/", "/verify/", "/verify/apache", "/verify/nginx/", "/verify/nginx/x", "/verify/envoyx", "/verify", "/Verify/nginx"} {
		if DialectOf(path) != nil {
			t.Errorf("%s is a dialect", path)
		}
	}
}

// Whatever a proxy sends, what is understood of it is a request that could have been
// sent to us directly, and says the same.
func FuzzDialects(f *testing.F) {
	f.Add("traefik", "GET", "https", "app.example.com", "/a/../b?x=1")
	f.Add("nginx", "POST", "http", "app.localhost:8080", "//x/%2e%2e/y;z")
	f.Add("envoy", "DELETE", "https", "[::1]:443", "/%zz")
	f.Add("haproxy", "GET", "https", "a@b", "/x#y")
	f.Add("traefik", "0", "http", "0:", "/")
	f.Fuzz(func(t *testing.T, dialect, method, proto, host, uri string) {
		d := DialectOf("/verify/" + dialect)
		if d == nil {
			return
		}
		lines := forwarded(method, proto, host, uri)
		to := "/verify/" + dialect
		switch dialect {
		case "nginx":
			lines = []string{"X-Original-URL: " + proto + "://" + host + uri, "X-Original-Method: " + method}
		case "envoy":
			to += uri
		}
		r := question(method, to, host, lines...)
		got, err := d.Read(r)
		if err != nil {
			return
		}
		if got.URL.Path == "" || got.URL.Path[0] != '/' || got.URL.Host != "" || got.URL.Scheme != "" || got.URL.User != nil || got.URL.Fragment != "" {
			t.Fatalf("%q became %#v", lines, got.URL)
		}
		if dialect != "nginx" && (got.Host != host || got.Method != method || got.URI != uri) {
			t.Fatalf("%q became %+v", lines, got)
		}
		if direct, err := http.NewRequest(got.Method, "http://"+got.Host+got.URI, nil); err != nil {
			t.Fatalf("%q cannot be sent: %v", lines, err)
		} else if direct.URL.Path != got.URL.Path || direct.URL.RawPath != got.URL.RawPath || direct.URL.RawQuery != got.URL.RawQuery || direct.Host != strings.TrimSuffix(got.Host, ":") { // NewRequest takes an empty port away
			t.Fatalf("%q: directly %#v, by the proxy %#v", lines, direct.URL, got.URL)
		}
	})
}
