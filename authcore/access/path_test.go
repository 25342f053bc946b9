package access

import (
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	tests := []struct {
		path, raw string
		want      bool
	}{
		{"/", "", true},
		{"/healthz", "", true},
		{"/app/", "", true},
		{"/app/a.b/..c/d../...", "", true},
		{"/a b", "", true},
		{"/~alice/(x)!$&'+,=:@", "", true},
		{"/café/花", "", true},
		{"/what?", "", true}, // as %3F on the wire
		{"/healthz", "/%68ealthz", true},
		{"/café", "/caf%c3%a9", true},
		{"/a+b", "/a%2Bb", true},

		{"", "", false},
		{"*", "", false},
		{"healthz", "", false},
		{"//", "", false},
		{"//healthz", "", false},
		{"/app//x", "", false},
		{"/app//", "", false},
		{"/.", "", false},
		{"/..", "", false},
		{"/./x", "", false},
		{"/../x", "", false},
		{"/app/.", "", false},
		{"/app/..", "", false},
		{"/app/./x", "", false},
		{"/app/../x", "", false},
		{"/app/../", "", false},
		{"/app\\x", "", false},
		{"/app/..\\x", "", false},
		{"/app;x", "", false},
		{"/app/..;/x", "", false},
		{"/app%2fx", "", false},
		{"/app/%2e%2e/x", "", false},
		{"/100%", "", false},
		{"/app\x00", "", false},
		{"/app\tx", "", false},
		{"/app\nx", "", false},
		{"/app\x7f", "", false},
		{"/app\u0085", "", false},
		{"/app\u009f", "", false},
		{"/app\u00a0", "", true},
		{"/app\xff", "", false},
		{"/app\xc2", "", false},
		{"/app/\xc0\xae\xc0\xae/", "", false}, // an overlong ..
		{"/app/\xc0\xaf", "", false},

		{"/app/x", "/app%2Fx", false},
		{"/app/x", "/app%2fx", false},
		{"/app.x", "/app%2Ex", false},
		{"/app.x", "/app%2ex", false},
		{"/app%x", "/app%25x", false},
		{"/app;x", "/app%3Bx", false},
		{"/app;x", "/app%3bx", false},
		{"/app\\x", "/app%5Cx", false},
		{"/app\\x", "/app%5cx", false},
		// The two are not of one request.
		{"/healthz", "/admin", false},
		{"/healthz", "/healthz/", false},
		{"/healthz/", "/healthz", false},
		{"/healthz", "/healthz%", false},
		{"/healthz", "/health%7", false},
		{"/healthz", "/health%7g", false},
		{"/healthz", "/healthz%00", false},
	}
	for _, tt := range tests {
		if got := Canonical(tt.path, tt.raw); got != tt.want {
			t.Errorf("Canonical(%q, %q): got %v, want %v", tt.path, tt.raw, got, tt.want)
		}
	}
}

func TestPublicPaths(t *testing.T) {
	t.Parallel()
	p := mustParse(t, "allow owner", "public /healthz /app/* /a.b/", "public /café")
	tests := []struct {
		uri  string // as sent; every one without a rule is private
		rule string
	}{
		{"/healthz", "public /healthz"},
		{"/healthz?x=/admin", "public /healthz"},
		{"/%68ealthz", "public /healthz"},
		{"/app/", "public /app/*"},
		{"/app/x", "public /app/*"},
		{"/app/x/y/", "public /app/*"},
		{"/app/what%3f", "public /app/*"},
		{"/a.b/", "public /a.b/"},
		{"/caf%C3%A9", "public /café"},
		{"/café", "public /café"},

		{"/", ""},
		{"/healthz/", ""},
		{"/healthz/x", ""},
		{"/healthzz", ""},
		{"/Healthz", ""},
		{"/HEALTHZ", ""},
		{"/app", ""},
		{"/App/x", ""},
		{"/application", ""},
		{"/a.b", ""},
		{"//healthz", ""},
		{"/./healthz", ""},
		{"/%2e/healthz", ""},
		{"/app/../admin", ""},
		{"/app/..", ""},
		{"/app/%2e%2e/admin", ""},
		{"/app/%2E%2E/admin", ""},
		{"/app/.%2e/admin", ""},
		{"/app/%252e%252e/admin", ""},
		{"/app/..%2fadmin", ""},
		{"/app/..%2Fadmin", ""},
		{"/app%2fx", ""},
		{"/app/..%5cadmin", ""},
		{"/app/..\\admin", ""},
		{"/app/..;/admin", ""},
		{"/app/..;a=b/admin", ""},
		{"/app/..%3b/admin", ""},
		{"/app/;x", ""},
		{"/app//admin", ""},
		{"/app/%00", ""},
		{"/app/x%0d%0aheader", ""},
		{"/app/x%ff", ""},
		{"/app/%c0%ae%c0%ae/admin", ""},
		{"/admin/../healthz", ""},
		{"/admin/%2e%2e/healthz", ""},
		{"/admin%2f..%2fhealthz", ""},
		{"/healthz;x", ""},
		{"/healthz%3bx", ""},
		{"/healthz%00", ""},
		{"/healthz%20", ""},
		{"/healthz%2f", ""},
	}
	for _, tt := range tests {
		u, err := url.ParseRequestURI(tt.uri)
		if err != nil {
			t.Errorf("%s: %v", tt.uri, err)
			continue
		}
		want := told{Outcome: SignIn, Rule: ruleNobody.Text}
		if tt.rule != "" {
			want = told{Outcome: Allow, Public: true, Rule: tt.rule}
		}
		got := tell(p.Decide(&Request{Method: "GET", Path: u.Path, RawPath: u.RawPath}, nil))
		if got != want {
			t.Errorf("%s: got %+v, want %+v", tt.uri, got, want)
		}
	}
}

// FuzzCanonical holds Canonical against a slow and plain reading of its rules.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		"/healthz", "/app/../x", "/app/%2e%2e/x", "/app/%252e", "/a;b", "/a%3Bb", "//x", "/a\\b", "/caf%C3%A9",
		"/a%00", "/\xff", "/a%2Fb", "/%68ealthz", "*", "", "/what%3f", "/a/./", "/\u0085",
	} {
		f.Add(s)
	}
	p := mustParse(f, "allow owner", "public / /app/* /healthz")
	f.Fuzz(func(t *testing.T, uri string) {
		u, err := url.ParseRequestURI(uri)
		if err != nil {
			u = &url.URL{Path: uri}
		}
		checkCanonical(t, u.Path, u.RawPath, Canonical(u.Path, u.RawPath))
		checkCanonical(t, uri, "", Canonical(uri, ""))
		// Two texts that have nothing to do with one another.
		checkCanonical(t, u.Path, uri, Canonical(u.Path, uri))

		d := p.Decide(&Request{Path: u.Path, RawPath: u.RawPath}, nil)
		if !d.Public {
			return
		}
		if !Canonical(u.Path, u.RawPath) {
			t.Fatalf("%q is public by %s, but not canonical", uri, d.Rule.Text)
		}
		if c := path.Clean(u.Path); c != "/" && c != "/healthz" && c != "/app" && !strings.HasPrefix(c, "/app/") {
			t.Fatalf("%q is public by %s, but leads to %s", uri, d.Rule.Text, c)
		}
	})
}

func checkCanonical(t *testing.T, p, raw string, got bool) {
	t.Helper()
	if want := slowCanonical(p, raw); got != want {
		t.Fatalf("Canonical(%q, %q): got %v, want %v", p, raw, got, want)
	}
	if !got {
		return
	}
	clean := path.Clean(p)
	if clean != p && clean+"/" != p {
		t.Fatalf("%q is canonical, but cleaned it is %q", p, clean)
	}
	if again, err := url.PathUnescape(p); err != nil || again != p {
		t.Fatalf("%q is canonical, but decoded again it is %q", p, again)
	}
}

func slowCanonical(p, raw string) bool {
	if !strings.HasPrefix(p, "/") || !utf8.ValidString(p) || strings.ContainsAny(p, `\;%`) ||
		strings.ContainsFunc(p, unicode.IsControl) || strings.Contains(p, "//") {
		return false
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	if raw == "" {
		return true
	}
	for _, hidden := range []string{"%2f", "%5c", "%2e", "%25", "%3b"} {
		if strings.Contains(strings.ToLower(raw), hidden) {
			return false
		}
	}
	decoded, err := url.PathUnescape(raw)
	return err == nil && decoded == p
}

func BenchmarkCanonical(b *testing.B) {
	for name, r := range map[string]Request{
		"plain":   {Path: "/static/app/2026/main-4f2a91.js"},
		"encoded": {Path: "/static/café/2026/main.js", RawPath: "/static/caf%c3%a9/2026/main.js"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !Canonical(r.Path, r.RawPath) {
					b.Fatal("not canonical")
				}
			}
		})
	}
}
