package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var changing = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|challenge&#34;:&#34;[\w-]{43}|name="ceremony" value="[\w-]+|gate-flow=[\w-]{43}`)

// answer is all of an answer that somebody could tell two of them apart by,
// without what was typed, the time, the request's id and what is random in each.
func answer(p page, username string) string {
	var lines []string
	for name, values := range p.Header {
		if name != "Date" {
			lines = append(lines, fmt.Sprintf("%s: %q", name, values))
		}
	}
	slices.Sort(lines)
	for i := range lines {
		lines[i] = changing.ReplaceAllString(lines[i], "ID")
	}
	body := changing.ReplaceAllString(strings.ReplaceAll(p.Body, username, "USERNAME"), "ID")
	return p.Status + "\n" + strings.Join(lines, "\n") + "\n\n" + body
}

func TestL1_UnknownWrongAndDisabledLookTheSame(t *testing.T) {
	t.Parallel()
	for s, host := range paged(t) {
		at := s.at(host, "")
		// All names have the same length, so that the page has too.
		known, disabled, without := someone("l1known0"), someone("l1disabl"), someone("l1nopass")
		s.addUser(t, known)
		s.addUser(t, disabled)
		s.addUser(t, without)
		if _, errs, exit := s.CLI(t, "", "user", "disable", disabled.Username); exit != 0 {
			t.Fatal(errs)
		}
		s.withoutPassword(t, without)
		for _, asJSON := range []bool{false, true} {
			var want string
			for _, try := range []struct{ what, username, password string }{
				{"wrong password", known.Username, "wrong-" + known.Password},
				{"wrong password, other case", strings.ToUpper(known.Username), "wrong-" + known.Password},
				{"unknown user", "l1nobody", known.Password},
				{"disabled user, right password", disabled.Username, disabled.Password},
				{"disabled user, wrong password", disabled.Username, "wrong-" + disabled.Password},
				{"user without password", without.Username, ""},
				{"user without password, some", without.Username, without.Password},
				{"empty password", known.Username, ""},
				{"name that nobody can have", "l1 {}<>\"", known.Password},
				{"too long a password", known.Username, strings.Repeat("x", 3000)},
			} {
				b := s.Client(t)
				var got page
				if asJSON {
					got = b.do("POST", at+"/.gate/login", fmt.Sprintf(`{"username":%q,"password":%q}`, try.username, try.password), header{"Content-Type", "application/json"})
				} else {
					got = b.post(at+"/.gate/login", url.Values{"username": {try.username}, "password": {try.password}})
				}
				if got.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s: %s", try.what, got.Status)
				}
				if text := answer(got, htmlEscaped(try.username, asJSON)); want == "" {
					want = text
				} else if text != want && try.what != "name that nobody can have" {
					t.Errorf("%s, JSON %t: can be told from a wrong password:\n%s\n--- instead of\n%s", try.what, asJSON, text, want)
				}
			}
		}
	}
}

func htmlEscaped(s string, asJSON bool) string {
	if asJSON {
		return s
	}
	return strings.NewReplacer("<", "&lt;", ">", "&gt;", `"`, "&#34;").Replace(s)
}

// withoutPassword takes an account's password away, as for somebody who signs in
// by other means.
func (s *server) withoutPassword(t *testing.T, p person) {
	t.Helper()
	s.edit(t, "DELETE FROM passwords WHERE user_id = (SELECT id FROM users WHERE username = ?)", p.Username)
}

// edit changes the database behind the server's back.
func (s *server) edit(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := s.writing(t).Exec(s.in(statement), args...); err != nil {
		t.Fatal(err)
	}
}

func TestL5_LongPasswords(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	at := s.at("auth.example.com", "")
	big := strings.Repeat("x", 1<<20)
	b := s.Client(t)
	for _, path := range []string{"login", "register"} {
		form := someone("longpass").form()
		form.Set("password", big)
		if got := b.post(at+"/.gate/"+path, form); got.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("1 MB to %s: %s", path, got.Status)
		}
		if got := b.do("POST", at+"/.gate/"+path, `{"username":"longpass","password":"`+big+`"}`, header{"Content-Type", "application/json"}); got.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("1 MB of JSON to %s: %s", path, got.Status)
		}
	}
	for _, n := range []int{1025, 5000, 60000} {
		form := someone("longpass").form()
		form.Set("password", strings.Repeat("x", n))
		if got := b.post(at+"/.gate/register", form); got.StatusCode != http.StatusBadRequest {
			t.Errorf("registration with a password of %d bytes: %s", n, got.Status)
		}
		if got := b.post(at+"/.gate/login", url.Values{"username": {bob.Username}, "password": {bob.Password + strings.Repeat("x", n)}}); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("sign-in with a password of %d bytes: %s", n, got.Status)
		}
	}
}

// TestL5_EndsCount: no byte of a password is left out of the hash.
func TestL5_EndsCount(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	at := s.at("auth.example.com", "")
	for i, test := range []struct{ right, wrong string }{
		{strings.Repeat("violet tea cups, ", 4) + "of all." + "abcd", strings.Repeat("violet tea cups, ", 4) + "of all." + "abce"}, // 80 bytes
		{strings.Repeat("violet tea cup, ", 63) + "another 15 byte" + "1", strings.Repeat("violet tea cup, ", 63) + "another 15 byte" + "2"},
		{"before\x00the zero byte", "before\x00another end"},
		{"before\x00the zero byte", "before"},
		{"ends with a space ", "ends with a space"},
		{" begins with a space", "begins with a space"},
		{"has a CASE of its own", "has a case of its own"},
		{"percent%00percent%41", "percent%00percentA"},
		{"plus+plus+plus+plus", "plus plus plus plus"},
		{"p\u00e4ssw\u00f6rter sind gut", "passworter sind gut"},
		{"one \U0001F511, another \U0001F511, no \U0001F511", "one \U0001F511, another \U0001F511, no \U0001F510"},
	} {
		p := someone(fmt.Sprintf("ends%d", i))
		p.Password = test.right
		s.register(t, at, p)
		s.Client(t).signIn(at, p)
		p.Password = test.wrong
		if got := s.Client(t).login(at, p); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%.90q opens an account with %.90q: %s", test.wrong, test.right, got.Status)
		}
	}
	// What keyboards compose differently is the same password.
	p := someone("composed")
	p.Password = "sch\u00f6n und gut, und lang"
	s.register(t, at, p)
	p.Password = "scho\u0308n und gut, und lang"
	s.Client(t).signIn(at, p)
}

func TestL6_RegistrationThatIsOff(t *testing.T) {
	t.Parallel()
	s, portal := lodge.get(t), house.get(t)
	form := someone("intruder").form()
	post := func(what string, s *server, at string, status int, code string, form url.Values, headers ...header) {
		t.Helper()
		body := form.Encode()
		if len(headers) > 0 {
			body = `{"username":"intruder","email":"intruder@example.com","password":"intruder-long-password","token":"x","invite":"x"}`
		} else {
			headers = []header{{"Content-Type", "application/x-www-form-urlencoded"}}
		}
		got := s.Client(t).do("POST", at, body, headers...)
		if got.StatusCode != status || !strings.Contains(got.Body, `"`+code+`"`) || got.setCookies()["gate"] != nil || got.setCookies()["__Host-gate"] != nil {
			t.Errorf("%s: %s with cookies %q: %s", what, got.Status, got.Header["Set-Cookie"], got.Body)
		}
	}
	json := header{"Content-Type", "application/json"}
	own := s.at("app.localhost", "/.gate/")
	post("register", s, own+"register", http.StatusForbidden, "register_disabled", form)
	post("register, JSON", s, own+"register", http.StatusForbidden, "register_disabled", form, json)
	post("register, in the address", s, own+"register?"+form.Encode(), http.StatusForbidden, "register_disabled", form)
	withInvite := someone("intruder").form()
	withInvite.Set("invite", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	post("register with an invitation", s, own+"register", http.StatusForbidden, "register_disabled", withInvite)
	post("setup", s, own+"setup", http.StatusForbidden, "setup_closed", form)
	post("setup, JSON", s, own+"setup", http.StatusForbidden, "setup_closed", form, json)
	app := portal.at("app.example.com", "/.gate/")
	post("register on a site under a portal", portal, app+"register", http.StatusNotFound, "not_found", form)
	post("setup on a site under a portal", portal, app+"setup", http.StatusNotFound, "not_found", form)
	in := url.Values{"username": {bob.Username}, "password": {bob.Password}}
	post("password sign-in on a site under a portal", portal, app+"login", http.StatusForbidden, "login_at_portal", in)
	for _, path := range []string{"account/profile", "account/password", "account/sessions/revoke"} {
		post(path+" on a site under a portal", portal, app+path, http.StatusNotFound, "not_found", form)
	}
	if got := s.Client(t).get(own + "register"); got.StatusCode != http.StatusForbidden {
		t.Errorf("the page: %s", got.Status)
	}
	for _, s := range []*server{s, portal} {
		if n := s.count(t, "SELECT COUNT(*) FROM users WHERE username_key = 'intruder'"); n != 0 {
			t.Error("an account was made")
		}
	}
}

// TestL6_MoreThanWasAskedFor registers with fields that the form does not have.
func TestL6_MoreThanWasAskedFor(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	p := someone("massive")
	form := p.form()
	for name, value := range map[string]string{"owner": "1", "Owner": "true", "groups": "staff", "group": "staff", "status": "active", "email_verified": "1",
		"EmailVerified": "true", "id": "1", "role": "owner", "admin": "1", "host": "wiki.example.net", "user[owner]": "1"} {
		form.Set(name, value)
	}
	b := s.Client(t)
	if got := b.post(s.at("auth.example.com", "/.gate/register"), form); got.StatusCode != http.StatusSeeOther {
		t.Fatal(got.Status)
	}
	profile := url.Values{"name": {p.Name}, "email": {p.Email}, "current_password": {p.Password}, "username": {"alice"}, "owner": {"1"}, "groups": {"staff"}, "email_verified": {"1"}, "status": {"active"}}
	if got := b.post(s.at("auth.example.com", "/.gate/account/profile"), profile); got.StatusCode != http.StatusSeeOther {
		t.Fatal(got.Status)
	}
	who := b.fetch(s.at("auth.example.com", "/.gate/whoami"))
	for _, want := range []string{`"username":"massive"`, `"owner":false`, `"groups":[]`, `"email_verified":false`} {
		if !strings.Contains(who.Body, want) {
			t.Errorf("want %s in %s", want, who.Body)
		}
	}
}

// TestL6_InvitationsOnly registers where it takes an invitation.
func TestL6_InvitationsOnly(t *testing.T) {
	t.Parallel()
	s := start(t, `{
	{{.Global}}
	gate {
		{{.Gate}}
		register invite
	}
}
http://app.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
`)
	setup, err := url.Parse(s.SetupLink(t))
	if err != nil {
		t.Fatal(err)
	}
	at := s.at("app.localhost", "/.gate/register")
	for _, code := range []string{"", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", setup.Query().Get("token")} {
		form := someone("guest").form()
		form.Set("invite", code)
		if got := s.Client(t).post(at, form); got.StatusCode != http.StatusForbidden || len(got.Header["Set-Cookie"]) > 0 {
			t.Errorf("with %q: %s", code, got.Status)
		}
	}
	out, errs, exit := s.CLI(t, "", "user", "invite")
	link := regexp.MustCompile(`https?://\S+`).FindString(out)
	invite, err := url.Parse(link)
	if exit != 0 || err != nil || invite.Query().Get("invite") == "" {
		t.Fatalf("user invite: %d: %s%s", exit, out, errs)
	}
	form := someone("guest").form()
	form.Set("invite", invite.Query().Get("invite"))
	form.Set("token", invite.Query().Get("invite"))
	if got := s.Client(t).post(s.at("app.localhost", "/.gate/setup"), form); got.StatusCode != http.StatusForbidden {
		t.Errorf("setup with an invitation: %s", got.Status)
	}
	form.Del("token")
	for range 3 { // a link scanner looks at it
		if got := s.Client(t).get(link); got.StatusCode != http.StatusOK {
			t.Errorf("the link: %s", got.Status)
		}
	}
	if got := s.Client(t).post(at, form); got.StatusCode != http.StatusSeeOther {
		t.Errorf("with an invitation: %s\n%s", got.Status, got.Body)
	}
	again := someone("guest2").form()
	again.Set("invite", invite.Query().Get("invite"))
	if got := s.Client(t).post(at, again); got.StatusCode != http.StatusForbidden {
		t.Errorf("an invitation used twice: %s", got.Status)
	}
}
