package authcore_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func TestServiceSecrets(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	owner := withOrganization(t, b)
	now := clockStart
	b.Now = func() time.Time { return now }
	first, s, err := b.CreateService(t.Context(), owner, "acme", authcore.ServiceWeb, authcore.ServiceSettings{Name: "Shop"})
	check(t, err)
	if s.Access != authcore.ReachMembers || s.TokenFormat != authcore.TokenJWT || s.AccessLife != 10*time.Minute || s.Status != authcore.Active || s.FirstParty || !strings.HasPrefix(first.Reveal(), "gate_cs_") {
		t.Errorf("%+v", s)
	}
	good := func(when string, secret authcore.Secret, want bool) {
		t.Helper()
		s, _, err := b.Store.ServiceByClientID(t.Context(), s.ClientID)
		check(t, err)
		if s.SecretIs(secret, now) != want {
			t.Errorf("%s: %v", when, !want)
		}
	}
	good("the first", first, true)
	good("none", "", false)
	last := "x"
	if strings.HasSuffix(first.Reveal(), last) {
		last = "y"
	}
	good("another", first[:len(first)-1]+authcore.Secret(last), false)
	for _, overlap := range []time.Duration{-1, 8 * 24 * time.Hour} {
		if _, err := b.RotateServiceSecret(t.Context(), owner, "acme", s.ID, overlap); !errors.Is(err, authcore.ErrOverlapInvalid) {
			t.Errorf("%s: %v", overlap, err)
		}
	}
	second := must(b.RotateServiceSecret(t.Context(), owner, "acme", s.ID, time.Hour))(t)
	good("the second", second, true)
	good("the first beside it", first, true)
	now = now.Add(time.Hour)
	good("the first, too late", first, false)
	third := must(b.RotateServiceSecret(t.Context(), owner, "acme", s.ID, 0))(t)
	good("the second, ended at once", second, false)
	good("the third", third, true)
	none, app, err := b.CreateService(t.Context(), owner, "acme", authcore.ServiceMobile, authcore.ServiceSettings{Name: "App"})
	if err != nil || none != "" || app.SecretIs("", now) {
		t.Errorf("an app has a secret: %v", err)
	}
	if _, err := b.RotateServiceSecret(t.Context(), owner, "acme", app.ID, 0); !errors.Is(err, authcore.ErrServicePublic) {
		t.Errorf("an app gets a secret: %v", err)
	}
	if _, _, err := b.CreateService(t.Context(), owner, "acme", authcore.ServiceWeb, authcore.ServiceSettings{Name: "More"}); !errors.Is(err, authcore.ErrServiceLimit) {
		t.Errorf("the third service: %v", err)
	}
	check(t, b.StepOrganization(t.Context(), authcore.CommandLine(), "acme", "suspend", "why"))
	if _, status, err := b.Store.ServiceByClientID(t.Context(), s.ClientID); err != nil || status == authcore.OrganizationActive {
		t.Errorf("suspended: %s, %v", status, err)
	}
}

// How a service speaks OAuth: what it has unless somebody says otherwise, what is kept of
// what somebody says, and what no service of its type can have.
func TestServiceProtocol(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	owner := withOrganization(t, b)
	_, web, err := b.CreateService(t.Context(), owner, "acme", authcore.ServiceWeb, authcore.ServiceSettings{Name: "Shop"})
	check(t, err)
	if web.Algorithm != authcore.ES256 || len(web.Scopes) > 0 || web.Keys != "" || web.LogoutURI != "" || web.NoPKCE || web.PushedOnly || web.DPoP {
		t.Errorf("%+v", web.ServiceSettings)
	}
	_, app, err := b.CreateService(t.Context(), owner, "acme", authcore.ServiceMobile, authcore.ServiceSettings{Name: "App"})
	check(t, err)
	const key = `{"kty":"EC","kid":"a","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	const long = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	var many []string
	for n := range 51 {
		many = append(many, fmt.Sprint("scope", n))
	}
	for _, c := range []struct {
		n        authcore.ServiceSettings
		field    string // at fault; empty for none
		web, app bool
	}{
		{authcore.ServiceSettings{Algorithm: authcore.RS256, PushedOnly: true, DPoP: true}, "", true, true},
		{authcore.ServiceSettings{Algorithm: "HS256"}, "algorithm", false, false},
		{authcore.ServiceSettings{Algorithm: "none"}, "algorithm", false, false},
		{authcore.ServiceSettings{Scopes: []string{"orders:read", "https://api.example.com/x", "!#[]~", long}}, "", true, true},
		{authcore.ServiceSettings{Scopes: many[:50]}, "", true, true},
		{authcore.ServiceSettings{Scopes: many}, "scopes", false, false},
		{authcore.ServiceSettings{Scopes: []string{"a", "b", "a"}}, "scopes", false, false},
		{authcore.ServiceSettings{Scopes: []string{"email"}}, "scopes", false, false},
		{authcore.ServiceSettings{Scopes: []string{""}}, "scopes", false, false},
		{authcore.ServiceSettings{Scopes: []string{"a b"}}, "scopes", false, false},
		{authcore.ServiceSettings{Scopes: []string{`a"`}}, "scopes", false, false},
		{authcore.ServiceSettings{Scopes: []string{`a\b`}}, "scopes", false, false},
		{authcore.ServiceSettings{Scopes: []string{"ä"}}, "scopes", false, false},
		{authcore.ServiceSettings{Scopes: []string{"a\x7f"}}, "scopes", false, false},
		{authcore.ServiceSettings{Scopes: []string{long + "x"}}, "scopes", false, false},
		{authcore.ServiceSettings{Keys: " \n"}, "", true, true},
		{authcore.ServiceSettings{Keys: ` {"keys": [` + key + `], "more": 1}`}, "keys", true, false},
		{authcore.ServiceSettings{Keys: key}, "keys", false, false},
		{authcore.ServiceSettings{Keys: `{"keys":[{"d":"AA",` + key[1:] + `]}`}, "keys", false, false},
		{authcore.ServiceSettings{LogoutURI: "https://shop.example.com/out?x=1"}, "", true, true},
		{authcore.ServiceSettings{LogoutURI: "http://127.0.0.1:8080/out"}, "", true, true},
		{authcore.ServiceSettings{LogoutURI: "http://shop.example.com/out"}, "backchannel_logout_uri", false, false},
		{authcore.ServiceSettings{LogoutURI: "https://shop.example.com/out#x"}, "backchannel_logout_uri", false, false},
		{authcore.ServiceSettings{LogoutURI: "com.example.app:/out"}, "backchannel_logout_uri", false, false},
		{authcore.ServiceSettings{LogoutURI: "https://u:p@shop.example.com/"}, "backchannel_logout_uri", false, false},
		{authcore.ServiceSettings{NoPKCE: true}, "no_pkce", true, false},
	} {
		for id, good := range map[authcore.ServiceID]bool{web.ID: c.web, app.ID: c.app} {
			n := c.n
			n.Name = "x"
			_, err := b.UpdateService(t.Context(), owner, "acme", id, n)
			var e *authcore.Error
			switch {
			case good && err != nil, !good && (!errors.As(err, &e) || e.Kind != authcore.Invalid || e.Code != "service_"+c.field+"_invalid" || e.Field != c.field):
				t.Errorf("%+v, web %v: %v", c.n, id == web.ID, err)
				continue
			case !good:
				continue
			}
			if n.Keys = strings.TrimSpace(n.Keys); n.Keys != "" {
				n.Keys = `{"keys":[` + key + `]}`
			}
			if n.Algorithm == "" {
				n.Algorithm = authcore.ES256
			}
			got := must(b.Service(t.Context(), owner, "acme", id))(t)
			if got.Algorithm != n.Algorithm || !slices.Equal(got.Scopes, n.Scopes) || got.Keys != n.Keys || got.LogoutURI != n.LogoutURI || got.NoPKCE != n.NoPKCE || got.PushedOnly != n.PushedOnly || got.DPoP != n.DPoP {
				t.Errorf("%+v is kept as %+v", n, got.ServiceSettings)
			}
		}
	}
}

func TestServiceKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	owner := withOrganization(t, b)
	now := clockStart
	b.Now = func() time.Time { return now }
	_, s, err := b.CreateService(t.Context(), owner, "acme", authcore.ServiceAPI, authcore.ServiceSettings{Name: "Shop", Access: authcore.ReachEveryone})
	check(t, err)
	_, other, err := b.CreateService(t.Context(), owner, "acme", authcore.ServiceAPI, authcore.ServiceSettings{Name: "Other", Access: authcore.ReachEveryone})
	check(t, err)
	bob, cat := person(t, b, "bob"), person(t, b, "cat")
	check(t, b.NoteEndUser(t.Context(), s, bob.User))
	check(t, b.NoteEndUser(t.Context(), other, cat.User))
	key := func(end time.Time, scopes ...authcore.ServiceScope) (authcore.Secret, error) {
		text, _, err := b.CreateServiceKey(t.Context(), owner, "acme", s.ID, authcore.NewServiceKey{Name: "server", Scopes: scopes, ExpiresAt: end})
		return text, err
	}
	for what, err := range map[string]error{"no scope": err2(key(time.Time{})), "an unknown one": err2(key(time.Time{}, "all")), "ended": err2(key(now, authcore.ScopeUsersRead))} {
		if err == nil {
			t.Errorf("a key: %s", what)
		}
	}
	text := must(key(now.Add(time.Hour), authcore.ScopeUsersRead, authcore.ScopeSessionsRevoke))(t)
	of, k, err := b.ServiceByKey(t.Context(), text.Reveal())
	if err != nil || of.ID != s.ID || !k.LastUsed.Equal(now) || !strings.HasPrefix(text.Reveal(), "gate_sk_") {
		t.Errorf("%+v, %+v, %v", of, k, err)
	}
	now = now.Add(4 * time.Minute)
	if _, k, err = b.ServiceByKey(t.Context(), text.Reveal()); err != nil || !k.LastUsed.Equal(clockStart) {
		t.Errorf("used again soon: %+v, %v", k, err)
	}
	now = now.Add(time.Minute)
	if _, k, err = b.ServiceByKey(t.Context(), text.Reveal()); err != nil || !k.LastUsed.Equal(now) {
		t.Errorf("used again: %+v, %v", k, err)
	}
	for _, bad := range []string{"", "gate_sk_", text.Reveal()[1:], text.Reveal() + "0", text.Reveal()[:len(text)-1] + "_"} {
		if _, _, err := b.ServiceByKey(t.Context(), bad); !errors.Is(err, authcore.ErrKeyInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// What it acts on: the users of its service, within its scopes.
	by := k.Actor(authcore.Client{})
	all, err := b.EndUsers(t.Context(), by, "acme", authcore.EndUserQuery{Limit: 10})
	if err != nil || len(all) != 1 || all[0].User != bob.User {
		t.Errorf("%+v, %v", all, err)
	}
	for what, c := range map[string][2]error{
		"another service":    {err2(b.EndUsers(t.Context(), by, "acme", authcore.EndUserQuery{Service: other.ID})), authcore.ErrServiceNotFound},
		"another's user":     {err2(b.RevokeEndUserSessions(t.Context(), by, "acme", cat.User, "")), authcore.ErrEndUserNotFound},
		"its user":           {err2(b.RevokeEndUserSessions(t.Context(), by, "acme", bob.User, "")), nil},
		"beyond its scopes":  {b.BarEndUser(t.Context(), by, "acme", bob.User, ""), authcore.ErrNotAllowed},
		"what is for people": {err2(b.Services(t.Context(), by, "acme", authcore.ServiceQuery{Limit: 10})), authcore.ErrNotAllowed},
	} {
		if !errors.Is(c[0], c[1]) {
			t.Errorf("%s: %v", what, c[0])
		}
	}
	now = clockStart.Add(time.Hour)
	if _, _, err := b.ServiceByKey(t.Context(), text.Reveal()); !errors.Is(err, authcore.ErrKeyInvalid) {
		t.Errorf("ended: %v", err)
	}
	if _, err := b.EndUsers(t.Context(), by, "acme", authcore.EndUserQuery{}); !errors.Is(err, authcore.ErrOrganizationNotFound) {
		t.Errorf("ended, acts: %v", err)
	}
}

func TestRedirectURIs(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	owner := withOrganization(t, b)
	_, web, err := b.CreateService(t.Context(), owner, "acme", authcore.ServiceWeb, authcore.ServiceSettings{Name: "Shop"})
	check(t, err)
	_, app, err := b.CreateService(t.Context(), owner, "acme", authcore.ServiceDesktop, authcore.ServiceSettings{Name: "App"})
	check(t, err)
	set := func(id authcore.ServiceID, all ...string) error {
		return err2(b.UpdateService(t.Context(), owner, "acme", id, authcore.ServiceSettings{Name: "x", RedirectURIs: all}))
	}
	for _, c := range []struct {
		uri      string
		web, app bool
	}{
		{"https://app.example.com/callback?x=1", true, true}, {"https://app.example.com:8443/", true, true}, {"https://[2001:db8::1]/", true, true},
		{"http://localhost:3000/", true, true}, {"http://127.0.0.1/", true, true}, {"http://[::1]:8080/x", true, true}, {"http://shop.localhost:3000/", true, true},
		{"http://evil-localhost/", false, false}, {"http://localhost.:1/", false, false}, {"http://127.0.0.1:99999/", false, false}, {"https://app.example.com:0/", false, false},
		{"com.example.app:/callback", false, true}, {"com.example.app://callback", false, true},
		{"http://app.example.com/", false, false}, {"http://127.0.0.1.evil.example/", false, false}, {"http://localhost.evil.example/", false, false},
		{"https://app.example.com/#x", false, false}, {"https://app.example.com/#", false, false}, {"https://u:p@app.example.com/", false, false},
		{"https://*.example.com/", false, false}, {"https://app.example.com/*", false, false}, {"https:///x", false, false}, {"https:x", false, false},
		{"javascript:alert(1)", false, false}, {"data:text/html,x", false, false}, {"myapp:/x", false, false}, {"/callback", false, false}, {"", false, false},
		{"https://app.example.com/a b", false, false}, {"https://app.example.com/\n", false, false}, {"https://app.example.com\\@evil.example/", false, false},
		{"HTTPS://app.example.com/", false, false}, {"https://App.example.com/", false, false}, {"https://app.example.com/a/../b", false, false}, {"https://ä.example/", false, false},
		{"https://app.example.com/" + strings.Repeat("x", 2000), false, false},
	} {
		if err := set(web.ID, c.uri); err == nil != c.web {
			t.Errorf("%q, web: %v", c.uri, err)
		}
		if err := set(app.ID, c.uri); err == nil != c.app {
			t.Errorf("%q, app: %v", c.uri, err)
		}
	}
	var many []string
	for n := range 21 {
		many = append(many, fmt.Sprintf("https://app.example.com/%d", n))
	}
	check(t, set(web.ID, many[:20]...))
	for what, all := range map[string][]string{"21": many, "twice the same": {many[0], many[0]}} {
		if err := set(web.ID, all...); err == nil {
			t.Errorf("addresses: %s", what)
		}
	}
	app.RedirectURIs, web.RedirectURIs = []string{"http://127.0.0.1/cb", "http://localhost/cb"}, []string{"http://127.0.0.1/cb", "https://a.example.com/cb"}
	for _, c := range []struct {
		uri      string
		web, app bool
	}{
		{"http://127.0.0.1/cb", true, true}, {"http://127.0.0.1:5555/cb", false, true}, {"http://127.0.0.1:5555/cb?x", false, false}, {"http://127.0.0.1:5555/CB", false, false},
		{"http://localhost:5555/cb", false, false}, {"http://localhost/cb", false, true}, {"https://127.0.0.1:5555/cb", false, false}, {"http://u@127.0.0.1:5555/cb", false, false},
		{"http://127.0.0.1:5555.evil.example/cb", false, false}, {"https://a.example.com/cb", true, false}, {"https://a.example.com/cb/", false, false}, {"http://127.0.0.2:5555/cb", false, false},
	} {
		if web.Redirects(c.uri) != c.web || app.Redirects(c.uri) != c.app {
			t.Errorf("%q: web %v, app %v", c.uri, web.Redirects(c.uri), app.Redirects(c.uri))
		}
	}
}

// Whatever a person writes as an address, what is let through leads to one place and no
// other, and never to another host than it says.
func FuzzRedirectURI(f *testing.F) {
	for _, text := range []string{"http://127.0.0.1:1/cb", "http://[::1]/cb", "https://a.example.com/cb", "http://127.0.0.1:5@evil.example/cb", "http://127.0.0.1:/cb"} {
		f.Add(text)
	}
	s := authcore.Service{Type: authcore.ServiceMobile, ServiceSettings: authcore.ServiceSettings{RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]:80/cb"}}}
	f.Fuzz(func(t *testing.T, text string) {
		if !s.Redirects(text) {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" || u.Path != "/cb" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			t.Errorf("%q is let through: %+v, %v", text, u, err)
		}
	})
}

func TestOrganizationProvider(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	owner := withOrganization(t, b)
	b.ClientSealer = authcore.NewSecretKey().NewSealer("client", b.Now)
	check(t, b.SetOrganizationProvider(t.Context(), owner, "acme", "google", " id ", "planted-secret"))
	own, err := b.ClientOf(t.Context(), "acme", "google")
	if err != nil || own == nil || own.ClientID != "id" || own.Secret.Reveal() != "planted-secret" || own.Slug != "acme" || own.Organization == "" {
		t.Errorf("%+v, %v", own, err)
	}
	shown, err := b.OrganizationProvider(t.Context(), owner, "acme", "google")
	if err != nil || shown.ClientID != "id" || shown.Sealed != "" {
		t.Errorf("%+v, %v", shown, err)
	}
	_, kept, err := b.db.ProviderClient(t.Context(), "acme", "google")
	if err != nil || kept.Sealed == "" || strings.Contains(kept.Sealed, "planted") {
		t.Errorf("%+v, %v", kept, err)
	}
	// The secret of one client does not open as that of another.
	o := must(b.db.OrganizationBySlug(t.Context(), "acme"))(t)
	kept.Name = "github"
	check(t, b.db.SetProviderClient(t.Context(), o.ID, kept, authcore.NewEvent(clockStart, owner, authcore.ProviderSet, "", authcore.Success, "")))
	if _, err := b.ClientOf(t.Context(), "acme", "github"); err == nil {
		t.Error("a secret that was moved opens")
	}
	if own, err := b.ClientOf(t.Context(), "other", "google"); own != nil || err != nil {
		t.Errorf("of no organization: %+v, %v", own, err)
	}
	for _, c := range [][3]string{{"Google!", "id", "s"}, {"google", "", "s"}, {"google", "id", ""}, {"google", "id\n", "s\x00"}} {
		if err := b.SetOrganizationProvider(t.Context(), owner, "acme", c[0], c[1], authcore.Secret(c[2])); !errors.Is(err, authcore.ErrClientInvalid) {
			t.Errorf("%q: %v", c, err)
		}
	}
}
