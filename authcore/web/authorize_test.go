package web

import (
	"bytes"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
)

func TestResume(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	h := testFlows(func() time.Time { return now })
	h.Accounts = &authcore.Accounts{Now: func() time.Time { return now }}
	want := resume{Query: "client_id=x&prompt=login", Since: now.Add(-time.Minute).UnixMicro(), Root: "r", Scopes: []string{"openid"}, Agreed: true}
	sealed := h.sealResume(want)
	if got, ok := h.openResume(sealed); !ok || !cmp.Equal(got, want) {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, other := range []string{"", "garbage", sealed[:len(sealed)-4] + "AAAA", h.sealFlow(flow{Origin: "https://app.example.com"})} {
		if got, ok := h.openResume(other); ok {
			t.Errorf("%q is %+v", other, got)
		}
	}
	now = now.Add(resumeLife + 2*time.Second)
	if got, ok := h.openResume(sealed); !ok || !cmp.Equal(got, resume{Query: want.Query, Since: now.UnixMicro()}) {
		t.Errorf("what is too old does not begin anew: %+v, %v", got, ok)
	}
}

// What leads back to a request goes on with the time at which it came, and a link that
// somebody made begins it anew.
func TestBackToRequest(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	h := testFlows(func() time.Time { return now })
	h.Accounts = &authcore.Accounts{Now: func() time.Time { return now }}
	since := now.Add(-time.Minute).UnixMicro()
	for _, tt := range []struct {
		name  string
		f     flow
		fresh bool
		want  resume
	}{
		{"a flow", flow{Path: authorizePath + "?client_id=x", Since: since}, true, resume{Query: "client_id=x", Since: since}},
		{"an old flow", flow{Path: authorizePath + "?client_id=x", Since: since}, false, resume{Query: "client_id=x", Since: now.UnixMicro()}},
		{"a link", flow{Path: authorizePath + "?client_id=x"}, true, resume{Query: "client_id=x", Since: now.UnixMicro()}},
	} {
		to := h.back(tt.f, tt.fresh)
		sealed, _ := strings.CutPrefix(to, authorizePath+"?resume=")
		if got, ok := h.openResume(sealed); !ok || !cmp.Equal(got, tt.want) {
			t.Errorf("%s leads to %s: %+v", tt.name, to, got)
		}
	}
	for _, path := range []string{"/", "/.gate/account", "/.gate/device?user_code=BCDF-GHJK", authorizePath} {
		if got := h.back(flow{Path: path}, true); got != path {
			t.Errorf("%s leads to %s", path, got)
		}
	}
	for _, path := range []string{authorizePath + "?client_id=x&redirect_uri=https%3A%2F%2Fa.example%2Fcb", "/.gate/device", "/.gate/device?user_code=x"} {
		if got := localPath(path); got != path {
			t.Errorf("%s does not come back: %s", path, got)
		}
	}
}

// Where nothing is carried along, an authorization request that is too long, or cannot be
// read, is refused.
func TestAskingOf(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	h := testFlows(func() time.Time { return now })
	h.Accounts = &authcore.Accounts{Now: func() time.Time { return now }}
	ask := func(query string) (*asking, error) {
		r := httptest.NewRequest(http.MethodGet, authorizePath, nil)
		r.URL.RawQuery = query
		return h.askingOf(r)
	}
	if a, err := ask(`state=a%5C+b&client_id=x\y`); err != nil || a.Query != "client_id=x%5Cy&state=a%5C+b" || a.forms || a.Since != now.UnixMicro() {
		t.Errorf("%+v, %v", a, err)
	}
	for _, query := range []string{"a=%zz", "a=1;b=2", "state=" + strings.Repeat("x", maxReturn), "resume=garbage"} {
		if a, err := ask(query); err == nil {
			t.Errorf("%.40s is %+v", query, a)
		}
	}
	if a, err := ask("resume=" + h.sealResume(resume{Query: "q", Since: 1})); err != nil || !a.forms || a.Query != "q" || a.Since != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestWhereAnswersLead(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][2]string{
		"https://shop.example.com/cb?x=1": {"shop.example.com", "https://shop.example.com"},
		"https://shop.example.com:8443/":  {"shop.example.com:8443", "https://shop.example.com:8443"},
		"http://127.0.0.1:1234/cb":        {"127.0.0.1:1234", "http://127.0.0.1:1234"},
		"http://[::1]:1234/cb":            {"[::1]:1234", "http:"},
		"com.example.app:/cb":             {"an app on this device", "com.example.app:"},
		"https://a;sandbox/":              {"a;sandbox", "https:"},
	} {
		if got := [2]string{hostOf(address), source(address)}; got != want {
			t.Errorf("%s: %q", address, got)
		}
	}
}

// The pages that lead to an app take its address as it is registered, whatever its scheme,
// and nothing of what stands in it as markup.
func TestLeadingPages(t *testing.T) {
	t.Parallel()
	to := template.URL(`com.example.app:/cb?code=x&state="><script>`)
	l := leading{URL: to, Target: "an app on this device"}
	form := leading{URL: "https://shop.example.com/cb", Form: map[string]string{"state": `"><script>`}, Target: "shop.example.com"}
	for page, data := range map[string]any{"continue": continueData{URL: to, Target: "<b>Shop</b>", Heading: "One moment"}, "app-stop": stopData{leading: l, App: "<b>Shop</b>", Why: "No."}, "app-post": form} {
		var b bytes.Buffer
		if err := pages[page].ExecuteTemplate(&b, "page", View{Lang: "en", Data: data}); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if strings.Contains(text, "<b>") || strings.Contains(text, `"><script>`) || strings.Contains(text, "ZgotmplZ") {
			t.Errorf("%s:\n%s", page, text)
		}
		if page != "app-post" && !strings.Contains(text, `"com.example.app:/cb?code=x&amp;`) && !strings.Contains(text, `url=com.example.app:/cb?code=x&amp;`) {
			t.Errorf("%s does not lead to the app:\n%s", page, text)
		}
	}
}

func TestWordsOfScopes(t *testing.T) {
	t.Parallel()
	for _, scope := range authcore.ProviderScopes {
		if scopeWords[scope] == "" {
			t.Errorf("there are no words for %s", scope)
		}
	}
	got := wordsOf([]string{"orders.read", "email", "openid", "offline_access"})
	want := []string{"know that it is you", "see your email address", "go on after you have signed out, until you withdraw this", "do what it calls “orders.read”"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := wordsOf(nil); len(got) != 1 {
		t.Errorf("of no scope: %q", got)
	}
}

// The picture is of the address alone, and whoever has no code gets none.
func TestDeviceQR(t *testing.T) {
	t.Parallel()
	h := testFlows(time.Now)
	h.OAuth = new(oidcop.Provider)
	p := Place{Mode: ModePortal, Origin: "https://auth.example.com", Host: "auth.example.com", Secure: true}
	for code, good := range map[string]bool{"BCDF-GHJK": true, "bcdfghjk": true, "": false, "AAAA-AAAA": false, "BCDF-GHJ": false, "<svg>": false} {
		w := httptest.NewRecorder()
		err := h.deviceQR(w, httptest.NewRequest(http.MethodGet, "/.gate/oauth/device/qr?"+url.Values{"user_code": {code}}.Encode(), nil), p)
		if good != (err == nil) || good && (w.Header().Get("Content-Type") != "image/svg+xml" || !strings.HasPrefix(w.Body.String(), "<svg ") || len(w.Header()["Set-Cookie"]) > 0) {
			t.Errorf("%q: %v %v", code, err, w.Header())
		}
	}
}

func TestIssuedCredentials(t *testing.T) {
	t.Parallel()
	opaque, _ := authcore.KindAccess.New()
	code, _ := authcore.KindCode.New()
	const signed = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
	for name, tt := range map[string]struct {
		lines, left []string
		want        string
	}{
		"opaque":        {lines: []string{"Bearer " + opaque.Reveal()}, want: opaque.Reveal()},
		"signed":        {lines: []string{"bearer  " + signed}, want: signed},
		"among others":  {lines: []string{"Basic YTpi", "Bearer " + signed}, left: []string{"Basic YTpi"}, want: signed},
		"as a password": {lines: []string{"Basic " + signed}, left: []string{"Basic " + signed}},
		"a code":        {lines: []string{"Bearer " + code.Reveal()}, left: []string{"Bearer " + code.Reveal()}},
		"cut":           {lines: []string{"Bearer " + opaque.Reveal()[:30]}, left: []string{"Bearer " + opaque.Reveal()[:30]}},
		"two parts":     {lines: []string{"Bearer eyJh.eyJh"}, left: []string{"Bearer eyJh.eyJh"}},
		"DPoP":          {lines: []string{"DPoP " + signed}, left: []string{"DPoP " + signed}},
	} {
		h := http.Header{"Authorization": append([]string{}, tt.lines...)}
		got := CredentialsOf(h, true)
		if got.Issued != tt.want || got.Access != "" {
			t.Errorf("%s: %+v", name, got)
		}
		if got.Issued == "" {
			continue
		}
		if (&Check{Provider: new(oidcop.Provider)}).HideIssued(h, got.Issued); !cmp.Equal(h["Authorization"], tt.left) {
			t.Errorf("%s: left %q", name, h["Authorization"])
		}
	}
}
