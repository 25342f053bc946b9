package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

// meanings are the paths that an upstream could take a request's target for: as
// it is, decoded once more, with backslashes for slashes, with path parameters cut
// off, with dot segments and doubled slashes resolved, in any combination.
func meanings(uri string) []string {
	raw, _, _ := strings.Cut(uri, "?")
	found := []string{raw}
	for i := 0; i < len(found) && i < 4000; i++ {
		for _, undo := range undone {
			if next := undo(found[i]); !slices.Contains(found, next) {
				found = append(found, next)
			}
		}
	}
	return found
}

var undone = []func(string) string{
	func(s string) string { // decode
		if d, err := url.PathUnescape(s); err == nil {
			return d
		}
		return s
	},
	func(s string) string { return strings.ReplaceAll(s, "\\", "/") },
	func(s string) string { // path parameters
		segments := strings.Split(s, "/")
		for i, seg := range segments {
			segments[i], _, _ = strings.Cut(seg, ";")
		}
		return strings.Join(segments, "/")
	},
	func(s string) string { return path.Clean("/" + s) },
	func(s string) string { // cut at a NUL, as C does
		before, _, _ := strings.Cut(s, "\x00")
		return before
	},
}

func isPublic(p string) bool { return strings.HasPrefix(p+"/", "/public/") || p == "/healthz" }

// oddPaths are spellings that mean different things to different servers.
var oddPaths = []string{
	"/public/../private", "/public/./../private", "/public/%2e%2e/private", "/public/%2E./private", "/public/.%2e/private",
	"/public/..%2fprivate", "/public/%2e%2e%2fprivate", "/public%2f..%2fprivate", "/public/..%5cprivate", "/public/..\\private",
	"/public\\..\\private", "/public/..;/private", "/public/..;x=y/private", "/public/;/../private", "/public/x;/../../private",
	"/public/%252e%252e/private", "/public/%252e%252e%252fprivate", "/public/%25252e%25252e/private", "/public/..%252fprivate",
	"/public//../private", "/public///../../private", "//public/../private", "/./public/../private", "/public/..", "/public/.",
	"/public/..%00/private", "/public/%00/../private", "/private%00/public/", "/public/..%c0%af..%c0%afprivate", "/public/%c0%ae%c0%ae/private",
	"/public/%uff0e%uff0e/private", "/public/\xff/../private", "/public/..%09/private", "/public/.%09./private", "/public/%0a../private",
	"/PUBLIC/../private", "/Public/x", "/PUBLIC/x", "/publicx", "/public%2f", "/public%20/../private", "/%2e/public/x", "/healthz/../private",
	"/healthz/", "/healthz;", "/healthz;/../private", "/healthz%2f..%2fprivate", "/healthz/.", "/HEALTHZ", "/healthz%20", "/healthz%00",
	"/private", "/private/", "//private", "/%70rivate", "/p%72ivate", "/private;x", "/private/.", "/./private", "/x/../private", "/PRIVATE",
	"/private/..;/public/", "/private/../public/x", "/private/%2e%2e/public/x", "/private/..%2fpublic/x", "/private?/public/x",
	"/private#/public/x", "/private%3f/public/x", "/private%23/public/x", "/private/%2e%2e%2f%2e%2e%2fpublic", "", "*", "?public", "public/x",
	"http://app.localhost/public/../private", "http://app.localhost/private", "http://app.localhost//private", "http://app.localhost\\private",
	"http://app.localhost:80/public/%2e%2e/private", "http://other.localhost/public/x", "http:///public/x", "http://app.localhost/public\\..\\private",
	"/public/%", "/public/%zz", "/public/%2", "/%%32%65/private", "/public/%5c..%5cprivate", "/public/%3b/../private", "/public/..%3b/private",
}

// TestP10_PublicPathsAreThoseTheUpstreamSees: whatever an upstream takes the path
// for, what reaches it without a session is public.
func TestP10_PublicPathsAreThoseTheUpstreamSees(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	for _, target := range oddPaths {
		checkAnonymous(t, s, "app.localhost", target, isPublic)
	}
	for _, target := range []string{"/public/x", "/healthz", "/public/a/b/c.css", "/public/a%20b", "/public/%C3%A9", "/%70ublic/x", "/public/x/"} {
		if got := s.tell(t, "app.localhost", "GET", target, "Connection: close"); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, want it to be public", target, got.Status)
		}
	}
}

// TestP10_RandomPaths puts the pieces of odd paths together by chance.
func TestP10_RandomPaths(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	pieces := []string{"/", "/", "/", "..", ".", "%2e", "%2E%2e", "%252e", "%2f", "%5c", "\\", ";", "%3b", ";x=1", "%00", "%25", "//", "public", "private", "healthz", "PUBLIC", "p", "%70ublic", "%", "?", "#", "@", ":", "%09", "%c0%af"}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for range 400 {
		target := "/"
		if random.IntN(2) == 0 {
			target = "/public/"
		}
		for range 1 + random.IntN(6) {
			target += pieces[random.IntN(len(pieces))]
		}
		checkAnonymous(t, s, "app.localhost", target, isPublic)
	}
}

// checkAnonymous sends a request without a session. If the upstream receives it,
// all that its path could mean must be open.
func checkAnonymous(t *testing.T, s *server, host, target string, open func(string) bool) {
	t.Helper()
	if strings.ContainsAny(target, " \r\n") {
		return
	}
	mark := fmt.Sprintf("p10=%x", rand.Uint64())
	uri := target + "?" + mark
	if strings.Contains(target, "?") {
		uri = target + "&" + mark
	}
	if before, after, found := strings.Cut(target, "#"); found {
		uri = before + "?" + mark + "#" + after
	}
	got := s.tell(t, host, "GET", uri, "Connection: close", "Accept: */*")
	received := s.Upstream.received(mark)
	if got.StatusCode < 300 && len(received) == 0 && strings.Contains(uri, host) == strings.Contains(uri, "http:") && got.Body != "" {
		t.Errorf("%s: %s, but not from the upstream: %.200s", target, got.Status, got.Body)
	}
	for _, e := range received {
		for _, meaning := range meanings(e.URI) {
			if decoded, err := url.PathUnescape(meaning); err == nil && decoded != meaning {
				continue // on the way to another
			}
			if !open(meaning) {
				t.Errorf("%s: reaches the upstream without a session as %s, which could mean %q", target, e.URI, meaning)
				break
			}
		}
	}
}

// TestP10_GatedPathsOfAMatcher: a gate with a matcher in front of some paths. What
// it does not match must not mean one of them to the upstream.
func TestP10_GatedPathsOfAMatcher(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	open := func(p string) bool { return !strings.HasPrefix(strings.ToLower(p), "/private/") }
	for _, target := range []string{
		"/private/x", "//private/x", "/./private/x", "/x/../private/x", "/%70rivate/x", "/PRIVATE/x", "/Private/x", "/x/%2e%2e/private/x",
		"/x%2f..%2fprivate/x", "/x/..%2fprivate/x", "/%2fprivate/x", "/;/private/x", "/x;/../private/x", "/private%2fx", "/private;/x",
		"/.%2fprivate/x", "///private/x", "/%2e/private/x", "/x/..//private/x", "/private//x", "/private/%2e/x", "http://part.localhost/private/x",
		"http://part.localhost//private/x", "/a\\..\\private/x", "/a%5c..%5cprivate/x", "\\private/x", "/%5cprivate/x", "/%252e%252e/private/x",
		"/x/%252e%252e/private/x", "/%2570rivate/x", "/private%252fx",
	} {
		checkAnonymous(t, s, "part.localhost", target, open)
	}
}

// TestP10_RewriteBeforeTheGate: the gate judges the URI that the client sent, not
// what a rewrite in front of it made of it.
func TestP10_RewriteBeforeTheGate(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	for _, target := range []string{"/private/x", "/private/", "/%70rivate/x", "/private/../private/x"} {
		got := s.tell(t, "moved.localhost", "GET", target, "Connection: close", "Accept: */*")
		if got.StatusCode != http.StatusUnauthorized && got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s, want 401", target, got.Status)
		}
	}
}

// TestP10_OtherHeadersNameNoPath: nothing but the request line says which path
// is meant (P4: the verifier will hear proxies it trusts, the gate hears nobody).
func TestP10_OtherHeadersNameNoPath(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	for _, name := range []string{"X-Forwarded-Uri", "X-Original-URL", "X-Original-Uri", "X-Rewrite-URL", "X-Forwarded-Path", "X-Envoy-Original-Path",
		"X-Request-Uri", "X-Forwarded-Prefix", "X-Accel-Redirect", "X-HTTP-Method-Override", "X-Original-Method"} {
		for _, value := range []string{"/public/x", "/healthz", "OPTIONS"} {
			got := s.Client(t).fetch(s.at("app.localhost", "/private"), header{name, value})
			if got.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %s: %s, want 401", name, value, got.Status)
			}
		}
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "GIBBERISH", "get", "QUERY"} {
		got := s.tell(t, "app.localhost", method, "/private?p10method", "Connection: close", "Content-Length: 0")
		if got.StatusCode < 400 {
			t.Errorf("%s: %s", method, got.Status)
		}
	}
	if n := len(s.Upstream.received("p10method")); n > 0 {
		t.Errorf("the upstream received %d requests", n)
	}
}

// TestP10_OursNeverReachesTheUpstream: /.gate/ is ours in every spelling.
func TestP10_OursNeverReachesTheUpstream(t *testing.T) {
	t.Parallel()
	for s, host := range gated(t) {
		cookie := "Cookie: " + s.cookieName(host) + "=" + s.newToken(t, host, bob)
		for i, target := range []string{
			"/.gate", "/.gate/", "/.gate/nothing", "/.GATE/whoami", "/.Gate/login", "/%2egate/whoami", "/%2Egate/login", "/.g%61te/login", "//.gate/login",
			"/./.gate/login", "/x/../.gate/login", "/.gate//login", "/.gate/./login", "/.gate/../.gate/login", "/.gate%2flogin", "/%2f.gate/login",
			"/.gate;/login", "/.gate;x=y/login", "/;/.gate/login", "/.gate/login;x", "/.gate\\login", "\\.gate\\login", "/\\.gate/login", "/%5c.gate/login",
			"/%252egate/login", "/%25252egate/login", "/.%67ate/login", "/.gate/%2e%2e/x", "/.gate/..", "/.gate/../x", "/.gate/..%2fx", "/.gate/..;/x",
			"/x/%2e%2e/.gate/login", "/x/..;/.gate/login", "/.gate%00/login", "/.gate/login%00", "/.gate/%6cogin", "/.gate/log%69n", "/.gate%3b/login",
			"/%2%65gate/login", "/.gat%65/", "/.gate/whoami/", "/.gate/whoami%20", "/.gate/account/..", "/public/../.gate/login", "/.gate/assets/../login",
			"/.gate/assets/..%2f..%2fx", "http://" + host + "/.gate/x", "http://" + host + "//.gate/x",
		} {
			mark := fmt.Sprintf("ours=%d-", i)
			got := s.tell(t, host, "GET", target+"?"+mark, cookie, "Connection: close")
			if all := s.Upstream.received(mark); len(all) > 0 {
				t.Errorf("%s: %s reaches the upstream as %s", host, target, all[0].URI)
			}
			if got.StatusCode == http.StatusOK && target != "/.gate/" && target != "/.gate" {
				t.Errorf("%s: %s is served: %s %.100s", host, target, got.Status, got.Body)
			}
		}
	}
}
