package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func TestLocalPath(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/app", "/app?x=1&y=/z", "/app?next=https://example.net/", "/a//b", "/a%20b", "/a%2fb", "/café", "/x#top",
		"/?a@b", "/a@b", "/.gate/account", "/.gate/account?done=profile", "/a:b", "/" + strings.Repeat("a", maxReturn-1)} {
		if got := localPath(path); got != path {
			t.Errorf("%q: %q", path, got)
		}
	}
	bad := []string{"", "app", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example",
		"\t//evil.example", " /app", "/%09/evil.example\x00", "https://evil.example", "https:evil.example", "https:/evil.example", "HTTPS://evil.example",
		"javascript:alert(1)", "data:text/html,x", "user@evil.example", "/%5cevil.example", "/%5Cevil.example", "/a\\b", "/%0d%0aSet-Cookie:x",
		"/a b", "/a\x7f", "/\xff", "/a?x=\xff", "/%00", "/%zz", "/%2f/evil.example/..%0a", "/%2F%2Fevil.example\n", "/%2fevil.example",
		"/.gate/login", "/.gate/logout", "/.gate/callback?code=x", "/.gate", "/.GATE/login", "/%2egate/login", "/x/../.gate/login",
		"/.gate/account/../logout", "/.gate/account/..%2flogout", "/" + strings.Repeat("a", maxReturn)}
	for _, path := range bad {
		if got := localPath(path); got != "/" {
			t.Errorf("%q: %q", path, got)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/app?x=1", "//e", "/\\e", "/%09/e", "https:e", "a@e", "javascript:", "/..//e", "/./\\e", "/%2e%2e//e", "/;//e"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://app.example.com/.gate/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := localPath(text)
		if got != "/" && got != text {
			t.Errorf("%q became %q", text, got)
		}
		if strings.ContainsAny(got, "\\\r\n\t\x00") || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") {
			t.Errorf("%q gave %q", text, got)
		}
		to, err := base.Parse(got)
		if err != nil || to.Scheme != "https" || to.Host != "app.example.com" || to.User != nil {
			t.Errorf("%q gave %q, which leads to %v, %v", text, got, to, err)
		}
		if again := localPath(got); again != got {
			t.Errorf("%q gave %q and then %q", text, got, again)
		}
		if err == nil && strings.HasPrefix(to.Path, Prefix) && !strings.HasPrefix(to.Path, Prefix+"account") {
			t.Errorf("%q leads to our %q", text, to.Path)
		}
	})
}

func testFlows(now func() time.Time) *Handler {
	known := map[string]bool{"https://app.example.com": true, "https://wiki.example.net:8443": true}
	return &Handler{Seals: NewSeals(authcore.NewSecretKey(), now), KnownOrigin: func(o string) bool { return known[o] }}
}

func TestFlow(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	h := testFlows(func() time.Time { return now })
	want := flow{Origin: "https://app.example.com", Path: "/page?x=1", Browser: "b"}
	sealed := h.sealFlow(want)
	tests := []struct {
		name      string
		sealed    string
		after     time.Duration
		want      flow
		fresh, ok bool
	}{
		{"as it was sealed", sealed, 0, want, true, true},
		{"after an hour", sealed, flowLife, want, true, true},
		{"too old, still tells where it began", sealed, flowLife + time.Second, want, false, true},
		{"nothing", "", 0, flow{}, false, false},
		{"garbage", "garbage", 0, flow{}, false, false},
		{"changed", sealed[:len(sealed)-4] + "AAAA", 0, flow{}, false, false},
		{"of another installation", testFlows(func() time.Time { return now }).sealFlow(want), 0, flow{}, false, false},
		{"to a host that is not ours any more", h.sealFlow(flow{Origin: "https://evil.example", Path: "/"}), 0, flow{}, false, false},
		{"to another scheme", h.sealFlow(flow{Origin: "http://app.example.com", Path: "/"}), 0, flow{}, false, false},
		{"with a path that leads away", h.sealFlow(flow{Origin: want.Origin, Path: "//evil.example"}), 0, flow{Origin: want.Origin, Path: "/"}, true, true},
		{"with a path that is too long", h.sealFlow(flow{Origin: want.Origin, Path: "/" + strings.Repeat("a", maxReturn)}), 0, flow{Origin: want.Origin, Path: "/"}, true, true},
	}
	start := now
	for _, test := range tests {
		now = start.Add(test.after)
		got, fresh, ok := h.openFlow(test.sealed)
		if fresh != test.fresh || ok != test.ok {
			t.Errorf("%s: fresh %v, ok %v", test.name, fresh, ok)
		}
		if diff := cmp.Diff(test.want, got); ok && diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestSignInURL(t *testing.T) {
	t.Parallel()
	h := testFlows(time.Now)
	site := Place{Mode: ModeSite, Origin: "https://app.example.com", Host: "app.example.com", Secure: true, Portal: "https://auth.example.com"}
	own := Place{Mode: ModeOwn, Origin: "https://app.example.com", Host: "app.example.com", Secure: true, Portal: "https://app.example.com"}

	w := httptest.NewRecorder()
	to := h.SignInURL(w, httptest.NewRequest("GET", "/page?x=1", nil), site, "/page?x=1")
	sealed, found := strings.CutPrefix(to, "https://auth.example.com/.gate/login?flow=")
	f, fresh, ok := h.openFlow(sealed)
	if !found || !fresh || !ok {
		t.Fatalf("leads to %s", to)
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || cookies[0].Name != "__Host-gate-flow" || !authcore.PlausibleToken(cookies[0].Value) {
		t.Fatalf("cookies: %v", cookies)
	}
	if diff := cmp.Diff(flow{Origin: "https://app.example.com", Path: "/page?x=1", Browser: browserHash(cookies[0].Value)}, f); diff != "" {
		t.Errorf("flow (-want +got):\n%s", diff)
	}

	// Another tab has the same cookie, and a made-up one is replaced.
	for cookie, same := range map[string]bool{cookies[0].Value: true, "chosen-by-somebody": false} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "__Host-gate-flow="+cookie)
		h.SignInURL(w, r, site, "/")
		if got := w.Result().Cookies()[0].Value; (got == cookie) != same {
			t.Errorf("cookie %q became %q", cookie, got)
		}
	}

	w = httptest.NewRecorder()
	if to := h.SignInURL(w, httptest.NewRequest("GET", "/", nil), own, "/"); to != "/.gate/login" || len(w.Header()) != 0 {
		t.Errorf("a host of its own: %s, %v", to, w.Header())
	}
	to = h.SignInURL(w, httptest.NewRequest("GET", "/", nil), own, "/page")
	if f, _, ok := h.openFlow(strings.TrimPrefix(to, "/.gate/login?flow=")); !ok || f.Path != "/page" || f.Browser != "" || len(w.Header()) != 0 {
		t.Errorf("a host of its own, with a page: %s, %v", to, w.Header())
	}
}

func TestFlowToken(t *testing.T) {
	t.Parallel()
	h := http.Header{"Cookie": {"gate-flow=plain; __Host-gate-flow=prefixed"}}
	if got := FlowToken(h, true); got != "prefixed" {
		t.Errorf("over HTTPS: %q", got)
	}
	if got := FlowToken(h, false); got != "plain" {
		t.Errorf("over plain HTTP: %q", got)
	}
}
