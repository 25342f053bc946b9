package integration

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The people of the shared servers. The owner is made first; carol is in group
// staff, bob and dave are in no group.
var (
	alice = someone("alice")
	bob   = someone("bob")
	carol = someone("carol")
	dave  = someone("dave")
)

// house has a portal and two gated hosts of different domains, over HTTPS.
var house = &sharing{ready: people, caddyfile: `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.com:{{.HTTPS}}
		register open
		limits {
			address off
			account off
		}
		policy anyone {
			allow everyone
			public /healthz /public/*
		}
		policy staff {
			allow group:staff owner
			public /healthz /public/*
		}
	}
}
https://auth.example.com:{{.HTTPS}} {
	gate_portal
}
https://app.example.com:{{.HTTPS}} {
	gate anyone
	reverse_proxy {{.Upstream}}
}
https://wiki.example.net:{{.HTTPS}} {
	gate staff
	reverse_proxy {{.Upstream}}
}
`}

// lodge has no portal: each host has pages of its own, on plain-HTTP loopback.
var lodge = &sharing{ready: people, opts: []option{withEnv("PLANTED=planted-in-the-environment")}, caddyfile: `{
	{{.Global}}
	gate {
		{{.Gate}}
		limits {
			address off
			account off
		}
		policy anyone {
			allow everyone
			public /healthz /public/*
		}
		policy staff {
			allow group:staff
		}
	}
}
http://app.localhost:{{.HTTP}} {
	log
	gate anyone
	header >X-Who "{http.auth.user.name}"
	reverse_proxy {{.Upstream}} {
		header_up X-Told "{http.auth.user.name}/{http.request.header.Remote-Name}"
	}
}
http://staff.localhost:{{.HTTP}} {
	gate staff
	reverse_proxy {{.Upstream}}
}
http://part.localhost:{{.HTTP}} {
	gate /private/* anyone
	reverse_proxy {{.Upstream}}
}
http://moved.localhost:{{.HTTP}} {
	route {
		rewrite /private/* /public/moved?{query}
		gate anyone
		reverse_proxy {{.Upstream}}
	}
}
http://bare.localhost:{{.HTTP}} {
	gate anyone {
		headers none
	}
	reverse_proxy {{.Upstream}}
}
`}

// gated are two gated hosts: one under a portal, over HTTPS, and one with pages of
// its own.
func gated(t testing.TB) map[*server]string {
	t.Helper()
	return map[*server]string{house.get(t): "app.example.com", lodge.get(t): "app.localhost"}
}

// paged are two hosts with pages: a portal and one with pages of its own.
func paged(t testing.TB) map[*server]string {
	t.Helper()
	return map[*server]string{house.get(t): "auth.example.com", lodge.get(t): "app.localhost"}
}

// people makes the people of a shared server.
func people(t testing.TB, s *server) {
	s.createOwner(t, alice)
	s.addUser(t, bob)
	s.addUser(t, carol, "--group", "staff")
	s.addUser(t, dave)
}

// at is the address of a path on a host of the shared server, by the port that
// its kind of site has.
func (s *server) at(host, path string) string {
	if strings.HasSuffix(host, "localhost") {
		return s.URL("HTTP", host) + path
	}
	return s.URL("HTTPS", host) + path
}

// visitor is somebody signed in on a gated host.
func (s *server) visitor(t testing.TB, host string, p person) *browser {
	t.Helper()
	b := s.Client(t)
	if got := b.arrive(s.at(host, "/public-not/arrived"), p); got.StatusCode != http.StatusOK || got.Request.URL.Path != "/public-not/arrived" {
		t.Fatalf("%s does not arrive at %s: %s %s\n%s", p.Username, host, got.Status, got.Request.URL, got.Body)
	}
	return b
}

// token is the session cookie's value on a host.
func (s *server) token(t testing.TB, b *browser, host string) string {
	t.Helper()
	token := b.cookie(s.at(host, "/"), s.cookieName(host))
	if token == "" {
		t.Fatalf("no session cookie for %s", host)
	}
	return token
}

// newToken is token for somebody who signs in on a host just now.
func (s *server) newToken(t testing.TB, host string, p person) string {
	t.Helper()
	b := s.Client(t)
	b.signInTo(s, host, p)
	return s.token(t, b, host)
}

func (s *server) cookieName(host string) string {
	if strings.HasSuffix(host, "localhost") {
		return "gate"
	}
	return "__Host-gate"
}

// tell is a raw HTTP/1.1 request to a host; each line is a whole header line.
func (s *server) tell(t testing.TB, host, method, target string, lines ...string) page {
	t.Helper()
	request := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"
	for _, l := range lines {
		request += l + "\r\n"
	}
	return s.rawTo(t, host, request+"\r\n")
}

// rawTo sends bytes to the port that a host is served on.
func (s *server) rawTo(t testing.TB, host, request string) page {
	t.Helper()
	if strings.HasSuffix(host, "localhost") {
		return s.raw(t, "HTTP", "", request)
	}
	return s.raw(t, "HTTPS", host, request)
}

// setCookies are the cookies that an answer sets.
func (p page) setCookies() map[string]*http.Cookie {
	all := make(map[string]*http.Cookie)
	for _, c := range p.Response.Cookies() {
		all[c.Name] = c
	}
	return all
}

// lastReceived is the one request with this mark that the upstream received.
func (s *server) lastReceived(t testing.TB, mark string) echo {
	t.Helper()
	all := s.Upstream.received(mark)
	if len(all) != 1 {
		t.Fatalf("the upstream received %d requests with %q, want 1", len(all), mark)
	}
	return all[0]
}

// TestEcho shows that the upstream tells headers as they come in.
func TestEcho(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	r := httptest.NewRequest("GET", "/x?answer=Set-Cookie:+a=b", nil)
	r.Header = http.Header{"Remote_user": {"x"}, "Remote-User": {"y"}}
	w := httptest.NewRecorder()
	u.serve(w, r)
	if got := u.requests()[0]; len(got.get("remote-user")) != len("x|y") || w.Header().Get("Set-Cookie") != "a=b" {
		t.Errorf("received %+v, answered %v", got, w.Header())
	}
}
