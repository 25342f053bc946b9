package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestBadInput_Methods: an endpoint takes its methods only, says which, and does
// nothing on others.
func TestBadInput_Methods(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	b := s.Client(t)
	b.signIn(s.at("app.localhost", ""), dave)
	endpoints := map[string]string{ // path to Allow
		"login": "GET, HEAD, POST", "logout": "GET, HEAD, POST", "register": "GET, HEAD, POST", "setup": "GET, HEAD, POST",
		"whoami": "GET, HEAD", "account": "GET, HEAD", "health": "GET, HEAD", "health/live": "GET, HEAD", "health/ready": "GET, HEAD", "assets/gate.css": "GET, HEAD",
		"account/profile": "POST", "account/password": "POST", "account/sessions/revoke": "POST",
	}
	for path, allow := range endpoints {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MOVE", "QUERY", "post", "X"} {
			if strings.Contains(", "+allow+",", ", "+method+",") {
				continue
			}
			got := s.tell(t, "app.localhost", method, "/.gate/"+path, "Cookie: gate="+s.token(t, b, "app.localhost"), "Content-Length: 0", "Connection: close")
			if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != allow || len(got.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s %s: %s, Allow %q, want 405 and %q", method, path, got.Status, got.Header.Get("Allow"), allow)
			}
		}
	}
	if got := b.fetch(s.at("app.localhost", "/.gate/whoami")); got.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", got.Status)
	}
	if n := len(s.Upstream.received("/.gate/")); n > 0 {
		t.Errorf("the upstream received %d of them", n)
	}
}

func TestBadInput_Bodies(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	at := s.at("app.localhost", "/.gate/login")
	const form, json = "application/x-www-form-urlencoded", "application/json"
	good := url.Values{"username": {bob.Username}, "password": {bob.Password}}.Encode()
	goodJSON := fmt.Sprintf(`{"username":%q,"password":%q}`, bob.Username, bob.Password)
	deep := strings.Repeat(`{"username":`, 5000) + "1" + strings.Repeat("}", 5000)
	for _, test := range []struct {
		name, kind, body string
		want             int
	}{
		{"form", form, good, 303},
		{"form with a charset", form + "; charset=utf-8", good, 303},
		{"form, other case", "Application/X-WWW-Form-Urlencoded", good, 303},
		{"JSON", json, goodJSON, 200},
		{"JSON with a charset", json + ";charset=UTF-8", goodJSON, 200},
		{"multipart", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nbob\r\n--x--\r\n", 415},
		{"multipart without a boundary", "multipart/form-data", good, 415},
		{"text", "text/plain", good, 415},
		{"JSON as text", "text/plain", goodJSON, 415},
		{"XML", "application/xml", "<username>bob</username>", 415},
		{"another JSON", "application/vnd.api+json", goodJSON, 415},
		{"no type", "", good, 415},
		{"broken type", "application/", good, 415},
		{"type with garbage", form + "; =", good, 415},
		{"two types", form + ", " + json, good, 415},
		{"empty form", form, "", 401},
		{"empty JSON", json, "", 400},
		{"JSON that is a list", json, `["bob"]`, 400},
		{"JSON that is a string", json, `"bob"`, 400},
		{"JSON that is null", json, `null`, 401},
		{"JSON cut short", json, goodJSON[:10], 400},
		{"JSON with more behind it", json, goodJSON + goodJSON, 400},
		{"JSON with a number", json, `{"username":1,"password":2}`, 400},
		{"JSON with an object", json, `{"username":{"$ne":""},"password":{"$ne":""}}`, 400},
		{"JSON with lists", json, `{"username":["bob"],"password":["x"]}`, 400},
		{"JSON that is deep", json, deep, 400},
		{"JSON with invalid UTF-8", json, "{\"username\":\"bob\xff\",\"password\":\"x\"}", 401},
		{"fields twice", form, good + "&" + good, 400},
		{"username twice", form, good + "&username=alice", 400},
		{"broken escapes", form, "username=%zz&password=%", 400},
		{"semicolons", form, "username=bob;password=x", 400},
		{"fields in other case", form, strings.ReplaceAll(strings.ReplaceAll(good, "username", "USERNAME"), "password", "PASSWORD"), 401},
		{"fields as lists", form, "username[]=bob&password[]=x", 401},
		{"form of 64 KiB and a bit", form, good + "&x=" + strings.Repeat("x", 64<<10), 413},
		{"JSON of 64 KiB and a bit", json, goodJSON + strings.Repeat(" ", 64<<10), 413},
		{"many fields", form, strings.Repeat("x=&", 20000), 400},
	} {
		headers := []header{{"Accept", "*/*"}}
		if test.kind != "" {
			headers = append(headers, header{"Content-Type", test.kind})
		}
		got := s.Client(t).do("POST", at, test.body, headers...)
		if got.StatusCode != test.want {
			t.Errorf("%s: %s, want %d: %.200s", test.name, got.Status, test.want, got.Body)
		}
		if in := got.setCookies()["gate"] != nil; in != (test.want < 400) {
			t.Errorf("%s: cookies %q", test.name, got.Header["Set-Cookie"])
		}
		if got.StatusCode >= 400 && !strings.Contains(got.Body, `"code"`) {
			t.Errorf("%s: no code: %.200s", test.name, got.Body)
		}
	}
}

// TestBadInput_Wire has bodies whose length is a lie, or none. A change that comes
// as 0-RTT data (425, RFC 8470) is not among them: it needs a QUIC client that
// resumes a session.
func TestBadInput_Wire(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	const head = "POST /.gate/login HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	big := strings.Repeat("x", 70<<10)
	for name, test := range map[string]struct {
		request string
		want    int
	}{
		"chunked and large":          {head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big), 413},
		"chunked and broken":         {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n", 400},
		"two lengths":                {head + "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400},
		"length and chunks":          {head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 401}, // Go drops the length
		"negative length":            {head + "Content-Length: -1\r\n\r\n", 400},
		"unknown transfer encoding":  {head + "Transfer-Encoding: gzip\r\n\r\nabc", 501},
		"content encoding":           {head + "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 401},
		"no body at all":             {"POST /.gate/login HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n", 401},
		"HTTP/1.0":                   {"POST /.gate/login HTTP/1.0\r\nHost: app.localhost\r\nContent-Length: 0\r\n\r\n", 401},
		"HTTP/1.0 without a host":    {"POST /.gate/login HTTP/1.0\r\nContent-Length: 0\r\n\r\n", 200}, // no site of ours: Caddy's empty answer
		"no host":                    {"GET /.gate/login HTTP/1.1\r\nConnection: close\r\n\r\n", 400},
		"upgrade on a page of ours":  {"GET /.gate/login HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 200},
		"websocket without a cookie": {"GET /ws HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nAccept: text/html\r\n\r\n", 401},
		"CONNECT":                    {"CONNECT app.localhost:443 HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n", 401},
		"OPTIONS *":                  {"OPTIONS * HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n", 200}, // Go's own empty answer
		"h2c upgrade":                {"GET /ws HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 401},
	} {
		if got := s.raw(t, "HTTP", "", test.request); got.StatusCode != test.want || strings.Contains(got.Body, `"Method"`) {
			t.Errorf("%s: %s, want %d: %.200s", name, got.Status, test.want, got.Body)
		}
	}
}

// TestBadInput_Programs: what is no navigation gets 401 JSON with login_url, and
// no redirect.
func TestBadInput_Programs(t *testing.T) {
	t.Parallel()
	s, plain := house.get(t), lodge.get(t)
	for name, headers := range map[string][]header{
		"curl":                {{"Accept", "*/*"}},
		"no Accept":           {},
		"XHR":                 {{"Accept", "text/html"}, {"X-Requested-With", "XMLHttpRequest"}},
		"fetch":               {{"Accept", "text/html"}, {"Sec-Fetch-Mode", "cors"}},
		"image":               {{"Accept", "image/*"}, {"Sec-Fetch-Mode", "no-cors"}},
		"WebSocket, browser":  {{"Sec-Fetch-Mode", "websocket"}},
		"JSON":                {{"Accept", "application/json"}},
		"preflight":           {{"Access-Control-Request-Method", "POST"}, {"Origin", "https://evil.test"}},
		"wrong cookie":        {{"Accept", "*/*"}, {"Cookie", "__Host-gate=x; gate=x"}},
		"somebody else's SFM": {{"Accept", "text/html"}, {"Sec-Fetch-Mode", "nested-navigate"}},
	} {
		for _, site := range []struct {
			s            *server
			host, portal string
		}{{s, "app.example.com", s.at("auth.example.com", "")}, {plain, "app.localhost", plain.at("app.localhost", "")}} {
			got := site.s.Client(t).do("GET", site.s.at(site.host, "/programs"), "", headers...)
			if got.StatusCode != http.StatusUnauthorized || got.location() != "" || got.Header.Get("WWW-Authenticate") == "" || len(got.Header["Set-Cookie"]) > 0 ||
				!strings.HasPrefix(got.Header.Get("Content-Type"), "application/json") || !strings.Contains(got.Body, `"login_url":"`+site.portal+`/.gate/login"`) ||
				!strings.Contains(got.Body, `"login_required"`) {
				t.Errorf("%s at %s: %s %v %s", name, site.host, got.Status, got.Header, got.Body)
			}
		}
	}
	if n := len(s.Upstream.received("/programs")) + len(plain.Upstream.received("/programs")); n > 0 {
		t.Errorf("the upstream received %d of them", n)
	}
}
