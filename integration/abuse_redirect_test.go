package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// evilReturns lead somewhere else in one browser or another: none may be followed.
var evilReturns = []string{
	"//evil.test", "/\\evil.test", "/\t/evil.test", "https:evil.test", "alice@evil.test", "javascript:alert(1)",
	"https://evil.test", "http://evil.test/", "HTTPS://evil.test", "https:/evil.test", "https:\\\\evil.test", "http:evil.test",
	"///evil.test", "////evil.test", "\\\\evil.test", "\\/evil.test", "/\\/evil.test", "//\\evil.test", "\\evil.test",
	"/\n/evil.test", "/\r/evil.test", "\t//evil.test", " //evil.test", "//evil.test ", "\x00//evil.test", "/\x00/evil.test", "\u00a0//evil.test",
	"\x0b//evil.test", "/\x0c/evil.test", "//evil.test@app.example.com", "//app.example.com@evil.test", "@evil.test", ".evil.test", ":80", "evil.test",
	"//evil%2etest", "//%65vil.test", "/\\\\evil.test", "/.\\/evil.test", "data:text/html,x", "vbscript:x", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)",
	"\x01javascript:alert(1)", "blob:x", "file:///etc/passwd", "?x", "#x", "", "app", "..", "../x", "./x", "/x\r\nSet-Cookie: gate=evil", "/x\r\n\r\n<script>",
	"//evil.test/.gate/account", "/.gate/logout", "/.gate/login?return_to=//evil.test", "/.gate/callback?code=x", "/.gate/../.gate/logout",
	"/" + strings.Repeat("a", 5000),
}

// whereTo gives the host that a browser goes to from a page by a Location, as the
// URL Standard reads it: it drops tabs and line ends, trims spaces and controls,
// takes backslashes for slashes, and needs no slashes after http and https.
func whereTo(t *testing.T, page, location string) string {
	t.Helper()
	base, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	l := strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(strings.Trim(location, "\x00\x01\x0b\x0c \t\r\n"))
	l = strings.ReplaceAll(l, "\\", "/")
	if scheme, rest, found := strings.Cut(l, ":"); found && !strings.ContainsAny(scheme, "/?#") {
		if s := strings.ToLower(scheme); s == "http" || s == "https" {
			l = "//" + strings.TrimLeft(rest, "/")
		} else {
			return scheme + ":"
		}
	}
	if strings.HasPrefix(l, "//") {
		host, _, _ := strings.Cut(strings.TrimLeft(l, "/"), "/")
		if at := strings.LastIndexByte(host, '@'); at >= 0 {
			host = host[at+1:]
		}
		host, _, _ = strings.Cut(host, ":")
		return strings.ToLower(host)
	}
	return base.Hostname()
}

func TestR1_EvilReturnAddress(t *testing.T) {
	t.Parallel()
	for _, site := range []struct {
		s             *server
		host, content string
	}{{lodge.get(t), "app.localhost", "/"}, {house.get(t), "auth.example.com", "/.gate/account"}} {
		s, at, home := site.s, site.s.at(site.host, ""), site.content
		in := s.Client(t)
		in.signIn(at, bob)
		for _, to := range evilReturns {
			check := func(what string, p page, status int) {
				t.Helper()
				l := p.Header.Get("Location")
				if p.StatusCode != status || l != home {
					t.Errorf("%s: %s with %q: %s to %q, want %q", site.host, what, to, p.Status, l, home)
				}
				if l != "" && whereTo(t, at, l) != site.host {
					t.Errorf("%s: %s with %q: a browser goes to %s", site.host, what, to, whereTo(t, at, l))
				}
				if len(p.setCookies()) > 0 && p.setCookies()["gate"] != nil && p.setCookies()["gate"].Value == "evil" {
					t.Errorf("%s: %s with %q: sets a cookie", site.host, what, to)
				}
			}
			if len(to) < 3000 { // as much as an address may have
				check("sign-in page, signed in", in.get(at+"/.gate/login?return_to="+url.QueryEscape(to)), http.StatusSeeOther)
			}
			b := s.Client(t)
			form := url.Values{"username": {bob.Username}, "password": {bob.Password}, "return_to": {to}}
			check("sign-in", b.post(at+"/.gate/login", form), http.StatusSeeOther)
			shown := s.Client(t).get(at + "/.gate/login?return_to=" + url.QueryEscape(to[:min(len(to), 3000)]))
			if shown.StatusCode != http.StatusOK || strings.Contains(shown.Body, "evil") || strings.Contains(shown.Body, "alert(1)") {
				t.Errorf("%s: the sign-in page with %q: %s, and keeps it:\n%s", site.host, to, shown.Status, shown.Body)
			}
			wrong := b.post(at+"/.gate/login", url.Values{"username": {bob.Username}, "password": {"wrong-password"}, "return_to": {to}})
			if wrong.StatusCode != http.StatusUnauthorized || strings.Contains(wrong.Body, "evil") {
				t.Errorf("%s: the sign-in page after a failure with %q: %s, and keeps it", site.host, to, wrong.Status)
			}
		}
		// Two of them: none counts.
		p := s.Client(t).post(at+"/.gate/login", url.Values{"username": {bob.Username}, "password": {bob.Password}, "return_to": {"/good", "//evil.test"}})
		if p.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: two return addresses: %s to %q", site.host, p.Status, p.location())
		}
	}
}

// TestR1_GoodReturnAddress keeps what people want to come back to, query included.
func TestR1_GoodReturnAddress(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	at := s.at("app.localhost", "")
	for _, to := range []string{"/", "/page", "/page?x=1&y=2", "/a/b%20c?q=%2F%2Fevil.test", "/search?u=https://example.com/", "/%C3%A9", "/a@b", "/a:b", "/x//y", "/.gate/account"} {
		b := s.Client(t)
		if got := b.post(at+"/.gate/login", url.Values{"username": {bob.Username}, "password": {bob.Password}, "return_to": {to}}); got.Header.Get("Location") != to {
			t.Errorf("%s: leads to %q", to, got.Header.Get("Location"))
		}
	}
}

// TestR1_JSON answers programs with the same.
func TestR1_JSON(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	at := s.at("app.localhost", "")
	for _, to := range []string{`"//evil.test"`, `"/\\evil.test"`, `"/\u0009/evil.test"`, `"javascript:alert(1)"`, `["//evil.test"]`, `{"x":1}`, `1`} {
		got := s.Client(t).do("POST", at+"/.gate/login", `{"username":"bob","password":"`+bob.Password+`","return_to":`+to+`}`, header{"Content-Type", "application/json"})
		if strings.Contains(got.Body+fmt.Sprint(got.Header), "evil") || got.StatusCode == http.StatusOK && !strings.Contains(got.Body, `"redirect":"/"`) {
			t.Errorf("%s: %s %s", to, got.Status, got.Body)
		}
	}
}

func TestR2_RefererIsNotReflected(t *testing.T) {
	t.Parallel()
	s, plain := house.get(t), lodge.get(t)
	for _, referer := range []string{"javascript:alert(document.domain)//referer-mark", "data:text/html,referer-mark", "https://evil.test/referer-mark", "\"><script>referer-mark</script>", "//evil.test/referer-mark"} {
		h := header{"Referer", referer}
		portal, app, own := s.at("auth.example.com", ""), s.at("app.example.com", ""), plain.at("app.localhost", "")
		bobs := s.visitor(t, "app.example.com", bob)
		for what, p := range map[string]page{
			"sign-in page":         s.Client(t).get(portal+"/.gate/login", h),
			"sign-in page, own":    plain.Client(t).get(own+"/.gate/login", h),
			"sign-in":              plain.Client(t).post(own+"/.gate/login", url.Values{"username": {"bob"}, "password": {bob.Password}}, h),
			"failed sign-in":       s.Client(t).post(portal+"/.gate/login", url.Values{"username": {"bob"}, "password": {"nonsense"}}, h),
			"gated page":           s.Client(t).get(app+"/page", h),
			"nothing here":         s.Client(t).get(portal+"/.gate/nothing", h),
			"refused":              s.visitor(t, "app.example.com", bob).get(s.at("wiki.example.net", "/"), h),
			"stale callback":       s.Client(t).get(app+"/.gate/callback?code=x", h),
			"registration":         s.Client(t).get(portal+"/.gate/register", h),
			"cross-site":           s.Client(t).do("POST", portal+"/.gate/login", "", h, header{"Sec-Fetch-Site", "cross-site"}, header{"Accept", "text/html"}),
			"sign-out page":        bobs.get(portal+"/.gate/logout", h),
			"sign-out page, other": bobs.get(app+"/.gate/logout", h),
			"account":              bobs.get(portal+"/.gate/account", h),
			"sign-out":             bobs.post(portal+"/.gate/logout", nil, h),
			"setup":                s.Client(t).get(portal+"/.gate/setup?token=x", h),
		} {
			if strings.Contains(p.Body+fmt.Sprint(p.Header), "referer-mark") {
				t.Errorf("%s: the answer repeats the Referer %s:\n%v\n%s", what, referer, p.Header, p.Body)
			}
		}
	}
}

// flowOf takes the sealed flow out of where a gated page sends a browser.
func flowOf(t *testing.T, p page) string {
	t.Helper()
	to, err := url.Parse(p.Header.Get("Location"))
	if err != nil || to.Query().Get("flow") == "" {
		t.Fatalf("%s to %q has no flow", p.Status, p.Header.Get("Location"))
	}
	return to.Query().Get("flow")
}

// TestR3_EvilPathInAFlow opens addresses on a gated site that would be another
// host if they were ever sent as a Location.
func TestR3_EvilPathInAFlow(t *testing.T) {
	t.Parallel()
	for s, host := range gated(t) {
		for _, target := range []string{
			"//evil.test/x", "///evil.test/x", "/\\evil.test", "/%5cevil.test", "/%09/evil.test", "/%0a/evil.test", "/%2f/evil.test", "/%2fevil.test", "/.//evil.test",
			"/..//evil.test", "/x/..//evil.test", "/;//evil.test", "/;@evil.test", "//evil.test%2f..", "/?next=//evil.test", "//evil.test?x", "//@evil.test", "/%00//evil.test",
			"http://" + host + "//evil.test", "//%65vil.test", "/%20//evil.test",
		} {
			first := s.tell(t, host, "GET", target, "Accept: text/html", "Sec-Fetch-Mode: navigate", "Connection: close")
			if first.StatusCode == http.StatusBadRequest {
				continue
			}
			b := s.Client(t)
			for _, c := range first.Cookies() { // as the browser would
				b.setCookie(t, s.at(host, "/"), c)
			}
			login, err := url.Parse(first.Header.Get("Location"))
			if err != nil {
				t.Errorf("%s: leads to %q", target, first.Header.Get("Location"))
				continue
			}
			at, err := url.Parse(s.at(host, "/"))
			if err != nil {
				t.Fatal(err)
			}
			login = at.ResolveReference(login)
			p := b.post(login.Scheme+"://"+login.Host+"/.gate/login", url.Values{"username": {bob.Username}, "password": {bob.Password},
				"flow": {login.Query().Get("flow")}, "return_to": {login.Query().Get("return_to")}})
			for range 5 {
				to := p.Header.Get("Location")
				if m := refresh.FindStringSubmatch(p.Body); m != nil {
					to = m[1]
				}
				if to == "" {
					break
				}
				if got := whereTo(t, p.Request.URL.String(), to); got != host && got != "auth.example.com" {
					t.Errorf("%s: on %s a browser goes to %s by %q", target, p.Request.URL.Host, got, to)
					break
				}
				next, err := p.Request.URL.Parse(strings.ReplaceAll(to, "&amp;", "&"))
				if err != nil || !strings.HasPrefix(next.Path, "/.gate/") {
					break // arrived
				}
				p = b.get(next.String())
			}
		}
	}
}

func (b *browser) setCookie(t *testing.T, at string, c *http.Cookie) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	b.Jar.SetCookies(u, []*http.Cookie{c})
}

// TestR3_ForgedFlow presents flows that were changed, cut, made by another
// installation or not sealed at all.
func TestR3_ForgedFlow(t *testing.T) {
	t.Parallel()
	s, other := house.get(t), lodge.get(t)
	portal := s.at("auth.example.com", "")
	flow := flowOf(t, s.Client(t).get(s.at("app.example.com", "/page")))
	foreign := flowOf(t, other.Client(t).get(other.at("app.localhost", "/page")))
	forged := map[string]string{"foreign": foreign, "empty": "", "plain": `{"o":"https://evil.test","p":"/"}`,
		"base64": "eyJvIjoiaHR0cHM6Ly9ldmlsLnRlc3QiLCJwIjoiLyJ9", "cut": flow[:len(flow)-1], "half": flow[:len(flow)/2], "doubled": flow + flow, "long": strings.Repeat("A", 20000)}
	for _, i := range []int{0, 1, 10, len(flow) / 2, len(flow) - 2} {
		changed := []byte(flow)
		changed[i] = "AB"[map[bool]int{true: 1}[changed[i] == 'A']]
		forged[fmt.Sprintf("changed at %d", i)] = string(changed)
	}
	for name, f := range forged {
		got := s.Client(t).post(portal+"/.gate/login", url.Values{"username": {bob.Username}, "password": {bob.Password}, "flow": {f}})
		if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/.gate/account" {
			t.Errorf("%s: %s to %q, want the default page", name, got.Status, got.Header.Get("Location"))
		}
	}
}

// TestR3_FlowToAHostThatIsGone: a flow was sealed for a host that the
// configuration names no more when it is used.
func TestR3_FlowToAHostThatIsGone(t *testing.T) {
	t.Parallel()
	s := start(t, twoSites)
	s.createOwner(t, alice)
	portal := s.at("auth.example.com", "")
	flow := flowOf(t, s.Client(t).get(s.at("wiki.example.net", "/page")))
	if err := s.Reload(t, strings.Replace(twoSites, ", https://wiki.example.net:{{.HTTPS}}", "", 1)); err != nil {
		t.Fatal(err)
	}
	b := s.Client(t)
	got := b.post(portal+"/.gate/login", url.Values{"username": {alice.Username}, "password": {alice.Password}, "flow": {flow}})
	if got.Header.Get("Location") != "/.gate/account/factor?asked=1" { // an owner is asked for a second factor
		t.Errorf("sign-in leads to %q, want the default page", got.Header.Get("Location"))
	}
	for _, page := range []string{"/.gate/login?flow=", "/.gate/continue?flow="} {
		if got := b.get(portal + page + flow); strings.Contains(fmt.Sprint(got.Header)+got.Body, "wiki.example.net") {
			t.Errorf("%s: %s to %q", page, got.Status, got.location())
		}
	}
}
