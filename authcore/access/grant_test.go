package access

import (
	"strings"
	"testing"
)

func TestTokenRule(t *testing.T) {
	t.Parallel()
	p := mustParse(t, "allow everyone", "tokens /api/* /hook", "tokens /api/admin/* scope:admin scope:write")
	for path, want := range map[string]string{
		"/api/x":         "tokens /api/*",
		"/hook":          "tokens /hook",
		"/api/admin/x":   "tokens /api/admin/* scope:admin scope:write",
		"/api/administr": "tokens /api/*",
		"/api/ADMIN/x":   "", // to some servers that is the other line's
		"/api/admin":     "",
		"/api/Admin/":    "",
		"/API/x":         "",
		"/hook/":         "",
		"/":              "",
		"/api//x":        "",
		"/api/%2e":       "",
	} {
		got := ""
		if r := p.TokenRule(&Request{Path: path}); r != nil {
			got = r.Rule.Text
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if r := p.TokenRule(&Request{Path: "/api/./x", RawPath: "/api/%2e/x"}); r != nil {
		t.Error("a path that is not canonical")
	}
	if !p.AcceptsTokens() || Everyone.AcceptsTokens() {
		t.Error("AcceptsTokens")
	}
}

func TestTokensLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"tokens scope:a":            "needs a path",
		"tokens /a scope:":          "is not a scope",
		"tokens /a scope:b scope:b": "there twice",
		"tokens /a scope:ü":         "is not a scope",
	} {
		if _, err := Parse(lines("allow everyone", line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestGrant(t *testing.T) {
	t.Parallel()
	all := Grant{}
	some := Grant{Hosts: []string{"app.example.com", "*.example.net"}, Paths: []string{"/api/*", "/hook"}, Scopes: []string{"read"}}
	for _, tt := range []struct {
		host, path string
		want       bool
	}{
		{"app.example.com", "/api/x", true}, {"APP.example.com", "/hook", true}, {"wiki.example.net", "/hook", true},
		{"app.example.com", "/api", false}, {"app.example.com", "/hook/x", false}, {"app.example.com", "/API/x", false},
		{"example.net", "/hook", false}, {"a.b.example.net", "/hook", false}, {"app.example.com.evil.example", "/hook", false}, {"", "/hook", false},
	} {
		if some.Holds(tt.host, tt.path) != tt.want || !all.Holds(tt.host, tt.path) {
			t.Errorf("%s%s: not %v", tt.host, tt.path, tt.want)
		}
	}
	if !some.Has(nil) || !some.Has([]string{"read"}) || some.Has([]string{"read", "write"}) || all.Has([]string{"read"}) {
		t.Error("scopes")
	}
	if err := some.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Grant{
		{Hosts: []string{"https://app.example.com"}}, {Hosts: []string{"App.example.com"}}, {Hosts: []string{"*."}}, {Hosts: []string{"a b"}},
		{Paths: []string{"api"}}, {Paths: []string{"/a b"}}, {Paths: []string{"/a/../b"}}, {Scopes: []string{"a b"}}, {Scopes: make([]string, 40)},
		{Hosts: []string{strings.Repeat("a", 300)}},
		{Hosts: []string{"app.example.com:8443"}}, {Hosts: []string{"[::1]"}}, {Hosts: []string{"a..b"}}, {Hosts: []string{":"}}, {Hosts: []string{"app.example.com."}},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
