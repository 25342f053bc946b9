package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// ways are how a session ends before its time; each returns when it has ended.
var ways = map[string]func(t *testing.T, s *server, b *browser, p person){
	"sign out at the portal": func(t *testing.T, s *server, b *browser, _ person) {
		mustGo(t, b.post(s.at("auth.example.com", "/.gate/logout"), nil))
	},
	"sign out at the app": func(t *testing.T, s *server, b *browser, _ person) {
		mustGo(t, b.post(s.at("app.example.com", "/.gate/logout"), nil))
	},
	"sign out by JSON": func(t *testing.T, s *server, b *browser, _ person) {
		got := b.do("POST", s.at("app.example.com", "/.gate/logout"), "{}", header{"Content-Type", "application/json"})
		if got.StatusCode != http.StatusOK {
			t.Fatal(got.Status)
		}
	},
	"sign out everywhere, elsewhere": func(t *testing.T, s *server, _ *browser, p person) {
		other := s.Client(t)
		other.signIn(s.at("auth.example.com", ""), p)
		mustGo(t, other.post(s.at("auth.example.com", "/.gate/logout"), url.Values{"everywhere": {"1"}}))
	},
	"revoked elsewhere": func(t *testing.T, s *server, b *browser, p person) {
		other := s.Client(t)
		other.signIn(s.at("auth.example.com", ""), p)
		id := s.root(t, b)
		mustGo(t, other.post(s.at("auth.example.com", "/.gate/account/sessions/revoke"), url.Values{"id": {id}}))
	},
	"password changed elsewhere": func(t *testing.T, s *server, _ *browser, p person) {
		other := s.Client(t)
		other.signIn(s.at("auth.example.com", ""), p)
		mustGo(t, other.post(s.at("auth.example.com", "/.gate/account/password"),
			url.Values{"current_password": {p.Password}, "new_password": {"another-" + p.Password}}))
		if got := other.fetch(s.at("auth.example.com", "/.gate/whoami")); got.StatusCode != http.StatusOK {
			t.Errorf("the session that changed the password has ended: %s", got.Status)
		}
	},
	"password reset by the operator": func(t *testing.T, s *server, _ *browser, p person) {
		s.must(t, "a-reset-long-password\n", "user", "password", p.Username, "--password-stdin")
	},
	"disabled": func(t *testing.T, s *server, _ *browser, p person) {
		s.must(t, "", "user", "disable", p.Username)
	},
	"disabled and enabled": func(t *testing.T, s *server, _ *browser, p person) {
		s.must(t, "", "user", "disable", p.Username)
		s.must(t, "", "user", "enable", p.Username)
	},
	"revoked by the operator": func(t *testing.T, s *server, b *browser, _ person) {
		s.must(t, "", "session", "revoke", s.root(t, b))
	},
	"all revoked by the operator": func(t *testing.T, s *server, _ *browser, p person) {
		s.must(t, "", "session", "revoke", "--user", p.Username)
	},
	"signed in anew": func(t *testing.T, s *server, b *browser, p person) {
		b.signIn(s.at("auth.example.com", ""), p)
	},
}

// root is the id of the portal session that a browser has.
func (s *server) root(t *testing.T, b *browser) string {
	t.Helper()
	hash := authcore.HashToken(s.token(t, b, "auth.example.com")).Hex()
	var id string
	if err := s.database(t).QueryRow("SELECT root_id FROM sessions WHERE token_hash = ?", hash).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// stolen is what a thief of cookies has: a copy of each, in no browser.
type stolen struct{ cookies map[string]string }

func (s *server) steal(t *testing.T, b *browser) stolen {
	all := stolen{make(map[string]string)}
	for _, host := range []string{"auth.example.com", "app.example.com"} {
		all.cookies[host] = s.token(t, b, host)
	}
	return all
}

// use tries the cookies and gives the status for each host.
func (st stolen) use(t *testing.T, s *server) map[string]int {
	t.Helper()
	got := make(map[string]int)
	for host, token := range st.cookies {
		path := "/s2"
		if host == "auth.example.com" {
			path = "/.gate/whoami"
		}
		got[host] = s.Client(t).fetch(s.at(host, path), header{"Cookie", "__Host-gate=" + token}).StatusCode
	}
	return got
}

// TestS2_EndedSessionsAreRefused ends sessions in every way there is, and tries the
// cookies with the very next request, on this node and on another one.
func TestS2_EndedSessionsAreRefused(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	twin := start(t, house.caddyfile, func(twin *server) {
		twin.Vars["Gate"] = strings.ReplaceAll(s.Vars["Gate"].(string), "\\", "/")
	})
	i := 0
	for name, end := range ways {
		i++
		p := someone(fmt.Sprintf("ending%d", i))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.addUser(t, p)
			b := s.Client(t)
			b.signInTo(s, "app.example.com", p)
			b.open(s.at("app.example.com", "/"))
			thief := s.steal(t, b)
			for _, node := range []*server{s, twin} { // both have them in memory
				for host, status := range thief.use(t, node) {
					if status != http.StatusOK {
						t.Fatalf("before: %s answers %d", host, status)
					}
				}
			}
			end(t, s, b, p)
			for host, status := range thief.use(t, s) {
				if status != http.StatusUnauthorized {
					t.Errorf("%s: %d with the next request, want 401", host, status)
				}
			}
			eventually(t, "401 on the other node", func() bool {
				for _, status := range thief.use(t, twin) {
					if status != http.StatusUnauthorized {
						return false
					}
				}
				return true
			})
		})
	}
}

// onOwnHost starts a server for one test, whose hosts have pages of their own, with
// alice signed in at one of them. use asks with her cookie what the app answers.
func onOwnHost(t *testing.T) (s *server, at string, b *browser, use func() int) {
	t.Helper()
	s = start(t, lodge.caddyfile)
	s.createOwner(t, alice)
	b = s.Client(t)
	at = s.at("app.localhost", "")
	b.signIn(at, alice)
	token := s.token(t, b, "app.localhost")
	return s, at, b, func() int { return s.Client(t).fetch(at+"/s2", header{"Cookie", "gate=" + token}).StatusCode }
}

// TestS2_OwnHosts has each host as its own portal: there too, and after a restart.
func TestS2_OwnHosts(t *testing.T) {
	t.Parallel()
	s, at, b, use := onOwnHost(t)
	if use() != http.StatusOK {
		t.Fatal("not signed in")
	}
	s.Restart(t)
	if use() != http.StatusOK {
		t.Error("a restart signs people out")
	}
	if got := b.post(at+"/.gate/logout", nil); got.StatusCode != http.StatusSeeOther || !strings.Contains(got.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("sign-out: %s with cookie %q", got.Status, got.Header.Get("Set-Cookie"))
	}
	if got := use(); got != http.StatusUnauthorized {
		t.Errorf("after sign-out: %d", got)
	}
	s.Restart(t)
	if got := use(); got != http.StatusUnauthorized {
		t.Errorf("after sign-out and a restart: %d", got)
	}
}

// TestS2_KilledRightAfter: a sign-out that was answered is not lost with the
// process.
func TestS2_KilledRightAfter(t *testing.T) {
	t.Parallel()
	s, at, b, use := onOwnHost(t)
	mustGo(t, b.post(at+"/.gate/logout", nil))
	s.Kill(t)
	s.Restart(t)
	if got := use(); got != http.StatusUnauthorized {
		t.Errorf("after a kill: %d", got)
	}
}

// TestS2_CookieOfAnotherHost: one host's cookie is no use on another, on the
// portal least of all.
func TestS2_CookieOfAnotherHost(t *testing.T) {
	t.Parallel()
	s, plain := house.get(t), lodge.get(t)
	b := s.Client(t)
	b.signInTo(s, "app.example.com", carol)
	b.open(s.at("app.example.com", "/"))
	portal, app := s.token(t, b, "auth.example.com"), s.token(t, b, "app.example.com")
	own := plain.Client(t)
	own.signIn(plain.at("app.localhost", ""), carol)
	for what, test := range map[string]struct {
		s     *server
		to    string
		token string
	}{
		"the app's at another app":    {s, s.at("wiki.example.net", "/"), app},
		"the app's at the portal":     {s, s.at("auth.example.com", "/.gate/whoami"), app},
		"the portal's at an app":      {s, s.at("app.example.com", "/"), portal},
		"one host's at another host":  {plain, plain.at("staff.localhost", "/"), plain.token(t, own, "app.localhost")},
		"another installation's":      {s, s.at("app.example.com", "/"), plain.token(t, own, "app.localhost")},
		"the flow cookie as session":  {s, s.at("app.example.com", "/"), b.cookie(s.at("app.example.com", "/"), "__Host-gate-flow")},
		"the hash in the database":    {s, s.at("app.example.com", "/"), authcore.HashToken(app).Hex()},
		"the hash, cut to its length": {s, s.at("app.example.com", "/"), authcore.HashToken(app).Hex()[:43]},
		"the session's id":            {s, s.at("auth.example.com", "/.gate/whoami"), s.root(t, b)},
	} {
		got := test.s.Client(t).fetch(test.to, header{"Cookie", "__Host-gate=" + test.token + "; gate=" + test.token})
		if got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", what, got.Status)
		}
	}
	// The name for plain HTTP is nothing over HTTPS, and the other way round.
	if got := s.Client(t).fetch(s.at("app.example.com", "/"), header{"Cookie", "gate=" + app}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the bare name over HTTPS: %s", got.Status)
	}
	if got := plain.Client(t).fetch(plain.at("app.localhost", "/"), header{"Cookie", "__Host-gate=" + plain.token(t, own, "app.localhost")}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the prefixed name over HTTP: %s", got.Status)
	}
}

// TestS2_OthersSessions: nobody ends a session of somebody else.
func TestS2_OthersSessions(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	victim, thief := s.Client(t), s.Client(t)
	victim.signInTo(s, "app.example.com", carol)
	thief.signIn(s.at("auth.example.com", ""), dave)
	got := thief.post(s.at("auth.example.com", "/.gate/account/sessions/revoke"), url.Values{"id": {s.root(t, victim)}})
	if got.StatusCode != http.StatusNotFound {
		t.Errorf("revoking another's session: %s", got.Status)
	}
	if got := victim.fetch(s.at("auth.example.com", "/.gate/whoami")); got.StatusCode != http.StatusOK {
		t.Errorf("the victim's session: %s", got.Status)
	}
}

// TestS3_GroupTakenAway: a right that is taken away is gone with the next request.
func TestS3_GroupTakenAway(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	p := someone("leaver")
	s.addUser(t, p, "--group", "staff", "--group", "other")
	b := s.visitor(t, "wiki.example.net", p)
	s.must(t, "", "user", "group", p.Username, "--remove", "staff")
	if got := b.fetch(s.at("wiki.example.net", "/s3")); got.StatusCode != http.StatusForbidden {
		t.Errorf("without the group: %s", got.Status)
	}
	s.must(t, "", "user", "group", p.Username, "--add", "staff")
	if got := b.fetch(s.at("wiki.example.net", "/s3-again")); got.StatusCode != http.StatusOK {
		t.Errorf("with the group again: %s", got.Status)
	}
}
