package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// actingGate has an app that is told of people in headers, one in an assertion, and one for
// those with a second factor; it sends mail.
const actingGate = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.com:{{.HTTPS}}
		limits {
			address off
			account off
		}
		mail {
			smtp 127.0.0.1:{{.SMTP}}
			tls off
			from gate@example.org
		}
		policy safe {
			allow everyone
			require 2fa
		}
	}
}
https://auth.example.com:{{.HTTPS}} {
	gate_portal
}
https://app.example.com:{{.HTTPS}} {
	gate
	reverse_proxy {{.Upstream}}
}
https://signed.example.com:{{.HTTPS}} {
	gate {
		headers jwt
	}
	reverse_proxy {{.Upstream}}
}
https://safe.example.com:{{.HTTPS}} {
	gate safe
	reverse_proxy {{.Upstream}}
}
`

// actAs signs an owner in as a user, from the page of that user.
func (b *browser) actAs(portal, user string) page {
	b.t.Helper()
	return b.post(portal+"/.gate/admin/users/"+user, url.Values{"do": {"act"}, "reason": {"ticket 12 <b>"}})
}

// A platform owner acts as a user: apps see the user, an assertion and the audit log name
// both, nothing of the account can be changed, and it ends after 15 minutes.
func TestActAsUser(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		box := newLetterbox(t, nil)
		s := start(t, actingGate, c.gate, func(s *server) { s.Vars["SMTP"] = box.port })
		withOwner(t, s)
		owner, ann := someone("owner"), someone("ann")
		s.addUser(t, ann)
		s.addUser(t, someone("boss"), "--owner")
		id := func(name string) (id string) {
			must(t, s.database(t).QueryRow(s.in("SELECT id FROM users WHERE username = ?"), name).Scan(&id))
			return id
		}
		portal, app, signed := s.at("auth.example.com", ""), s.at("app.example.com", "/page"), s.at("signed.example.com", "/page")
		b := s.Client(t)
		b.signIn(portal, owner)
		b.enrol(portal)
		if got := b.get(portal + "/.gate/admin/users/" + id("ann")); !strings.Contains(got.Body, "Sign in as…") || strings.Contains(got.Body, "You act as") {
			t.Errorf("the page of a user: %s\n%s", got.Status, got.Body)
		}
		if got := b.get(portal + "/.gate/admin/users/" + id("boss")); strings.Contains(got.Body, "Sign in as…") {
			t.Error("the page of an owner offers it")
		}
		if got := b.actAs(portal, id("boss")); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "Nobody acts as an owner") {
			t.Errorf("as an owner: %s\n%s", got.Status, got.Body)
		}
		if got := b.post(portal+"/.gate/admin/users/"+id("ann"), url.Values{"do": {"act"}}); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Body, "Please give a reason") {
			t.Errorf("without a reason: %s\n%s", got.Status, got.Body)
		}
		own := s.token(t, b, "auth.example.com")
		if got := b.actAs(portal, id("ann")); got.StatusCode != http.StatusSeeOther || !strings.HasSuffix(got.location(), "/.gate/account") {
			t.Fatalf("%s %s\n%s", got.Status, got.location(), got.Body)
		}
		if s.token(t, b, "auth.example.com") == own {
			t.Error("the cookie is the owner's own")
		}
		if got := b.get(portal + "/.gate/account"); got.StatusCode != 200 || !strings.Contains(got.Body, "You act as <strong>ann</strong>") || !strings.Contains(got.Body, "<title>As ann:") {
			t.Errorf("the account page: %s\n%s", got.Status, got.Body)
		}
		if told := box.next(t, ann.Email, 1); told.Subject != "Somebody who runs this site signed in as you" || !strings.Contains(told.Text, "ticket 12") {
			t.Errorf("%+v", told)
		}

		sees := b.open(app)
		passes(t, sees)
		if got := sees.echo(t).get("Remote-User"); got != "ann" {
			t.Errorf("the app sees %q", got)
		}
		hers := s.Client(t)
		passes(t, hers.arrive(signed, ann))
		for _, tt := range []struct {
			by   *browser
			want any
		}{{b, map[string]any{"sub": id("owner")}}, {hers, nil}, {b, map[string]any{"sub": id("owner")}}} {
			claims, err := s.claims(t, portal, tt.by.open(signed).echo(t).get("Gate-Assertion"))
			must(t, err)
			if diff := cmp.Diff(tt.want, claims["act"]); diff != "" || claims["preferred_username"] != "ann" {
				t.Errorf("%v: %s", claims, diff)
			}
		}
		passes(t, b.open(s.at("safe.example.com", "/page"))) // as the owner has shown a second factor

		for path, form := range map[string]url.Values{
			"account/profile": {"name": {"X"}, "email": {"x@example.com"}}, "account/password": {"new_password": {"a-long-enough-password"}, "current_password": {ann.Password}},
			"account/tokens": {"name": {"x"}}, "account/data": {}, "account/delete": {"confirm": {"ann"}}, "account/sessions/revoke": {"id": {"0190a000-0000-7000-8000-000000000001"}},
			"confirm": {"password": {ann.Password}}, "admin": {"do": {"x"}},
		} {
			if got := b.post(portal+"/.gate/"+path, form); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "You act as somebody else") {
				t.Errorf("%s: %s\n%.600s", path, got.Status, got.Body)
			}
		}
		for _, path := range []string{"admin", "admin/users", "api/v1/platform/users"} {
			if got := b.get(portal + "/.gate/" + path); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "You act as somebody else") {
				t.Errorf("%s: %s\n%.600s", path, got.Status, got.Body)
			}
		}

		told := s.told(t, "--action", "user.impersonate")
		if len(told) != 1 || told[0].Actor != "owner" || told[0].Target != "user:"+id("ann") || told[0].Details != "ticket 12 <b>" {
			t.Errorf("%+v", told)
		}
		if out := s.must(t, "", "audit", "--action", "session.create", "--actor", "owner"); strings.Count(out, "ann, by owner") != 3 {
			t.Errorf("sites that were opened:\n%s", out)
		}
		s.verified(t)

		if n := s.count(t, "SELECT count(*) FROM sessions WHERE act_id <> '' AND expires_at <= ?", time.Now().Add(15*time.Minute).UnixMicro()); n != 4 {
			t.Errorf("%d sessions end within 15 minutes", n)
		}
		s.edit(t, "UPDATE sessions SET expires_at = expires_at - ? WHERE act_id <> ''", (15 * time.Minute).Microseconds())
		s.age(t, ann, 0) // so that it is read again
		eventually(t, "it has ended everywhere", func() bool {
			return b.fetch(app).StatusCode == http.StatusUnauthorized && b.fetch(signed).StatusCode == http.StatusUnauthorized &&
				strings.Contains(b.get(portal+"/.gate/account").location(), "/.gate/login")
		})
		passes(t, hers.open(signed))
	})
}

// Who stops has no session left; who loses what let them act, none either, on the next request.
func TestActingStops(t *testing.T) {
	t.Parallel()
	s := start(t, consoleGate)
	withOwner(t, s)
	ann, boss := someone("ann"), someone("boss")
	s.addUser(t, ann)
	s.addUser(t, boss, "--owner")
	var id string
	must(t, s.database(t).QueryRow("SELECT id FROM users WHERE username = 'ann'").Scan(&id))
	portal, app := s.URL("HTTPS", "auth.example.org"), s.URL("HTTPS", "app.example.com")+"/page"
	b := s.Client(t)
	for what, stop := range map[string]func(){
		"stop":                  func() { b.post(portal+"/.gate/logout", url.Values{"everywhere": {"yes"}}) },
		"signed out everywhere": func() { s.must(t, "", "session", "revoke", "--user", "boss") },
		"boss is disabled":      func() { s.must(t, "", "user", "disable", "boss"); s.must(t, "", "user", "enable", "boss") },
	} {
		b.forget()
		b.signIn(portal, boss)
		if got := b.actAs(portal, id); got.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s: %s\n%s", what, got.Status, got.Body)
		}
		passes(t, b.open(app))
		stop()
		eventually(t, what, func() bool { return b.fetch(app).StatusCode == http.StatusUnauthorized })
	}
	b.forget()
	b.signIn(portal, boss)
	b.actAs(portal, id)
	passes(t, b.open(app))
	s.must(t, "", "user", "owner", "ann")
	eventually(t, "the user is an owner now", func() bool { return b.fetch(app).StatusCode == http.StatusUnauthorized })
	if n := s.count(t, "SELECT count(*) FROM events WHERE action = 'user.logout' AND act_id <> ''"); n != 1 {
		t.Errorf("%d sign-outs by who acted", n)
	}
}
