package integration

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// managedNames are the headers that upstreams are known to believe.
var managedNames = []string{
	"Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email", "Remote-Organization", "Remote-Organization-Role",
	"X-Remote-User", "X-Remote-Groups", "X-Remote-Group", "X-Remote-Name", "X-Remote-Email",
	"X-Forwarded-User", "X-Forwarded-Groups", "X-Forwarded-Email", "X-Forwarded-Preferred-Username",
	"X-Auth-Request-User", "X-Auth-Request-Groups", "X-Auth-Request-Email", "X-Auth-Request-Preferred-Username",
	"X-Token-Subject", "X-Token-User-Name", "X-Token-User-Email", "X-Token-User-Roles",
	"X-Authentik-Username", "X-Authentik-Groups", "X-Authentik-Email", "X-Authentik-Name", "X-Authentik-Uid",
	"Gate-Assertion",
}

// spellings are the forms of a name that a server behind us may take for it.
func spellings(name string) []string {
	var all []string
	for _, s := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
		all = append(all, s, strings.ReplaceAll(s, "-", "_"), strings.ReplaceAll(s, "-", "."), strings.Replace(s, "-", "_", 1))
	}
	return all
}

// spoofs is what a client tries: every name in every spelling, twice.
func spoofs() []header {
	var all []header
	for _, name := range managedNames {
		for _, s := range spellings(name) {
			all = append(all, header{s, "spoofed"}, header{s, "admin"})
		}
	}
	return all
}

// identityOf gives what an upstream would believe of a request.
func identityOf(e echo) map[string]string {
	told := make(map[string]string)
	for _, name := range managedNames {
		if v := e.get(name); v != "" {
			told[name] = v
		}
		for key, values := range e.Trailer {
			if folded(key) == folded(name) {
				told["trailer "+name] = strings.Join(values, "|")
			}
		}
	}
	return told
}

func sameIdentity(t *testing.T, what string, e echo, want map[string]string) {
	t.Helper()
	if got := identityOf(e); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: the upstream is told %v, want %v", what, got, want)
	}
}

// told is what the default preset says of somebody without groups.
func told(p person) map[string]string {
	return map[string]string{"Remote-User": p.Username, "Remote-Name": p.Name, "Remote-Email": p.Email}
}

func TestP6_SpoofedIdentityIsGone(t *testing.T) {
	t.Parallel()
	s, plain := house.get(t), lodge.get(t)
	staff := told(carol)
	staff["Remote-Groups"] = "staff"
	for _, test := range []struct {
		name, host, path string
		who              *person
		want             map[string]string
	}{
		{"no groups, HTTP/2", "app.example.com", "/", &bob, told(bob)},
		{"no groups, HTTP/1.1", "app.localhost", "/", &bob, told(bob)},
		{"with groups", "wiki.example.net", "/", &carol, staff},
		{"nobody on a public path", "app.example.com", "/public/x", nil, nil},
		{"nobody on a public path, HTTP/1.1", "app.localhost", "/public/x", nil, nil},
		{"nobody on a path that is not gated", "part.localhost", "/open", nil, nil},
		{"somebody on a path that is not gated", "part.localhost", "/open", &bob, nil},
		{"site that tells nothing", "bare.localhost", "/", &bob, nil},
		{"after a rewrite", "moved.localhost", "/private/p6", &bob, told(bob)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := s
			if strings.HasSuffix(test.host, "localhost") {
				s = plain
			}
			b := s.Client(t)
			if test.who != nil {
				b.signInTo(s, test.host, *test.who)
			}
			batch := 0
			for some := range slices.Chunk(spoofs(), 80) { // HTTP/2 takes no more at once
				batch++
				mark := fmt.Sprintf("p6=%s-%d", url.QueryEscape(test.name), batch)
				got := b.fetch(s.at(test.host, test.path)+"?"+mark, some...)
				if got.StatusCode != http.StatusOK {
					t.Fatal(got.Status)
				}
				sameIdentity(t, test.name, s.lastReceived(t, mark), test.want)
			}
		})
	}
}

// signInTo signs in so that a gated host knows the browser, by whatever way the
// host has.
func (b *browser) signInTo(s *server, host string, p person) {
	b.t.Helper()
	if strings.HasSuffix(host, "localhost") {
		b.signIn(s.at(host, ""), p)
		return
	}
	if got := b.arrive(s.at(host, "/.gate/login"), p); got.StatusCode != http.StatusOK {
		b.t.Fatalf("%s cannot go to %s: %s\n%s", p.Username, host, got.Status, got.Body)
	}
}

// TestP6_SpoofedBytes sends what no HTTP library lets through.
func TestP6_SpoofedBytes(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	cookie := "Cookie: gate=" + s.newToken(t, "app.localhost", bob)
	for i, line := range []string{
		"Remote-Groups: admin",
		"remote-groups:admin",
		"REMOTE_GROUPS:\tadmin",
		"Remote.Groups: admin",
		"Remote-Groups : admin",  // space before the colon
		"Remote-Groups\t: admin", // or a tab
		" Remote-Groups: admin",  // folded into the line before
		"X-Pad: 1\r\n\tRemote-Groups: admin",
		"X-Pad: 1\nRemote-Groups: admin", // a bare line feed ends a line for some
		"X-Pad: 1\rRemote-Groups: admin",
		"Remote-Groups\x00: admin",
		"X-Pad\x00\r\nRemote-Groups: admin",
		"Remote-Groups: admin\r\nRemote-Groups: wheel",
		"Remote-Groups:\r\n admin",
		"Remote-Groups: " + strings.Repeat("a", 8000),
		"\xefRemote-Groups: admin",
		"Remote-Gr\u00f6ups: admin",
	} {
		mark := fmt.Sprintf("/p6-bytes-%d-", i)
		got := s.tell(t, "app.localhost", "GET", mark, cookie, line, "Connection: close")
		all := s.Upstream.received(mark)
		if got.StatusCode >= 400 && len(all) == 0 {
			continue
		}
		if len(all) != 1 {
			t.Errorf("%q: %s, %d requests at the upstream", line, got.Status, len(all))
			continue
		}
		sameIdentity(t, line, all[0], told(bob))
	}
}

// TestP6_Trailers sends identity behind the body, declared and not.
func TestP6_Trailers(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	cookie := "Cookie: gate=" + s.newToken(t, "app.localhost", bob) + "\r\n"
	for i, declared := range []string{"", "Trailer: Remote-Groups\r\n", "Trailer: remote_groups, Remote-User\r\n", "Trailer: X-Sum\r\nTrailer: Remote-Groups\r\n"} {
		mark := fmt.Sprintf("/p6-trailer-%d-", i)
		got := s.rawTo(t, "app.localhost", "POST "+mark+" HTTP/1.1\r\nHost: app.localhost\r\n"+cookie+declared+
			"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nRemote-Groups: admin\r\nremote_groups: admin\r\nRemote-User: alice\r\nX-Sum: 1\r\n\r\n")
		if got.StatusCode != http.StatusOK {
			t.Errorf("%q: %s", declared, got.Status)
			continue
		}
		e := s.lastReceived(t, mark)
		if e.Body != "hello" {
			t.Errorf("%q: the upstream received the body %q", declared, e.Body)
		}
		sameIdentity(t, declared, e, told(bob))
	}
	// And over HTTP/2.
	s = house.get(t)
	b := s.Client(t)
	b.signInTo(s, "app.example.com", bob)
	r, err := http.NewRequest("POST", s.at("app.example.com", "/p6-trailer-h2"), strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = -1
	r.Trailer = http.Header{"Remote-Groups": {"admin"}, "Remote_groups": {"admin"}, "X-Sum": {"1"}}
	resp, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("spoke %s, want HTTP/2", resp.Proto)
	}
	sameIdentity(t, "HTTP/2", s.lastReceived(t, "/p6-trailer-h2"), told(bob))
}

func TestP7_ConnectionCannotNameIdentity(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	cookie := "Cookie: theme=dark; gate=" + s.newToken(t, "staff.localhost", carol)
	want := told(carol)
	want["Remote-Groups"] = "staff"
	for i, lines := range [][]string{
		{"Connection: close, Remote-User"},
		{"Connection: Remote-User,Remote-Groups , close"},
		{"Connection: REMOTE-USER", "Connection: close", "Connection: remote-email"},
		{"connection: remote-user;q=1, close"},
		{"Connection: close, remote_user, remote.groups"},
		{"Connection: ,,Remote-User,,close,"},
		{"Connection:\tclose\t,\tRemote-Name\t"},
		{"Connection: \"Remote-User\", close"},
		{"Connection: close, Remote-User\x0b"},
		{"Connection: close", "Proxy-Connection: Remote-User", "Keep-Alive: Remote-User"},
		{"Connection: close, TE, Remote-User", "TE: trailers, Remote-User"},
		{"Connection: close, Upgrade, Remote-User", "Upgrade: websocket"},
		{"Connection: close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host"},
	} {
		mark := fmt.Sprintf("/p7-%d-", i)
		got := s.tell(t, "staff.localhost", "GET", mark, append(lines, cookie)...)
		all := s.Upstream.received(mark)
		if got.StatusCode >= 400 && len(all) == 0 {
			continue
		}
		if got.StatusCode != http.StatusOK || len(all) != 1 {
			t.Errorf("%q: %s, %d requests at the upstream", lines, got.Status, len(all))
			continue
		}
		sameIdentity(t, strings.Join(lines, "; "), all[0], want)
		if all[0].get("X-Forwarded-For") == "" {
			t.Errorf("%q: the upstream is not told the client's address", lines)
		}
	}
}

// TestP7_ConnectionCannotNameTheCookie: without its cookie nobody is signed in,
// and no request passes for a public one.
func TestP7_ConnectionCannotNameTheCookie(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	cookie := "Cookie: theme=dark; gate=" + s.newToken(t, "app.localhost", bob)
	got := s.tell(t, "app.localhost", "GET", "/p7-cookie", "Connection: close, Cookie", cookie)
	if got.StatusCode != http.StatusOK {
		t.Fatal(got.Status)
	}
	sameIdentity(t, "Connection: Cookie", s.lastReceived(t, "/p7-cookie"), told(bob))
}

// TestP6_NobodyGetsAnothersIdentity has many people at once, some of whom leave
// before the answer comes: what the gate keeps for one request must not serve
// another.
func TestP6_NobodyGetsAnothersIdentity(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	var everybody sync.WaitGroup
	for _, p := range []person{alice, bob, carol, dave} {
		b := s.Client(t)
		b.signIn(s.at("app.localhost", ""), p)
		cookie := "gate=" + s.token(t, b, "app.localhost")
		for worker := range 8 {
			everybody.Go(func() {
				for i := range 40 {
					ctx, cancel := context.WithCancel(context.Background())
					r, err := http.NewRequestWithContext(ctx, "POST", s.at("app.localhost", "/?p6as="+p.Username+"."), strings.NewReader(strings.Repeat("x", 1000*(i%20))))
					if err != nil {
						t.Error(err)
					}
					r.Header.Set("Cookie", cookie)
					if (i+worker)%4 == 0 {
						time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, cancel)
					}
					if resp, err := b.Transport.RoundTrip(r); err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					cancel()
				}
			})
		}
	}
	everybody.Wait()
	for _, p := range []person{alice, bob, carol, dave} {
		all := s.Upstream.received("p6as=" + p.Username + ".")
		if len(all) < 200 {
			t.Errorf("only %d requests of %s arrived", len(all), p.Username)
		}
		for _, e := range all {
			if e.get("Remote-User") != p.Username || e.get("Remote-Email") != p.Email || e.get("Cookie") != "" {
				t.Fatalf("a request of %s arrives as %v with cookie %q", p.Username, identityOf(e), e.get("Cookie"))
			}
		}
	}
}
