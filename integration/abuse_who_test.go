package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// behind stands behind a proxy, the test, that speaks HTTPS to browsers.
var behind = &sharing{ready: func(t testing.TB, s *server) { s.addUser(t, alice, "--owner") }, caddyfile: `{
	{{.Global}}
	gate {
		{{.Gate}}
		trusted_proxies 127.0.0.1/32
		limits {
			address off
			account off
		}
		policy office {
			allow everyone
			network 10.0.0.0/8
		}
		policy here {
			allow everyone
			network 127.0.0.0/8 ::1
		}
	}
}
http://app.example.com:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
http://office.example.com:{{.HTTP}} {
	gate office
	reverse_proxy {{.Upstream}}
}
http://here.example.com:{{.HTTP}} {
	gate here
	reverse_proxy {{.Upstream}}
}
`}

// signedInFrom signs in with more headers and gives the address in the audit.
func signedInFrom(t *testing.T, s *server, at, agent string, p person, headers ...header) string {
	t.Helper()
	form := url.Values{"username": {p.Username}, "password": {p.Password}}
	got := s.Client(t).post(at+"/.gate/login", form, append(headers, header{"User-Agent", agent})...)
	if got.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign-in: %s\n%s", got.Status, got.Body)
	}
	var address string
	if err := s.database(t).QueryRow("SELECT address FROM events WHERE action = 'user.login' AND agent = ?", agent).Scan(&address); err != nil {
		t.Fatal(err)
	}
	return address
}

var spoofedAddresses = []header{
	{"X-Forwarded-For", ""},
	{"X-Forwarded-For", "203.0.113.9"},
	{"X-Forwarded-For", "not an address"},
	{"X-Forwarded-For", "127.0.0.1, 203.0.113.9"},
	{"X-Forwarded-For", ", , ,"},
	{"X-Forwarded-For", "[::1]:80"},
	{"X-Forwarded-For", "999.999.999.999"},
	{"X-Forwarded-For", "{env.HOME}"},
	{"X-Forwarded-For", "<script>"},
	{"X-Forwarded-For", strings.Repeat("1.2.3.4,", 500)},
	{"x-forwarded-for", "203.0.113.9"},
	{"X_Forwarded_For", "203.0.113.9"},
	{"X-Real-IP", "203.0.113.9"},
	{"Forwarded", "for=203.0.113.9"},
	{"True-Client-IP", "203.0.113.9"},
	{"CF-Connecting-IP", "203.0.113.9"},
	{"X-Client-IP", "203.0.113.9"},
}

func TestP1_SpoofedAddressIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	for i, h := range spoofedAddresses {
		agent := fmt.Sprintf("p1-test/%d", i)
		if got := signedInFrom(t, s, s.at("auth.example.com", ""), agent, bob, h); got != "127.0.0.1" {
			t.Errorf("%s: %.40q: the audit says %q, want the peer's address", h.name, h.value, got)
		}
	}
}

func TestP1_SpoofedAddressDoesNotResetTheLimit(t *testing.T) {
	t.Parallel()
	s := start(t, `{
	{{.Global}}
	gate {
		{{.Gate}}
		limits {
			address 3 1h
			account off
		}
	}
}
http://app.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
`)
	for i := range 6 {
		form := url.Values{"username": {fmt.Sprintf("user%d", i)}, "password": {"wrong-password"}}
		got := s.Client(t).post(s.at("app.localhost", "/.gate/login"), form, header{"X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i)},
			header{"X-Real-IP", fmt.Sprintf("203.0.113.%d", i)}, header{"Forwarded", fmt.Sprintf("for=203.0.113.%d", i)})
		want := http.StatusUnauthorized
		if i >= 3 {
			want = http.StatusTooManyRequests
		}
		if got.StatusCode != want {
			t.Errorf("attempt %d: %s, want %d", i+1, got.Status, want)
		}
		if want == http.StatusTooManyRequests && got.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
}

func TestP1_TrustedProxySaysTheAddress(t *testing.T) {
	t.Parallel()
	s := behind.get(t)
	for i, test := range []struct {
		forwarded []string
		want      string
	}{
		{nil, "127.0.0.1"},
		{[]string{"203.0.113.9"}, "203.0.113.9"},
		{[]string{"10.1.1.1, 203.0.113.9"}, "203.0.113.9"}, // the client made the first up
		{[]string{"10.1.1.1", "203.0.113.9"}, "203.0.113.9"},
		{[]string{"203.0.113.9, 127.0.0.1"}, "203.0.113.9"}, // two proxies
		{[]string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{[]string{"2001:db8::1"}, "2001:db8::1"},
		{[]string{"203.0.113.9, garbage"}, "127.0.0.1"},
		{[]string{"garbage, 203.0.113.9"}, "203.0.113.9"},
		{[]string{""}, "127.0.0.1"},
		{[]string{"203.0.113.9, "}, "127.0.0.1"},
	} {
		headers := []header{{"X-Forwarded-Proto", "https"}}
		for _, f := range test.forwarded {
			headers = append(headers, header{"X-Forwarded-For", f})
		}
		if got := signedInFrom(t, s, s.URL("HTTP", "app.example.com"), fmt.Sprintf("p1-proxy/%d", i), alice, headers...); got != test.want {
			t.Errorf("%q: the audit says %q, want %q", test.forwarded, got, test.want)
		}
	}
}

// TestP1_NetworkRuleHoldsAgainstSpoofing tries to get past a network line: one
// that names the office, and one that names the network of the proxy itself.
func TestP1_NetworkRuleHoldsAgainstSpoofing(t *testing.T) {
	t.Parallel()
	s := behind.get(t)
	for _, test := range []struct {
		host, forwarded string
		want            int
	}{
		{"office", "10.1.1.1", http.StatusUnauthorized}, // from the office: signing in would help
		{"office", "203.0.113.9", http.StatusForbidden},
		{"office", "10.1.1.1, 203.0.113.9", http.StatusForbidden},
		{"office", "10.1.1.1, garbage", http.StatusForbidden},
		{"office", "", http.StatusForbidden},
		{"here", "203.0.113.9", http.StatusForbidden},
		{"here", "127.0.0.1, 203.0.113.9", http.StatusForbidden},
		{"here", "127.0.0.1, garbage", http.StatusForbidden},
		{"here", "", http.StatusForbidden},
	} {
		got := s.Client(t).fetch(s.URL("HTTP", test.host+".example.com")+"/x", header{"X-Forwarded-Proto", "https"}, header{"X-Forwarded-For", test.forwarded},
			header{"X-Real-IP", "10.1.1.1"}, header{"Forwarded", "for=10.1.1.1"})
		if got.StatusCode != test.want {
			t.Errorf("%s from %q: %s, want %d", test.host, test.forwarded, got.Status, test.want)
		}
	}
}

// evilHost is where nothing may ever lead.
const evilHost = "evil.test"

var evilOrigins = []header{
	{"X-Forwarded-Host", evilHost},
	{"X-Forwarded-Host", "app.example.com, " + evilHost},
	{"Forwarded", "host=" + evilHost + ";proto=http"},
	{"X-Forwarded-Server", evilHost},
	{"X-Original-Host", evilHost},
	{"X-Host", evilHost},
	{"X-HTTP-Host-Override", evilHost},
	{"X-Forwarded-Prefix", "https://" + evilHost},
	{"X-Forwarded-Port", "666"},
	{"X-Original-URL", "https://" + evilHost + "/"},
	{"X-Rewrite-URL", "//" + evilHost + "/"},
	{"X-Forwarded-Uri", "//" + evilHost + "/"},
	{"Referer", "https://" + evilHost + "/"},
}

func TestP2_HostHeadersMoveNothing(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	portal, app := s.at("auth.example.com", ""), s.at("app.example.com", "")
	for _, evil := range evilOrigins {
		b := s.Client(t)
		check := func(what string, p page, status int, to string) {
			t.Helper()
			if p.StatusCode != status || to != "" && !strings.HasPrefix(p.location(), to) {
				t.Errorf("%s: %s: %s: %s to %q, want %d to %q…", evil.name, evil.value, what, p.Status, p.location(), status, to)
			}
			if all := fmt.Sprint(p.Header) + p.Body; strings.Contains(all, evilHost) || strings.Contains(all, ":666") {
				t.Errorf("%s: %s: %s: the answer repeats it:\n%s", evil.name, evil.value, what, all)
			}
		}
		first := b.get(app+"/page", evil)
		check("page", first, http.StatusFound, portal+"/.gate/login?flow=")
		check("program", b.fetch(app+"/page", evil), http.StatusUnauthorized, "")
		check("whoami", b.fetch(app+"/.gate/whoami", evil), http.StatusUnauthorized, "")
		check("sign-in page of the site", b.get(app+"/.gate/login", evil), http.StatusSeeOther, portal+"/.gate/login?flow=")
		check("sign-in page", b.get(first.location(), evil), http.StatusOK, "")
		flow := first.Response.Header.Get("Location")
		_, flow, _ = strings.Cut(flow, "?flow=")
		check("sign-in", b.post(portal+"/.gate/login", url.Values{"username": {bob.Username}, "password": {bob.Password}, "flow": {flow}}, evil),
			http.StatusSeeOther, portal+"/.gate/continue?flow=")
		check("hand-off", b.get(portal+"/.gate/login?flow="+flow, evil), http.StatusSeeOther, app+"/.gate/callback?code=")
		check("page after sign-in", b.get(portal+"/.gate/continue?flow="+flow, evil), http.StatusOK, "")
		check("sign-out page", b.get(portal+"/.gate/logout", evil), http.StatusOK, "")
		check("sign-out", b.post(portal+"/.gate/logout", nil, evil), http.StatusSeeOther, portal+"/.gate/logout")
	}
}

func TestP2_StrangeHostHeader(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	port := s.Vars["HTTPS"]
	portal := s.at("auth.example.com", "")
	for _, test := range []struct{ target, host string }{
		{"/", evilHost},
		{"/", "app.example.com:666"},
		{"/", "APP.EXAMPLE.COM"},
		{"/", "app.example.com."},
		{"/", "app.example.com@" + evilHost},
		{"/", evilHost + "/app.example.com"},
		{"/", "app.example.com, " + evilHost},
		{"/", "app.example.com\t" + evilHost},
		{"/", "[" + evilHost + "]"},
		{"/", ""},
		{"https://" + evilHost + "/", "app.example.com"},
		{"https://app.example.com/", evilHost},
		{fmt.Sprintf("https://app.example.com:%d@%s/", port, evilHost), "app.example.com"},
		{"/", "app.example.com\r\nHost: " + evilHost},
		{"/.gate/login", evilHost},
		{"/.gate/login", "auth.example.com:666"},
	} {
		got := s.raw(t, "HTTPS", "app.example.com", "GET "+test.target+" HTTP/1.1\r\nHost: "+test.host+"\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
		if to := got.Header.Get("Location"); to != "" && !strings.HasPrefix(to, portal+"/.gate/login") {
			t.Errorf("%s of %q: leads to %s", test.target, test.host, to)
		}
		if all := fmt.Sprint(got.Header) + got.Body; strings.Contains(all, evilHost) || strings.Contains(all, ":666") {
			t.Errorf("%s of %q: the answer repeats it:\n%s", test.target, test.host, all)
		}
		if strings.Contains(got.Body, `"Method"`) {
			t.Errorf("%s of %q: reached the upstream", test.target, test.host)
		}
	}
}

// TestP2_CatchAllSite has a gate on a site without a host name: only the portal
// is ours there, and no other host gets a sign-in.
func TestP2_CatchAllSite(t *testing.T) {
	t.Parallel()
	s := start(t, `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal http://auth.localhost:{{.HTTP2}}
	}
}
http://auth.localhost:{{.HTTP2}} {
	gate_portal
}
http://:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
`)
	for _, host := range []string{evilHost, "localhost", "127.0.0.1", "[::1]", "evil.localhost", ""} {
		got := s.raw(t, "HTTP", "", "GET /page HTTP/1.1\r\nHost: "+host+"\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
		if got.StatusCode < 400 || got.Header.Get("Location") != "" || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%q: %s to %q with cookie %q", host, got.Status, got.Header.Get("Location"), got.Header.Get("Set-Cookie"))
		}
		if strings.Contains(fmt.Sprint(got.Header)+got.Body, evilHost) {
			t.Errorf("%q: the answer repeats it:\n%s", host, got.Body)
		}
	}
	if n := len(s.Upstream.requests()); n != 0 {
		t.Errorf("the upstream received %d requests", n)
	}
}

var evilProtos = []string{"evil_protocol", "javascript", "http", "https, http", "HTTPS", "https,https", " https", "", "wss", "https\t", "data:text/html,"}

func TestP3_ForwardedProtoFromAnybody(t *testing.T) {
	t.Parallel()
	s, plain := house.get(t), lodge.get(t)
	for _, proto := range append([]string{"https"}, evilProtos...) {
		headers := []header{{"X-Forwarded-Proto", proto}, {"X-Forwarded-Scheme", proto}, {"X-Url-Scheme", proto}, {"Forwarded", "proto=" + proto}, {"Front-End-Https", "on"}}
		form := url.Values{"username": {bob.Username}, "password": {bob.Password}}
		got := s.Client(t).post(s.at("auth.example.com", "/.gate/login"), form, headers...)
		if c := got.setCookies()["__Host-gate"]; c == nil || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%q over HTTPS: cookies %q", proto, got.Header["Set-Cookie"])
		}
		if got := s.Client(t).get(s.at("app.example.com", "/page"), headers...); !strings.HasPrefix(got.location(), s.at("auth.example.com", "/.gate/login?")) {
			t.Errorf("%q over HTTPS: leads to %s", proto, got.location())
		}
		got = plain.Client(t).post(plain.at("app.localhost", "/.gate/login"), form, headers...)
		c, device := got.setCookies()["gate"], got.setCookies()["gate-device"]
		if c == nil || c.Secure || !c.HttpOnly || device == nil || device.Secure || !device.HttpOnly || len(got.Header["Set-Cookie"]) != 2 {
			t.Errorf("%q over HTTP: cookies %q", proto, got.Header["Set-Cookie"])
		}
	}
}

// TestP3_ForwardedProtoFromAProxy: behind a proxy only "https" is HTTPS, and
// where it is not, nobody signs in.
func TestP3_ForwardedProtoFromAProxy(t *testing.T) {
	t.Parallel()
	s := behind.get(t)
	app := s.URL("HTTP", "app.example.com")
	form := url.Values{"username": {alice.Username}, "password": {alice.Password}}
	got := s.Client(t).post(app+"/.gate/login", form, header{"X-Forwarded-Proto", "https"})
	if c := got.setCookies()["__Host-gate"]; c == nil || !c.Secure {
		t.Errorf("https: %s with cookies %q", got.Status, got.Header["Set-Cookie"])
	}
	for _, proto := range evilProtos {
		if proto == " https" || proto == "https\t" {
			continue // on the wire the same as https
		}
		got := s.Client(t).post(app+"/.gate/login", form, header{"X-Forwarded-Proto", proto})
		if got.StatusCode != http.StatusForbidden || len(got.Header["Set-Cookie"]) > 0 {
			t.Errorf("%q: %s with cookies %q", proto, got.Status, got.Header["Set-Cookie"])
		}
		got = s.Client(t).get(app+"/page", header{"X-Forwarded-Proto", proto})
		if got.StatusCode != http.StatusForbidden || got.location() != "" || strings.Contains(got.Body, "evil_protocol") {
			t.Errorf("%q: page: %s to %q", proto, got.Status, got.location())
		}
	}
	// The last word counts: a header that the client sent comes first.
	got = s.Client(t).get(app+"/page", header{"X-Forwarded-Proto", "http"}, header{"X-Forwarded-Proto", "https"})
	if got.StatusCode != http.StatusForbidden && got.StatusCode != http.StatusFound {
		t.Errorf("two lines: %s", got.Status)
	}
}
