package integration

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// tokenText is what scanners look for; docs/access-tokens.md has it.
var tokenText = regexp.MustCompile(`gate_[0-9A-Za-z]{49}`)

// A token of the command line is good where policy and grant say so, and nowhere
// once it is revoked.
func TestAccessTokens(t *testing.T) {
	t.Parallel()
	s := rooms.get(t)
	at := s.at("tools.example.com", "")
	s.must(t, "", "user", "add", "robot", "--no-password", "--group", "staff")
	printed := s.must(t, "", "token", "add", "Backup", "--user", "robot", "--host", "tools.example.com", "--path", "/api/*", "--expires", "30d")
	token := tokenText.FindString(printed)
	if token == "" {
		t.Fatalf("printed %q", printed)
	}
	b := s.Client(t)
	bearer := func(token string) header { return header{"Authorization", "Bearer " + token} }
	basic := header{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+token))}
	for _, with := range []header{bearer(token), basic} {
		got := b.fetch(at+"/api/x", with)
		passes(t, got)
		if e := got.echo(t); e.get("Remote-User") != "robot" || e.get("Remote-Groups") != "staff" || e.get("Authorization") != "" {
			t.Errorf("the app is told %v", e.Header)
		}
	}
	stranger, _ := authcore.MakeAccessToken()
	for _, tt := range []struct {
		what, to string
		with     header
		status   int
		code     string
	}{
		{"a path without tokens", at + "/other", bearer(token), 401, "token_not_accepted"},
		{"another spelling", at + "/API/x", bearer(token), 401, "token_not_accepted"},
		{"an encoded path", at + "/other/..%2fapi/x", bearer(token), 401, "token_not_accepted"},
		{"a path that it is not good for", at + "/hooks/x", bearer(token), 403, "token_not_granted"},
		{"a scope that it has not", at + "/api/admin/x", bearer(token), 403, "insufficient_scope"},
		{"a site without tokens", s.at("rooms.example.com", "/api/x"), bearer(token), 401, "token_not_accepted"},
		{"one that never was", at + "/api/x", bearer(stranger.Reveal()), 401, "token_invalid"},
		{"cut short", at + "/api/x", bearer(token[:50]), 401, "login_required"},
		{"as a cookie", at + "/api/x", header{"Cookie", s.cookieName("tools.example.com") + "=" + token}, 401, "login_required"},
		{"in the address", at + "/api/x?access_token=" + token, header{"X-None", "1"}, 401, "login_required"},
		{"the account page", s.at("auth.example.com", "/.gate/whoami"), bearer(token), 401, "login_required"},
	} {
		got := s.Client(t).fetch(tt.to, tt.with)
		if got.StatusCode != tt.status || !strings.Contains(got.Body, `"`+tt.code+`"`) {
			t.Errorf("%s: %s, want %d %s\n%.300s", tt.what, got.Status, tt.status, tt.code, got.Body)
		}
		if strings.HasPrefix(tt.code, "token_") && !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: asks for %q", tt.what, got.Header["Www-Authenticate"])
		}
	}
	if asks := strings.Join(s.Client(t).fetch(at + "/api/x").Header["Www-Authenticate"], "; "); !strings.Contains(asks, "Bearer realm") || !strings.Contains(asks, "Basic realm") {
		t.Errorf("without one, a program is asked for %q", asks)
	}
	if asks := s.Client(t).fetch(at+"/api/x", header{"Sec-Fetch-Mode", "cors"}).Header["Www-Authenticate"]; strings.Contains(strings.Join(asks, ""), "Basic") {
		t.Errorf("a browser is asked for %q", asks)
	}

	list := s.must(t, "", "token", "list", "--user", "robot")
	id := regexp.MustCompile(`[0-9a-f-]{36}`).FindString(list)
	if !strings.Contains(list, "Backup") || strings.Contains(list, "never") || strings.Contains(list, token) {
		t.Errorf("listed:\n%s", list)
	}
	s.must(t, "", "user", "disable", "robot")
	if got := b.fetch(at+"/api/x", bearer(token)); got.StatusCode != 401 {
		t.Errorf("of a disabled user: %s", got.Status)
	}
	s.must(t, "", "user", "enable", "robot")
	passes(t, b.fetch(at+"/api/x", bearer(token)))
	s.must(t, "", "token", "revoke", id)
	if got := b.fetch(at+"/api/x", bearer(token)); got.StatusCode != 401 || !strings.Contains(got.Body, "token_invalid") {
		t.Errorf("revoked: %s %s", got.Status, got.Body)
	}
	if n := s.count(t, "SELECT count(*) FROM events WHERE action IN ('token.create', 'token.revoke') AND target = ?", "token:"+id); n != 2 {
		t.Errorf("%d events", n)
	}
	if strings.Contains(s.Log(), token) {
		t.Error("the token is in the log")
	}
}

// On the account page a token is made, shown once, and revoked.
func TestAccessTokenPage(t *testing.T) {
	t.Parallel()
	s := rooms.get(t)
	portal, at := s.at("auth.example.com", "/.gate/account"), s.at("tools.example.com", "/api/x")
	b := s.Client(t)
	mustGo(t, b.login(s.at("auth.example.com", ""), dave))
	if got := b.get(portal); !strings.Contains(got.Body, "New access token") {
		t.Fatalf("the page offers none: %s at %s", got.Status, got.Request.URL)
	}
	form := url.Values{"token_name": {"Phone"}, "hosts": {"tools.example.com"}, "paths": {"api"}, "days": {"7"}, "current_password": {dave.Password}}
	if got := b.post(portal+"/tokens", form); got.StatusCode != 400 || !strings.Contains(got.Body, "must start with /") || !strings.Contains(got.Body, `value="Phone"`) {
		t.Errorf("a path without slash: %s", got.Status)
	}
	form.Set("days", "1000")
	if got := b.post(portal+"/tokens", form); got.StatusCode != 400 || !strings.Contains(got.Body, "up to 366") {
		t.Errorf("too many days: %s", got.Status)
	}
	form.Set("days", "7")
	form.Set("paths", "/api/*")
	got := b.post(portal+"/tokens", form)
	token := tokenText.FindString(got.Body)
	if got.StatusCode != 200 || token == "" || !strings.Contains(got.Body, "not shown again") || got.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("made: %s", got.Status)
	}
	with := header{"Authorization", "Bearer " + token}
	passes(t, s.Client(t).fetch(at, with))
	page := b.get(portal)
	if strings.Contains(page.Body, token) || !strings.Contains(page.Body, "Phone") {
		t.Error("the list")
	}
	id := regexp.MustCompile(`account/tokens/revoke">\s*<input type="hidden" name="id" value="([0-9a-f-]{36})"`).FindStringSubmatch(page.Body)
	if id == nil {
		t.Fatal("no way to revoke it")
	}
	other := s.Client(t)
	mustGo(t, other.login(s.at("auth.example.com", ""), bob))
	if got := other.post(portal+"/tokens/revoke", url.Values{"id": {id[1]}, "current_password": {bob.Password}}); got.StatusCode != 404 {
		t.Errorf("revoked by somebody else: %s", got.Status)
	}
	passes(t, s.Client(t).fetch(at, with))
	mustGo(t, b.post(portal+"/tokens/revoke", url.Values{"id": {id[1]}, "current_password": {dave.Password}}))
	if got := s.Client(t).fetch(at, with); got.StatusCode != 401 {
		t.Errorf("revoked: %s", got.Status)
	}
}
