package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// gallery is one of every page and error that there is, by what it is.
func gallery(t *testing.T, s *server, mark string) map[string]page {
	t.Helper()
	portal, app, wiki := s.at("auth.example.com", ""), s.at("app.example.com", ""), s.at("wiki.example.net", "")
	enc := url.PathEscape(mark)
	agent := header{"User-Agent", mark}
	nobody := s.Client(t)
	in := s.Client(t)
	in.signIn(portal, dave)
	in.get(app + "/")
	first := in.get(app + "/" + enc + "?q=" + url.QueryEscape(mark))
	refused := s.Client(t)
	refused.signInTo(s, "app.example.com", dave)
	refused.open(wiki + "/") // makes a session there
	form := url.Values{"username": {mark}, "password": {"nonsense"}, "name": {mark}, "email": {mark}, "return_to": {"/" + mark}, "flow": {mark}, "invite": {mark}, "token": {mark}}
	large := url.Values{"username": {strings.Repeat("x", 70<<10)}}
	return map[string]page{
		"sign-in":                nobody.get(portal + "/.gate/login?username=" + url.QueryEscape(mark) + "&return_to=/" + url.QueryEscape(mark)),
		"failed sign-in":         nobody.post(portal+"/.gate/login", form, agent),
		"registration":           nobody.get(portal + "/.gate/register?" + form.Encode()),
		"failed registration":    nobody.post(portal+"/.gate/register", form),
		"setup":                  nobody.get(portal + "/.gate/setup?token=" + url.QueryEscape(mark)),
		"failed setup":           nobody.post(portal+"/.gate/setup", form),
		"nothing":                nobody.get(portal + "/.gate/" + enc),
		"nothing, on an app":     nobody.get(app + "/.gate/" + enc),
		"bad path":               nobody.get(portal + "/.gate/x;" + enc),
		"bad path, on an app":    nobody.get(app + "/.GATE/" + enc),
		"not signed in, account": nobody.get(portal + "/.gate/account?done=" + url.QueryEscape(mark)),
		"account":                in.get(portal+"/.gate/account?done="+url.QueryEscape(mark), agent),
		"failed profile":         in.post(portal+"/.gate/account/profile", url.Values{"name": {mark}, "email": {mark}}, agent),
		"failed password":        in.post(portal+"/.gate/account/password", url.Values{"current_password": {mark}, "new_password": {mark}}),
		"failed revocation":      in.post(portal+"/.gate/account/sessions/revoke", url.Values{"id": {mark}}),
		"sign-out":               in.get(portal + "/.gate/logout?return_to=" + url.QueryEscape(mark)),
		"sign-out, on an app":    in.get(app + "/.gate/logout"),
		"signed out":             nobody.get(portal + "/.gate/logout"),
		"continue":               in.get(portal + "/.gate/continue?flow=" + flowIn(first)),
		"refused":                refused.get(wiki + "/" + enc + "?q=" + url.QueryEscape(mark)),
		"stale code":             nobody.get(app+"/.gate/callback?code="+url.QueryEscape(mark), header{"Cookie", "__Host-gate-flow=x"}),
		"no flow":                nobody.get(app + "/.gate/callback?code=" + url.QueryEscape(mark)),
		"cross-site":             nobody.do("POST", portal+"/.gate/login", form.Encode(), header{"Sec-Fetch-Site", "cross-site"}, header{"Accept", "text/html"}),
		"wrong method":           nobody.do("DELETE", portal+"/.gate/login", "", header{"Accept", "text/html"}),
		"wrong type":             nobody.do("POST", portal+"/.gate/login", mark, header{"Accept", "text/html"}, header{"Content-Type", "text/plain"}),
		"too large":              nobody.post(portal+"/.gate/login", large),
		"gate":                   nobody.get(app + "/" + enc),
	}
}

func flowIn(p page) string {
	to, err := url.Parse(p.Header.Get("Location"))
	if err != nil {
		return ""
	}
	return to.Query().Get("flow")
}

// marks are markup that must come out as text, if at all.
var marks = []string{`x"><script>alert(1)</script>`, `'><img src=x onerror=alert(1)>`, `</title></style><svg onload=alert(1)>`, `" autofocus onfocus="alert(1)`, `{{.}}<b>`, "<!--", `javascript:alert(1)//"<`}

var (
	tag       = regexp.MustCompile(`<[a-zA-Z!/?](?:"[^"]*"|'[^']*'|[^>"'])*>`)
	quoted    = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	scripting = regexp.MustCompile(`(?i)^<(script|svg|iframe|object|embed|base|b\b|!--|img [^"]*=x)|\son[a-z]+\s*=`)
	leading   = regexp.MustCompile(`(?i)\s(href|src|action|content)\s*=\s*["']?\s*(0;url=)?(javascript|vbscript|data):`)
)

// active finds what would run in a page: elements that nobody wrote, attributes
// that begin with "on", addresses that are programs.
func active(body string) []string {
	var found []string
	for _, text := range tag.FindAllString(body, -1) {
		if scripting.MatchString(quoted.ReplaceAllString(text, "")) || leading.MatchString(text) {
			found = append(found, text)
		}
	}
	return found
}

// TestX1_Active shows that active finds what it is for.
func TestX1_Active(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{`<script>`, `<p><SCRIPT src="x">`, `<a href="javascript:x">`, `<meta content="0;url=javascript:x">`, `<input value="" onfocus="x">`, `<svg onload=x>`, `<img src=x>`, `<b>`, `<!-- x -->`} {
		if len(active(bad)) == 0 {
			t.Errorf("%s passes", bad)
		}
	}
	for _, good := range []string{`<p>onclick=x &lt;script></p>`, `<input value="&#34; onfocus=x">`, `<img src="/.gate/assets/gate.svg" alt="">`, `<!doctype html>`, `<body class="narrow">`, `<button class="plain">`} {
		if found := active(good); len(found) > 0 {
			t.Errorf("%s does not pass: %q", good, found)
		}
	}
}

func TestX1_MarkupIsInert(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	for _, mark := range marks {
		for what, p := range gallery(t, s, mark) {
			checkInert(t, what+" with "+mark, p)
		}
	}
}

// checkInert looks at what a page would run, and at the policy that would stop it.
func checkInert(t *testing.T, what string, p page) {
	t.Helper()
	own := ourScript.FindString(p.Body)
	if found := active(strings.Replace(p.Body, own, "", 1)); len(found) > 0 && strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s: the page has %q in it", what, found)
	}
	if kind := p.Header.Get("Content-Type"); p.Body != "" && !strings.HasPrefix(kind, "text/html; charset=utf-8") && !strings.HasPrefix(kind, "application/json") {
		t.Errorf("%s: Content-Type is %q", what, kind)
	}
	if p.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: no nosniff", what)
	}
	policy := directives(p.Header.Get("Content-Security-Policy"))
	if policy["default-src"] != "'none'" || policy["script-src"] != scriptSource(p, own) || policy["base-uri"] != "'none'" || policy["form-action"] != "'self'" ||
		strings.Contains(fmt.Sprint(policy), "unsafe") {
		t.Errorf("%s (%s): the Content-Security-Policy lets scripts run: %v", what, p.Status, policy)
	}
}

// ourScript is the one script that pages may have, and the policy then names.
var ourScript = regexp.MustCompile(`<script src="/\.gate/assets/gate\.js\?v=[0-9a-f]{12}" defer>`)

func scriptSource(p page, script string) string {
	if script == "" {
		return ""
	}
	return p.Request.URL.Scheme + "://" + p.Request.URL.Host + "/.gate/assets/gate.js"
}

func directives(policy string) map[string]string {
	all := make(map[string]string)
	for d := range strings.SplitSeq(policy, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), " ")
		all[name] = value
	}
	return all
}

// TestX1_MarkupInStoredNames has it in what an account keeps: name and device.
func TestX1_MarkupInStoredNames(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	portal := s.at("auth.example.com", "")
	for i, mark := range marks {
		p := someone(fmt.Sprintf("marker%d", i))
		p.Name = mark
		s.register(t, portal, p)
		b := s.Client(t)
		if got := b.post(portal+"/.gate/login", url.Values{"username": {p.Username}, "password": {p.Password}}, header{"User-Agent", mark + " Firefox/1"}); got.StatusCode != http.StatusSeeOther {
			t.Fatal(got.Status)
		}
		for _, path := range []string{"/.gate/account", "/.gate/logout"} {
			got := b.get(portal + path)
			checkInert(t, path+" of "+mark, got)
			if got.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", path, got.Status)
			}
		}
		got := b.open(s.at("wiki.example.net", "/x")) // refused
		if got.StatusCode != http.StatusForbidden {
			t.Errorf("%s is let in: %s", mark, got.Status)
		}
		checkInert(t, "refused with "+mark, got)
		who := b.fetch(portal + "/.gate/whoami")
		if kind := who.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") || strings.Contains(who.Body, "<script") {
			t.Errorf("whoami of %s: %s: %s", mark, kind, who.Body)
		}
	}
}

func TestX7_PagesCannotBeFramed(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	for what, p := range gallery(t, s, "x7") {
		if p.Header.Get("X-Frame-Options") != "DENY" || directives(p.Header.Get("Content-Security-Policy"))["frame-ancestors"] != "'none'" {
			t.Errorf("%s (%s) can be framed: %q, %q", what, p.Status, p.Header.Get("X-Frame-Options"), p.Header.Get("Content-Security-Policy"))
		}
		if p.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s (%s) may be stored: %q", what, p.Status, p.Header.Get("Cache-Control"))
		}
		if policy := p.Header.Get("Referrer-Policy"); policy != "strict-origin" && policy != "no-referrer" {
			t.Errorf("%s (%s): Referrer-Policy is %q", what, p.Status, policy)
		}
	}
}

// changes are all the endpoints that change something, with a body that would.
func changes(p person) map[string]url.Values {
	return map[string]url.Values{
		"login":                   {"username": {p.Username}, "password": {p.Password}},
		"logout":                  {},
		"register":                someone("crossed").form(),
		"setup":                   someone("crossed").form(),
		"account/profile":         {"name": {"Crossed"}, "email": {p.Email}, "current_password": {p.Password}},
		"account/password":        {"current_password": {p.Password}, "new_password": {"a-crossed-long-password"}},
		"account/sessions/revoke": {"id": {"x"}, "current_password": {p.Password}},
	}
}

func TestX4_ForeignPagesChangeNothing(t *testing.T) {
	t.Parallel()
	for s, host := range paged(t) {
		at := s.at(host, "")
		p := someone("crossing")
		s.addUser(t, p)
		b := s.Client(t)
		b.signIn(at, p)
		users := s.count(t, "SELECT COUNT(*) FROM users")
		for what, from := range map[string][]header{
			"cross-site":                    {{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.test"}},
			"cross-site without Origin":     {{"Sec-Fetch-Site", "cross-site"}},
			"cross-site, our Origin":        {{"Sec-Fetch-Site", "cross-site"}, {"Origin", at}},
			"same-site":                     {{"Sec-Fetch-Site", "same-site"}, {"Origin", s.at("app.example.com", "")}},
			"same-site without Origin":      {{"Sec-Fetch-Site", "same-site"}},
			"Origin: null":                  {{"Origin", "null"}},
			"Origin: null, cross-site":      {{"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}},
			"Origin alone":                  {{"Origin", "https://evil.test"}},
			"Origin of a sister":            {{"Origin", s.at("app.example.com", "")}},
			"Origin with our name in front": {{"Origin", at + ".evil.test"}},
			"Origin with us as user":        {{"Origin", strings.Replace(at, "://", "://evil.test@", 1) + "x"}},
			"Origin of another port":        {{"Origin", at + "1"}},
			"Origin that is no URL":         {{"Origin", "://"}},
			"unknown Sec-Fetch-Site":        {{"Sec-Fetch-Site", "whatever"}},
			"two Sec-Fetch-Site":            {{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-origin"}},
		} {
			for path, form := range changes(p) {
				got := b.do("POST", at+"/.gate/"+path, form.Encode(), append(from, header{"Accept", "text/html"}, header{"Content-Type", "application/x-www-form-urlencoded"})...)
				if got.StatusCode != http.StatusForbidden || len(got.Header["Set-Cookie"]) > 0 || got.location() != "" {
					t.Errorf("%s: %s: POST %s: %s to %q with cookies %q", host, what, path, got.Status, got.location(), got.Header["Set-Cookie"])
				}
				json := b.do("POST", at+"/.gate/"+path, "{}", append(from, header{"Content-Type", "application/json"})...)
				if json.StatusCode != http.StatusForbidden || !strings.Contains(json.Body, `"cross_site"`) {
					t.Errorf("%s: %s: POST %s of JSON: %s %s", host, what, path, json.Status, json.Body)
				}
			}
		}
		if got := b.fetch(at + "/.gate/whoami"); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"Crossing"`) {
			t.Errorf("%s: afterwards: %s %s", host, got.Status, got.Body)
		}
		s.Client(t).signIn(at, p) // with the old password
		if n := s.count(t, "SELECT COUNT(*) FROM users WHERE username = 'crossed'"); n != 0 {
			t.Errorf("%s: a foreign page made an account (%d users before)", host, users)
		}
	}
}

// TestX4_SiteUnderAPortal has the same for the host of an app.
func TestX4_SiteUnderAPortal(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	b := s.Client(t)
	b.signInTo(s, "app.example.com", bob)
	app := s.at("app.example.com", "")
	for _, site := range []string{"cross-site", "same-site"} {
		for _, path := range []string{"login", "logout"} {
			got := b.do("POST", app+"/.gate/"+path, "", header{"Sec-Fetch-Site", site}, header{"Origin", s.at("wiki.example.net", "")})
			if got.StatusCode != http.StatusForbidden || len(got.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s: POST %s: %s with cookies %q", site, path, got.Status, got.Header["Set-Cookie"])
			}
		}
	}
	if got := b.fetch(app + "/x4"); got.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", got.Status)
	}
}

// TestX4_GetChangesNothing: what a foreign page can always do is a GET.
func TestX4_GetChangesNothing(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	at := s.at("app.localhost", "")
	b := s.Client(t)
	b.signIn(at, dave)
	for path, form := range changes(dave) {
		for _, method := range []string{"GET", "HEAD"} {
			got := b.do(method, at+"/.gate/"+path+"?"+form.Encode(), "", header{"Sec-Fetch-Site", "cross-site"}, header{"Sec-Fetch-Mode", "navigate"}, header{"Accept", "text/html"})
			if len(got.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s %s sets cookies: %q", method, path, got.Header["Set-Cookie"])
			}
		}
	}
	if got := b.fetch(at + "/.gate/whoami"); got.StatusCode != http.StatusOK || strings.Contains(got.Body, "Crossed") {
		t.Errorf("afterwards: %s %s", got.Status, got.Body)
	}
}
