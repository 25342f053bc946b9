package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// rooms has policies with blocks.
var rooms = &sharing{ready: people, caddyfile: `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.com:{{.HTTPS}}
		second_factor {
			owners off
		}
		limits {
			address off
			account off
		}
		policy rooms {
			allow everyone
			public /healthz
			path /admin/* {
				allow group:staff
			}
			path /vault/* {
				require fresh 10m
			}
			path /safe {
				require 2fa
			}
			path /notes/* {
				method POST DELETE {
					allow group:staff
				}
			}
		}
		policy tools {
			allow everyone
			tokens /api/* /hooks/*
			tokens /api/admin/* scope:admin
		}
		policy tried {
			allow group:nobody-has-it
			observe
		}
	}
}
https://auth.example.com:{{.HTTPS}} {
	gate_portal
}
https://rooms.example.com:{{.HTTPS}} {
	gate rooms
	reverse_proxy {{.Upstream}}
}
https://authentik.example.com:{{.HTTPS}} {
	gate {
		headers authentik
	}
	reverse_proxy {{.Upstream}}
}
https://match.example.com:{{.HTTPS}} {
	gate
	@staff gate group:staff user:alice
	@cel expression "path('/cel/*') && gate('group:staff')"
	handle /cel/* {
		handle @cel {
			respond "cel staff"
		}
		respond "cel others"
	}
	handle @staff {
		respond "staff {http.auth.user.username}"
	}
	handle {
		respond "others"
	}
}
https://part.example.com:{{.HTTPS}} {
	@staff gate group:staff
	gate /private*
	handle @staff {
		respond "staff"
	}
	handle {
		respond "others"
	}
}
https://own.example.com:{{.HTTPS}} {
	gate {
		headers {
			user X-App-User
			groups X-App-Roles space
		}
	}
	reverse_proxy {{.Upstream}}
}
https://tools.example.com:{{.HTTPS}} {
	gate tools
	reverse_proxy {{.Upstream}}
}
https://tried.example.net:{{.HTTPS}} {
	gate tried
	reverse_proxy {{.Upstream}}
}
`}

func TestPolicyBlocks(t *testing.T) {
	t.Parallel()
	s := rooms.get(t)
	at := s.at("rooms.example.com", "")
	staff, other := s.Client(t), s.Client(t)
	passes(t, staff.arrive(at+"/", carol))
	passes(t, other.arrive(at+"/", bob))
	for _, tt := range []struct {
		b            *browser
		method, path string
		status       int
	}{
		{staff, "GET", "/admin/x", 200},
		{other, "GET", "/admin/x", 403},
		{other, "GET", "/admin", 403},
		{other, "GET", "/ADMIN/x", 403},
		{other, "GET", "/x/..%2fadmin/x", 403},
		{other, "GET", "/notes//admin", 403},
		{other, "GET", "/administrator", 200},
		{other, "GET", "/vault/x", 200},
		{other, "GET", "/notes/1", 200},
		{other, "POST", "/notes/1", 403},
		{other, "DELETE", "/notes/1", 403},
		{other, "delete", "/notes/1", 403},
		{staff, "DELETE", "/notes/1", 200},
	} {
		if got := tt.b.do(tt.method, at+tt.path, "", header{"Sec-Fetch-Site", "same-origin"}); got.StatusCode != tt.status {
			t.Errorf("%s %s: %s, want %d\n%.300s", tt.method, tt.path, got.Status, tt.status, got.Body)
		}
	}
	got := other.fetch(at + "/safe")
	if ask := got.Header.Get("WWW-Authenticate"); got.StatusCode != 401 || !strings.Contains(ask, `error="insufficient_user_authentication"`) || !strings.Contains(ask, `acr_values="mfa"`) {
		t.Errorf("a program without the second factor: %s, %q", got.Status, ask)
	}
	if got := other.open(at + "/safe"); !strings.Contains(got.Request.URL.Path, "/.gate/confirm") || !strings.Contains(got.Body, "Set up an app") {
		t.Errorf("a browser without the second factor: %s at %s\n%s", got.Status, got.Request.URL, got.Body)
	}
	eventually(t, "the audit log says who was refused by what", func() bool {
		n := s.count(t, "SELECT count(*) FROM events WHERE action = 'access.denied' AND details LIKE '%in path /admin/*%'")
		return n > 0 && n < 10
	})
}

// A proof that is too old is asked for again, once for all sites, and leads back.
func TestStepUp(t *testing.T) {
	t.Parallel()
	s := rooms.get(t)
	at := s.at("rooms.example.com", "")
	b := s.Client(t)
	passes(t, b.arrive(at+"/vault/1?x=2", dave))
	s.age(t, dave, time.Hour)
	eventually(t, "the old proof is too old", func() bool { return b.fetch(at+"/vault/1").StatusCode == 401 })
	got := b.fetch(at + "/vault/1")
	if ask := got.Header.Get("WWW-Authenticate"); !strings.Contains(ask, `max_age="600"`) || !strings.Contains(got.Body, "insufficient_user_authentication") {
		t.Errorf("a program is told %q, %s", ask, got.Body)
	}
	passes(t, b.get(at+"/other"))

	page := b.open(at + "/vault/1?x=2")
	if !strings.Contains(page.Request.URL.Path, "/.gate/confirm") || !strings.Contains(page.Body, "Is it still you?") {
		t.Fatalf("a browser gets to %s\n%s", page.Request.URL, page.Body)
	}
	flow := page.Request.URL.Query().Get("flow")
	to := s.at("auth.example.com", "/.gate/confirm")
	if got := b.post(to, url.Values{"password": {"not-the-password"}, "flow": {flow}}); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "password") {
		t.Errorf("a wrong password: %s", got.Status)
	}
	back := b.follow(b.post(to, url.Values{"password": {dave.Password}, "flow": {flow}}))
	if want := at + "/vault/1?x=2"; back.StatusCode != 200 || back.Request.URL.String() != want {
		t.Fatalf("after the proof: %s at %s, want %s\n%s", back.Status, back.Request.URL, want, back.Body)
	}
	if n := s.count(t, "SELECT count(*) FROM events WHERE action = 'user.confirm'"); n != 1 {
		t.Errorf("%d events of the proof", n)
	}
}

// age makes the sessions of somebody as if they had been proven earlier.
func (s *server) age(t testing.TB, p person, by time.Duration) {
	t.Helper()
	tx, err := s.writing(t).Begin()
	must(t, err)
	_, err = tx.Exec(s.in("UPDATE sessions SET auth_time = auth_time - ? WHERE user_id = (SELECT id FROM users WHERE username = ?)"), by.Microseconds(), p.Username)
	must(t, err)
	rows, err := tx.Query(s.in("SELECT DISTINCT root_id FROM sessions WHERE user_id = (SELECT id FROM users WHERE username = ?)"), p.Username)
	must(t, err)
	var roots []string
	for rows.Next() {
		var root string
		must(t, rows.Scan(&root))
		roots = append(roots, root)
	}
	must(t, rows.Close())
	for _, root := range roots {
		_, err = tx.Exec(s.in("INSERT INTO changes (id, changed_at, kind, subject) VALUES (?, ?, 'session', ?)"), uuid.Must(uuid.NewV7()).String(), time.Now().UnixMicro(), root)
		must(t, err)
	}
	must(t, tx.Commit())
}

// The command line and the owners' page say what the gate does, and why.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := rooms.get(t)
	at, tried := s.at("rooms.example.com", ""), s.at("tried.example.net", "")
	owner := s.Client(t)
	mustGo(t, owner.login(s.at("auth.example.com", ""), alice))
	for _, tt := range []struct {
		who, more, url, want string
	}{
		{"", "", at + "/", "sign in: nobody is signed in"},
		{"", "", at + "/healthz", "allow: public /healthz"},
		{"bob", "", at + "/", "allow: allow everyone"},
		{"bob", "", at + "/admin/x", "deny: no allow rule matched, in path /admin/*"},
		{"carol", "", at + "/admin/x", "allow: allow group:staff, in path /admin/*"},
		{"bob", "", at + "/x/..%2fadmin", "deny: no allow rule matched, in path /admin/*"},
		{"bob", "--age 1h", at + "/vault/x", "step up: require fresh 10m, in path /vault/*"},
		{"bob", "", at + "/safe", "step up: require 2fa, in path /safe"},
		{"bob", "--method POST", at + "/notes/1", "deny: no allow rule matched, in path /notes/*, for method POST DELETE"},
		{"bob", "", tried + "/", "deny: no allow rule matched"},
		{"bob", "", s.at("auth.example.com", "/"), "no gate"},
	} {
		args := append([]string{"explain", tt.url}, strings.Fields(tt.more)...)
		if tt.who != "" {
			args = append(args, "--user", tt.who)
		}
		got := s.must(t, "", args...)
		if first, _, _ := strings.Cut(got, "\n"); first != tt.want {
			t.Errorf("%s: got %q, want %q", args, first, tt.want)
		}
		rule := tt.want[strings.Index(tt.want, ":")+1:]
		if builtin := strings.Contains(rule, "no allow rule matched") && !strings.Contains(rule, " in ") || strings.Contains(rule, "nobody") || tt.want == "no gate"; !builtin && !strings.Contains(got, "rule at ") {
			t.Errorf("%s: no line in %q", args, got)
		}
		if tt.more != "" && !strings.Contains(tt.more, "method") {
			continue // the page has no such fields
		}
		_, method, _ := strings.Cut(tt.more, " ")
		page := owner.get(s.at("auth.example.com", "/.gate/admin/explain?") + url.Values{"user": {tt.who}, "url": {tt.url}, "method": {method}}.Encode())
		outcome, _, _ := strings.Cut(tt.want, ":")
		if page.StatusCode != 200 || !strings.Contains(page.Body, "<strong>"+outcome+"</strong>") || !strings.Contains(page.Body, strings.TrimSpace(rule)) {
			t.Errorf("%s: the page says %s\n%s", tt.url, page.Status, page.Body)
		}
	}
	other := s.Client(t)
	mustGo(t, other.login(s.at("auth.example.com", ""), bob))
	if got := other.get(s.at("auth.example.com", "/.gate/admin/explain")); got.StatusCode != 403 {
		t.Errorf("who is not an owner: %s", got.Status)
	}
}

// passes demands that a request got through.
func passes(t testing.TB, p page) {
	t.Helper()
	if p.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%.300s", p.Request.URL, p.Status, p.Body)
	}
}

// echo is the request as the upstream received it.
func (p page) echo(t testing.TB) *echo {
	t.Helper()
	e := new(echo)
	if err := json.Unmarshal([]byte(p.Body), e); err != nil {
		t.Fatalf("%v in %.300s", err, p.Body)
	}
	return e
}

// A policy that observes lets everybody pass, and records what it would have
// refused.
func TestObserve(t *testing.T) {
	t.Parallel()
	s := rooms.get(t)
	at := s.at("tried.example.net", "")
	if got := s.Client(t).get(at+"/secret", header{"Remote-User", "mallory"}); got.StatusCode != 200 || got.echo(t).get("Remote-User") != "" {
		t.Errorf("nobody: %s as %q", got.Status, got.echo(t).get("Remote-User"))
	}
	b := s.Client(t)
	b.signInTo(s, "tried.example.net", bob)
	if got := b.get(at + "/x"); got.StatusCode != 200 || got.echo(t).get("Remote-User") != "bob" {
		t.Errorf("somebody: %s as %q", got.Status, got.echo(t).get("Remote-User"))
	}
	eventually(t, "both are in the audit log", func() bool {
		return s.count(t, "SELECT count(DISTINCT details) FROM events WHERE action = 'access.observed' AND outcome = 'refused' AND target LIKE 'url:tried.example.net/%' AND details IN ('nobody is signed in', 'no allow rule matched')") == 2
	})
}

// Each set of headers is told to the upstream, and no client says any of them.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := rooms.get(t)
	for host, want := range map[string]map[string]string{
		"authentik.example.com": {"X-Authentik-Username": "carol", "X-Authentik-Groups": "staff", "X-Authentik-Name": "Carol", "X-Authentik-Email": "carol@example.com"},
		"own.example.com":       {"X-App-User": "carol", "X-App-Roles": "staff"},
	} {
		b := s.Client(t)
		passes(t, b.arrive(s.at(host, "/"), carol))
		got := b.get(s.at(host, "/"), header{"X-App-User", "alice"}, header{"X_app_user", "alice"}, header{"x-authentik-username", "alice"}, header{"X_Authentik_Uid", "1"}, header{"Remote-User", "alice"})
		passes(t, got)
		e := got.echo(t)
		for name, value := range want {
			if e.get(name) != value {
				t.Errorf("%s: %s is %q, want %q", host, name, e.get(name), value)
			}
		}
		for _, name := range []string{"X-App-User", "X-App-Roles", "X-Authentik-Username", "Remote-User", "Remote-Groups"} {
			if want[name] == "" && e.get(name) != "" {
				t.Errorf("%s: %s is %q", host, name, e.get(name))
			}
		}
	}
}

func TestMatcher(t *testing.T) {
	t.Parallel()
	s := rooms.get(t)
	at, part := s.at("match.example.com", ""), s.at("part.example.com", "")
	staff, other, owner := s.Client(t), s.Client(t), s.Client(t)
	for b, p := range map[*browser]person{staff: carol, other: bob, owner: alice} {
		b.arrive(at+"/", p)
		b.arrive(part+"/private", p)
	}
	for _, tt := range []struct {
		b        *browser
		to, want string
	}{
		{staff, at + "/", "staff carol"}, {owner, at + "/", "staff alice"}, {other, at + "/", "others"},
		{staff, at + "/cel/x", "cel staff"}, {owner, at + "/cel/x", "cel others"}, {other, at + "/cel/x", "cel others"},
		{staff, part + "/private", "staff"}, {other, part + "/private", "others"},
		{staff, part + "/open", "staff"}, {other, part + "/open", "others"}, {s.Client(t), part + "/open", "others"},
	} {
		if got := tt.b.get(tt.to); got.StatusCode != 200 || got.Body != tt.want {
			t.Errorf("%s: %s %q, want %q", tt.to, got.Status, got.Body, tt.want)
		}
	}
}

// A browser that loses the session's cookie is told so, in place of a third redirect.
func TestNoCircles(t *testing.T) {
	t.Parallel()
	s := rooms.get(t)
	at := s.at("rooms.example.com", "")
	for _, tt := range []struct{ what, value, says string }{
		{"lost", "", "does not send the cookie"},
		{"replaced", "gate_made-up", "its session is not known here"},
	} {
		b := s.Client(t)
		b.signIn(s.at("auth.example.com", ""), bob)
		u, err := url.Parse(at)
		must(t, err)
		turns := 0
		var got page
		for turns = 0; turns < 6; turns++ {
			if got = b.get(at + "/"); got.StatusCode != http.StatusFound {
				break
			}
			back := b.get(got.location())     // the portal, where bob is signed in
			mustGo(t, b.get(back.location())) // the hand-off works
			b.Jar.SetCookies(u, []*http.Cookie{{Name: "__Host-gate", Value: tt.value, Path: "/", Secure: true, MaxAge: map[bool]int{true: -1}[tt.value == ""]}})
		}
		if turns != 2 || got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, tt.says) {
			t.Errorf("%s: after %d turns: %s\n%s", tt.what, turns, got.Status, got.Body)
		}
		if again := b.get(at + "/"); again.StatusCode != http.StatusFound {
			t.Errorf("%s: another try: %s", tt.what, again.Status)
		}
		if program := b.fetch(at + "/"); program.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: a program: %s", tt.what, program.Status)
		}
	}
}
