package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestHostname(t *testing.T) {
	t.Parallel()
	for hostport, want := range map[string]string{
		"app.example.com": "app.example.com", "app.example.com:443": "app.example.com", "App.Example.com:1": "App.Example.com",
		"127.0.0.1:80": "127.0.0.1", "[::1]": "::1", "[::1]:80": "::1", "[::1": "", "[]": "", "": "", ":80": "", "a:b:c": "a",
		"localhost.": "localhost.", "[fe80::1%25eth0]:80": "fe80::1%25eth0",
	} {
		if got := Hostname(hostport); got != want {
			t.Errorf("%q: %q, want %q", hostport, got, want)
		}
	}
}

func TestOurs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ ours, plain bool }{
		"/.gate/":                              {true, true},
		"/.gate":                               {true, true},
		"/.gate/login":                         {true, true},
		"/.gate/account/profile":               {true, true},
		"/":                                    {false, true},
		"":                                     {false, true},
		"/app":                                 {false, true},
		"/gate/login":                          {false, true},
		"/app/.gate/login":                     {false, false}, // an app's own path, as long as it does not lead to ours
		"/.gatehouse":                          {false, false},
		"/.gate.html":                          {false, false},
		"/app.js":                              {false, false},
		"/.well-known/x":                       {false, false},
		"//.gate/login":                        {true, false},
		"/.gate//login":                        {true, false},
		"/./.gate/login":                       {true, false},
		"/app/../.gate/login":                  {true, false},
		"/../.gate/login":                      {true, false},
		"/.gate/../.gate/login":                {true, false},
		"/.gate/..":                            {true, false},
		"/.gate/x/../../app":                   {true, false}, // begins as ours: never served, never passed on
		"/.GATE/login":                         {true, false},
		"/.Gate":                               {true, false},
		"/.gate;x=1/login":                     {true, false},
		"/.gate/login;x":                       {true, false},
		"/;/.gate/login":                       {true, false},
		"\\.gate\\login":                       {true, false},
		"/.gate\\login":                        {true, false},
		"/.gate/a\\b":                          {true, false},
		"/a\\..\\.gate/login":                  {true, false},
		"/%2egate/login":                       {true, false}, // one more layer, after Go has undone the first
		"/%2Egate/login":                       {true, false},
		"/.gate%2flogin":                       {true, false},
		"/%2f.gate/login":                      {true, false},
		"/%252egate/login":                     {true, false},
		"/a%2f..%2f.gate/login":                {true, false},
		"/%5c.gate/login":                      {true, false},
		"/.gate%3bx/login":                     {true, false},
		".gate/login":                          {true, false},
		"/a/b/../../.gate":                     {true, false},
		"/a/../b/.gate":                        {false, false},
		"/.gate/../app/" + "x":                 {true, false},
		"/login?next=/.gate/":                  {false, false}, // not how a path looks, but nothing to fall over
		strings.Repeat("/..", 99) + "/.gate/x": {true, false},
	}
	for path, want := range tests {
		ours, plain := Ours(path)
		if ours != want.ours || ours && plain != want.plain {
			t.Errorf("%q: ours %v, plain %v, want %+v", path, ours, plain, want)
		}
	}
}

// What a server behind us would read as ours, Ours calls so too.
func FuzzOurs(f *testing.F) {
	for _, seed := range []string{"/.gate/login", "/%2egate/", "/x/../.gate", "/.ga%74e/", "//.gate", "/.gate;/", "\\.gate\\", "/%2e%2e/.gate/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		ours, plain := Ours(path)
		if strings.HasPrefix(path, Prefix) && !ours {
			t.Errorf("%q is not ours", path)
		}
		if ours && plain && (!strings.HasPrefix(path, Prefix) && path != "/.gate") {
			t.Errorf("%q is called plain", path)
		}
		// As Go's own cleaning reads it.
		if u, err := url.Parse("https://app.example.com"); err == nil && strings.HasPrefix(path, "/") {
			if p := u.JoinPath(path).Path; (p == "/.gate" || strings.HasPrefix(p, Prefix)) && !ours && !strings.Contains(path, "%") {
				t.Errorf("%q is %q, which is ours", path, p)
			}
		}
	})
}

func TestNavigation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		header http.Header
		want   bool
	}{
		{"browser", "GET", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html"}}, true},
		{"browser, a form", "POST", http.Header{"Sec-Fetch-Mode": {"navigate"}}, true},
		{"browser without fetch metadata", "GET", http.Header{"Accept": {"text/html,*/*"}}, true},
		{"fetch that takes HTML", "GET", http.Header{"Sec-Fetch-Mode": {"cors"}, "Accept": {"text/html"}}, false},
		{"image", "GET", http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Accept": {"image/*"}}, false},
		{"curl", "GET", http.Header{"Accept": {"*/*"}}, false},
		{"nothing said", "GET", http.Header{}, false},
		{"XMLHttpRequest", "GET", http.Header{"Accept": {"text/html"}, "X-Requested-With": {"XMLHttpRequest"}}, false},
		{"WebSocket", "GET", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Upgrade": {"websocket"}}, false},
		{"WebSocket over HTTP/2", "CONNECT", http.Header{"Accept": {"text/html"}}, false},
		{"preflight", "OPTIONS", http.Header{"Accept": {"text/html"}}, false},
		{"API client", "GET", http.Header{"Accept": {"application/json"}}, false},
	}
	for _, test := range tests {
		if got := Navigation(&http.Request{Method: test.method, Header: test.header}); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
