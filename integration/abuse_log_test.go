package integration

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const talkative = `{
	{{.Global}}
	debug
	log {
		level DEBUG
	}
	gate {
		{{.Gate}}
		secret_key {env.GATE_KEY}
		portal https://auth.example.com:{{.HTTPS}}
		register invite
		limits {
			address off
			account 5 1h
		}
	}
}
(logged) {
	log {
		level DEBUG
	}
	log_append user {http.auth.user.id}
}
https://auth.example.com:{{.HTTPS}} {
	import logged
	gate_portal
}
https://app.example.com:{{.HTTPS}} {
	import logged
	gate
	reverse_proxy {{.Upstream}}
}
`

// secrets are the texts that no log may hold, by what they are.
type secrets map[string]string

func (all secrets) add(what, text string) string {
	if len(text) >= 8 {
		all[what] = text
	}
	return text
}

// planted goes through all that people and programs do, right and wrong, with
// secrets that can be found again.
func planted(t *testing.T, s *server, all secrets) {
	t.Helper()
	portal, app := s.at("auth.example.com", ""), s.at("app.example.com", "")
	owner := s.createOwner(t, alice)
	all.add("the owner's password", alice.Password)
	keep := func(who string, b *browser) {
		for _, at := range []string{portal, app} {
			for _, name := range []string{"__Host-gate", "__Host-gate-flow", "__Host-gate-device"} {
				all.add(fmt.Sprintf("%s's %s at %s", who, name, at), b.cookie(at+"/", name))
			}
		}
	}
	keep("the owner", owner)

	// Sign-in, right and wrong, by form and JSON, too often, and in shapes that are refused.
	b := s.Client(t)
	p := alice
	p.Password = all.add("a wrong password", "planted-wrong-password")
	b.login(portal, p)
	b.do("POST", portal+"/.gate/login", `{"username":"alice","password":"`+all.add("a wrong password in JSON", "planted-json-password")+`"}`, header{"Content-Type", "application/json"})
	b.do("POST", portal+"/.gate/login", `{"password":"`+all.add("a password in broken JSON", "planted-broken-json-password"), header{"Content-Type", "application/json"})
	b.do("POST", portal+"/.gate/login", `password=`+all.add("a password in a broken form", "planted-broken-form-password")+`%zz`, header{"Content-Type", "application/x-www-form-urlencoded"})
	b.do("POST", portal+"/.gate/login", "--x\r\n\r\n"+all.add("a password in a multipart form", "planted-multipart-password"), header{"Content-Type", "multipart/form-data; boundary=x"})
	b.do("POST", portal+"/.gate/login", "", header{"Authorization", "Basic " + all.add("basic credentials", base64.StdEncoding.EncodeToString([]byte("alice:planted-basic-password")))})
	b.post(portal+"/.gate/login", url.Values{"username": {all.add("a password typed as the name", "planted.password.as.name")}, "password": {"nonsense"}})
	b.post(portal+"/.gate/login", url.Values{"username": {"alice"}, "password": {all.add("a long password", strings.Repeat("planted-long", 9000))}})
	for range 6 {
		b.login(portal, p) // over the limit of the account
	}

	// The hand-off, by a navigation of somebody who is signed in at the portal.
	first := owner.get(app + "/page")
	callback := owner.get(first.location()).location()
	_, code, _ := strings.Cut(callback, "code=")
	all.add("a hand-off code", code)
	owner.get(callback)
	owner.get(callback) // again
	loadAssets(owner, app, callback)
	keep("the owner", owner)
	// By the page that leads on after the sign-in form.
	second := s.Client(t)
	login := second.get(app + "/page").location()
	signed := second.post(portal+"/.gate/login", url.Values{"username": {"alice"}, "password": {alice.Password}, "flow": {flowIn(page{Response: &http.Response{Header: http.Header{"Location": {login}}}})}})
	if signed.StatusCode == http.StatusSeeOther { // the account may be over its limit
		next := second.get(signed.location())
		if m := regexp.MustCompile(`callback\?code=([A-Za-z0-9_-]+)`).FindStringSubmatch(next.Body); m != nil {
			all.add("a hand-off code on a page", m[1])
		}
		second.follow(next)
		keep("another browser", second)
	}
	// A callback without its cookie: the code is not used up.
	unused := owner.get(s.Client(t).get(app + "/page").location()).location()
	_, code, _ = strings.Cut(unused, "code=")
	all.add("an unused hand-off code", code)
	s.Client(t).get(unused)
	loadAssets(s.Client(t), app, unused)

	// Registration by invitation, right and wrong.
	link := regexp.MustCompile(`https?://\S+`).FindString(s.must(t, "", "user", "invite"))
	invite, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	all.add("an invitation", invite.Query().Get("invite"))
	guest := someone("guest")
	form := guest.form()
	form.Set("invite", invite.Query().Get("invite"))
	form.Set("password", all.add("a password that is refused", "planted"+strings.Repeat("-long", 300)))
	visitor := s.Client(t)
	visitor.get(link)
	loadAssets(visitor, portal, link)
	visitor.post(portal+"/.gate/register", form, refererOf(visitor, link))
	form.Set("password", all.add("the guest's password", guest.Password))
	mustGo(t, visitor.post(portal+"/.gate/register", form, refererOf(visitor, link)))
	keep("the guest", visitor)

	// The account.
	visitor.post(portal+"/.gate/account/password", url.Values{"current_password": {all.add("a wrong current password", "planted-wrong-current")}, "new_password": {"x"}})
	visitor.post(portal+"/.gate/account/password", url.Values{"current_password": {guest.Password}, "new_password": {all.add("a new password", "planted-new-password")}})
	visitor.get(portal + "/.gate/account")
	visitor.fetch(portal + "/.gate/whoami")
	visitor.fetch(app+"/api", header{"Authorization", "Bearer " + all.add("a bearer token", "planted-bearer-token")}, header{"Cookie", "session=" + all.add("a cookie of the app", "planted-cookie-of-the-app")})
	visitor.fetch(app + "/page?answer=Set-Cookie:+app%3Dplanted-set-cookie-of-the-app")
	all.add("a cookie that the app sets", "planted-set-cookie-of-the-app;")
	visitor.do("POST", portal+"/.gate/logout", "", header{"Sec-Fetch-Site", "cross-site"})

	// The command line.
	out, errs, _ := s.CLI(t, all.add("a password on standard input", "planted-stdin-password")+"\n", "user", "add", "bob", "--email", "bob@example.com", "--password-stdin")
	if strings.Contains(out+errs, "planted") {
		t.Errorf("the command line shows the password: %s%s", out, errs)
	}
	out, errs, _ = s.CLI(t, "planted", "user", "password", "bob", "--password-stdin") // too short
	if strings.Contains(out+errs, "planted") {
		t.Errorf("the command line shows the password: %s%s", out, errs)
	}
	s.must(t, "", "session", "list")
	s.must(t, "", "session", "list", "--json")
	s.must(t, "", "user", "list", "--json")

	// Trouble: a database that is not as it should be.
	s.edit(t, "ALTER TABLE passwords RENAME TO gone")
	visitor.do("POST", portal+"/.gate/login", `{"username":"bob","password":"`+all.add("a password during trouble", "planted-trouble-password")+`"}`, header{"Content-Type", "application/json"})
	s.edit(t, "ALTER TABLE gone RENAME TO passwords")
	if err := s.Reload(t, talkative+"# again\n"); err != nil {
		t.Fatal(err)
	}
	mustGo(t, visitor.post(portal+"/.gate/logout", nil))
	rows, err := s.database(t).Query("SELECT hash FROM passwords")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		var hash string
		if err := rows.Scan(&hash); err != nil {
			t.Fatal(err)
		}
		all.add(fmt.Sprintf("password hash %d", i), hash)
	}
}

// refererOf is the Referer header that a browser sends with what it does on a
// page, to the same origin, by the policy of that page.
func refererOf(b *browser, page string) header {
	b.t.Helper()
	u, err := url.Parse(page)
	if err != nil {
		b.t.Fatal(err)
	}
	switch policy := b.get(page).Header.Get("Referrer-Policy"); policy {
	case "no-referrer":
		return header{"Sec-Fetch-Dest", "empty"}
	case "origin", "strict-origin":
		return header{"Referer", u.Scheme + "://" + u.Host + "/"}
	}
	return header{"Referer", page}
}

// loadAssets loads what a page shows, as a browser does.
func loadAssets(b *browser, origin, page string) {
	b.t.Helper()
	b.do("GET", origin+"/.gate/assets/gate.css", "", refererOf(b, page), header{"Sec-Fetch-Site", "same-origin"}, header{"Sec-Fetch-Mode", "no-cors"})
}

func TestW3_NoSecretInAnyLog(t *testing.T) {
	t.Parallel()
	var key [32]byte
	_, _ = rand.Read(key[:])
	all := make(secrets)
	keyText := all.add("the secret key", base64.StdEncoding.EncodeToString(key[:]))
	s := start(t, talkative, withEnv("GATE_KEY="+keyText))
	planted(t, s, all)
	s.Stop(t)
	if n := strings.Count(s.Log(), `"handled request"`); n < 25 {
		t.Fatalf("only %d requests are in the log: is it on?", n)
	}
	if len(all) < 25 {
		t.Fatalf("only %d secrets were planted", len(all))
	}
	shown := make(map[string]bool)
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, "setup_link") {
			continue
		}
		for what, text := range all {
			if !shown[what] && (strings.Contains(line, text) || strings.Contains(line, url.QueryEscape(text))) {
				shown[what] = true
				t.Errorf("%s is in the log:\n%s", what, line)
			}
		}
	}
}

// TestW3_NoSecretInTheDatabase: nor is any in the audit, the sessions or the
// codes, as it is.
func TestW3_NoSecretInTheDatabase(t *testing.T) {
	t.Parallel()
	all := make(secrets)
	var key [32]byte
	_, _ = rand.Read(key[:])
	keyText := all.add("the secret key", base64.StdEncoding.EncodeToString(key[:]))
	s := start(t, talkative, withEnv("GATE_KEY="+keyText))
	planted(t, s, all)
	s.Stop(t)
	for what, text := range all {
		if strings.HasPrefix(what, "password hash") {
			continue
		}
		for _, column := range []string{"events.details", "events.target", "events.agent", "events.actor_id", "events.request_id", "sessions.id", "sessions.token_hash",
			"sessions.agent", "codes.hash", "codes.browser", "codes.data", "changes.subject", "settings.value", "passwords.hash"} {
			table, _, _ := strings.Cut(column, ".")
			if n := s.count(t, "SELECT COUNT(*) FROM "+table+" WHERE instr("+column+", ?)", text); n != 0 {
				t.Errorf("%s is in %s", what, column)
			}
		}
	}
}

// TestW3_NoSecretInTheConfiguration: what the admin endpoint gives out of the
// configuration has placeholders in it and not what they stand for.
func TestW3_NoSecretInTheConfiguration(t *testing.T) {
	t.Parallel()
	var key [32]byte
	_, _ = rand.Read(key[:])
	keyText := base64.StdEncoding.EncodeToString(key[:])
	s := start(t, talkative, withEnv("GATE_KEY="+keyText))
	got := s.Client(t).do("GET", fmt.Sprintf("http://127.0.0.1:%d/config/", s.Vars["Admin"]), "")
	if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "{env.GATE_KEY}") || strings.Contains(got.Body, keyText) {
		t.Errorf("%s: the configuration shows the key, or does not name it:\n%s", got.Status, got.Body)
	}
}

// TestW3_LiteralSecretKey has the key in the Caddyfile itself. The configuration
// shows it then, but a log must not.
func TestW3_LiteralSecretKey(t *testing.T) {
	t.Parallel()
	var key [32]byte
	_, _ = rand.Read(key[:])
	keyText := base64.StdEncoding.EncodeToString(key[:])
	literal := strings.Replace(talkative, "{env.GATE_KEY}", keyText, 1)
	s := start(t, literal)
	if err := s.Reload(t, literal+"# again\n"); err != nil {
		t.Fatal(err)
	}
	s.must(t, "", "doctor")
	s.Stop(t)
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, keyText) {
			t.Fatalf("the secret key is in the log:\n%s", line)
		}
	}
}
