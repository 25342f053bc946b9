package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// tenants has an app for everybody, and one for each of two organizations.
const tenants = `{
	{{.Global}}
	gate {
		{{.Gate}}
		register invite
		portal https://auth.example.com:{{.HTTPS}}
		trusted_proxies 127.0.0.1
		limits {
			address off
			account off
		}
		policy all {
			allow everyone
			public /open
			tokens /api/*
		}
		policy acme {
			allow org:acme
		}
		policy beta {
			allow role:beta/admin role:beta/owner
		}
	}
}
https://auth.example.com:{{.HTTPS}} {
	gate_portal
}
https://bare.example.com:{{.HTTPS}} {
	gate
	reverse_proxy {{.Upstream}} {
		header_up X-Placed "{http.auth.user.organization}/{http.auth.user.organization_role}"
	}
}
https://all.example.com:{{.HTTPS}} {
	gate all
	reverse_proxy {{.Upstream}}
}
https://acme.example.com:{{.HTTPS}} {
	gate acme
	@everyone gate everyone
	header @everyone X-Matched yes
	reverse_proxy {{.Upstream}} {
		header_up X-Placed "{http.auth.user.organization}/{http.auth.user.organization_role}"
	}
}
https://beta.example.com:{{.HTTPS}} {
	gate beta {
		headers {
			user X-App-User
			groups X-App-Groups
			name X-App-Name
			email X-App-Email
			id X-App-Id
			organization X-App-Tenant
			role X-App-Tenant-Role
		}
	}
	reverse_proxy {{.Upstream}}
}
https://both.example.com:{{.HTTPS}} {
	route {
		gate acme
		gate beta
		reverse_proxy {{.Upstream}} {
			header_up X-Placed "{http.auth.user.organization}/{http.auth.user.organization_role}"
		}
	}
}
https://signed.example.com:{{.HTTPS}} {
	@beta path /beta/*
	route {
		handle @beta {
			gate beta {
				headers jwt
			}
			reverse_proxy {{.Upstream}}
		}
		handle {
			gate acme {
				headers jwt
			}
			reverse_proxy {{.Upstream}}
		}
	}
}
http://:{{.HTTP}} {
	gate_verify {
		host all.example.com all
		host acme.example.com acme
	}
}
`

// Whoever came by the invitation of an organization passes where a rule names it, and
// nowhere else, until somebody who runs the installation admits them.
func TestOrganizationOnly(t *testing.T) {
	t.Parallel()
	s := start(t, tenants)
	withOwner(t, s)
	ann, old := someone("ann"), someone("old")
	s.addUser(t, old)
	s.must(t, "", "org", "add", "acme", "--owner", "owner")
	invited := func() string {
		t.Helper()
		_, token, _ := strings.Cut(s.must(t, "", "org", "invite", "acme"), "/.gate/invitation?token=")
		token, _, _ = strings.Cut(token, "\n")
		return strings.TrimSpace(token)
	}
	auth := s.at("auth.example.com", "")
	accepts := func(b *browser, token string) {
		t.Helper()
		if got := b.follow(b.post(auth+"/.gate/invitation", url.Values{"do": {"accept"}, "token": {token}})); got.StatusCode != http.StatusOK {
			t.Fatalf("accepting: %s\n%s", got.Status, got.Body)
		}
	}
	token := invited()
	b, form := s.Client(t), ann.form()
	form.Set("invite", token)
	if got := b.post(auth+"/.gate/register", form); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("registering: %s\n%s", got.Status, got.Body)
	}
	opens := func(when string, b *browser, want map[string]int) {
		t.Helper()
		for host, status := range want {
			if got := b.open(s.at(host+".example.com", "/page")); got.StatusCode != status {
				t.Errorf("%s, %s: %s, want %d", when, host, got.Status, status)
			}
		}
	}
	nowhere := map[string]int{"bare": 403, "all": 403, "acme": 403, "beta": 403}
	within := map[string]int{"bare": 403, "all": 403, "acme": 200, "beta": 403}
	everywhere := map[string]int{"bare": 200, "all": 200, "acme": 200, "beta": 403}
	opens("registered", b, nowhere)
	accepts(b, token)
	opens("a member", b, within)
	for _, path := range []string{"/.gate/account", "/.gate/org/acme"} {
		if got := b.get(auth + path); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, got.Status)
		}
	}
	if got := b.open(s.at("all.example.com", "/open")); got.StatusCode != http.StatusOK {
		t.Errorf("a public path: %s", got.Status)
	}
	if got := b.get(s.at("acme.example.com", "/page")); got.Header.Get("X-Matched") != "" {
		t.Error("the matcher takes a user of an organization for everyone")
	}
	if said := s.must(t, "", "explain", "--user", "ann", s.at("all.example.com", "/page")); !strings.Contains(said, "deny") || !strings.Contains(said, "belongs to an organization only") || !strings.Contains(said, "user admit ann") {
		t.Errorf("explained: %s", said)
	}
	if said := s.must(t, "", "user", "show", "ann"); !strings.Contains(strings.Join(strings.Fields(said), " "), "Organization only: yes") {
		t.Errorf("%s", said)
	}
	s.must(t, "", "user", "group", "ann", "--add", "staff")
	opens("in a group", b, within)
	asks := func(host string) int {
		t.Helper()
		return b.fetch(s.URL("HTTP", "auth.example.com")+"/verify/caddy", header{"X-Forwarded-Method", "GET"}, header{"X-Forwarded-Proto", "https"},
			header{"X-Forwarded-Host", host + ".example.com"}, header{"X-Forwarded-Uri", "/page"}, header{"Cookie", "__Host-gate=" + s.token(t, b, host+".example.com")}).StatusCode
	}
	if all, acme := asks("all"), asks("acme"); all != 403 || acme != 200 {
		t.Errorf("a verifier answers %d where everyone passes, %d where the organization does", all, acme)
	}
	secret := tokenText.FindString(s.must(t, "", "token", "add", "script", "--user", "ann", "--host", "all.example.com"))
	byToken := func(want int) {
		t.Helper()
		if got := s.Client(t).fetch(s.at("all.example.com", "/api/x"), header{"Authorization", "Bearer " + secret}); got.StatusCode != want {
			t.Errorf("by token: %s, want %d", got.Status, want)
		}
	}
	byToken(403)
	s.must(t, "", "user", "admit", "ann")
	opens("admitted", b, everywhere)
	byToken(200)
	s.must(t, "", "user", "admit", "ann", "--organization-only")
	opens("not any more", b, within)
	if n := len(s.audit(t, "user.admit")); n != 2 {
		t.Errorf("%d events", n)
	}

	other := s.Client(t)
	other.signIn(auth, old)
	accepts(other, invited())
	opens("who was there before", other, everywhere)
}

// Apps are told the organization that the rule names which lets in, and no client says one.
func TestActiveOrganization(t *testing.T) {
	t.Parallel()
	s := start(t, tenants)
	withOwner(t, s)
	bob, cat := someone("bob"), someone("cat")
	s.addUser(t, bob)
	s.addUser(t, cat)
	s.must(t, "", "org", "add", "acme", "--owner", "owner")
	s.must(t, "", "org", "add", "beta", "--owner", "bob")
	s.must(t, "", "org", "member", "acme", "bob")
	s.must(t, "", "org", "member", "acme", "cat", "--role", "admin")
	names := []string{"Remote-Organization", "Remote-Organization-Role", "X-App-Tenant", "X-App-Tenant-Role", "X-Token-Organization", "X-Authentik-Meta-Organization-Role"}
	var lies []header
	for _, name := range names {
		lies = append(lies, header{name, "evil"}, header{strings.ReplaceAll(name, "-", "_"), "evil"}, header{strings.Replace(name, "-", ".", 1), "evil"})
	}
	is := func(b *browser, host string, want map[string]string) {
		t.Helper()
		got := b.get(s.at(host, "/page"), lies...)
		passes(t, got)
		e := got.echo(t)
		for _, name := range append([]string{"X-Placed"}, names...) {
			if value := e.get(name); value != want[name] && (name != "X-Placed" || want[name] != "") {
				t.Errorf("%s: %s is %q, want %q", host, name, value, want[name])
			}
		}
		if strings.Contains(got.Body, "evil") {
			t.Errorf("%s: the upstream gets what the client says:\n%s", host, got.Body)
		}
	}
	member := map[string]string{"Remote-Organization": "acme", "Remote-Organization-Role": "member", "X-Placed": "acme/member"}
	owns := map[string]string{"X-App-Tenant": "beta", "X-App-Tenant-Role": "owner"}
	b := s.Client(t)
	for _, host := range []string{"bare", "all", "acme", "beta", "both"} {
		passes(t, b.arrive(s.at(host+".example.com", "/page"), bob))
	}
	is(b, "bare.example.com", map[string]string{"X-Placed": "/"}) // of two none
	is(b, "acme.example.com", member)
	is(b, "beta.example.com", owns)
	is(b, "acme.example.com", member)
	is(b, "both.example.com", map[string]string{"Remote-Organization": "beta", "Remote-Organization-Role": "owner", "X-Placed": "beta/owner"})

	passes(t, b.arrive(s.at("signed.example.com", "/page"), bob))
	for range 2 { // what is kept of one is not told in the other
		for path, want := range map[string][2]string{"/page": {"acme", "member"}, "/beta/page": {"beta", "owner"}} {
			claims, err := s.claims(t, s.at("signed.example.com", ""), b.get(s.at("signed.example.com", path)).echo(t).get("Gate-Assertion"))
			if err != nil || claims["org"] != want[0] || claims["org_role"] != want[1] {
				t.Errorf("%s: %v, %v", path, claims, err)
			}
		}
	}

	c := s.Client(t)
	passes(t, c.arrive(s.at("bare.example.com", "/page"), cat))
	is(c, "bare.example.com", map[string]string{"Remote-Organization": "acme", "Remote-Organization-Role": "admin", "X-Placed": "acme/admin"})
	got := c.fetch(s.URL("HTTP", "auth.example.com")+"/verify/caddy", header{"X-Forwarded-Method", "GET"}, header{"X-Forwarded-Proto", "https"},
		header{"X-Forwarded-Host", "acme.example.com"}, header{"X-Forwarded-Uri", "/page"}, header{"Cookie", "__Host-gate=" + s.newToken(t, "acme.example.com", cat)})
	if got.StatusCode != 200 || got.Header.Get("Remote-Organization") != "acme" || got.Header.Get("Remote-Organization-Role") != "admin" {
		t.Errorf("the verifier: %s %v", got.Status, got.Header)
	}
	s.must(t, "", "org", "member", "acme", "cat")
	began := time.Now()
	for c.get(s.at("bare.example.com", "/page")).echo(t).get("Remote-Organization-Role") != "member" {
		if time.Since(began) > 5*time.Second {
			t.Fatal("another role does not reach the app")
		}
	}
	s.must(t, "", "org", "suspend", "acme", "--reason", "x")
	is(c, "bare.example.com", map[string]string{"X-Placed": "/"})
}
