package integration

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the modules of the conformance plans look at that no other test does: see
// docs/conformance.md.
func TestConformance(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	a := w.service("Shop", nil)
	b := w.Client(t)
	first := a.redeems(a.enter(b, w.customer))
	was := a.claimsOf(first.ID)

	const plain = "application/x-www-form-urlencoded"
	info := w.portal + "/.gate/oauth/userinfo"
	for how, got := range map[string]page{
		"in a header, with POST": a.program.do("POST", info, "", header{"Authorization", "Bearer " + first.Access}),
		"in a form":              a.program.do("POST", info, url.Values{"access_token": {first.Access}}.Encode(), header{"Content-Type", plain}),
	} {
		says(t, "userinfo, token "+how, object(t, got), map[string]any{"sub": was["sub"], "preferred_username": "carol"})
	}

	for what, more := range map[string][]string{
		"scopes in another order": {"scope", "email profile openid"},
		"display=page":            {"display", "page"},
		"display=popup":           {"display", "popup"},
		"ui_locales":              {"ui_locales", "se no"},
		"claims_locales":          {"claims_locales", "se"},
		"an unknown parameter":    {"extra", "foobar"},
		"the claims parameter":    {"claims", `{"userinfo":{"name":{"essential":true}}}`},
		"prompt=none, signed in":  {"prompt", "none"},
		"an old proof will do":    {"max_age", "10000"},
		"a hint of the user":      {"id_token_hint", first.ID, "prompt", "none"},
	} {
		again := a.claimsOf(a.redeems(a.answer(b.open(a.asks(more...))).Get("code")).ID)
		says(t, what, again, map[string]any{"sub": was["sub"], "auth_time": was["auth_time"], "nonce": "n0nce"})
	}

	address, query, _ := strings.Cut(a.asks(), "?")
	posted := b.follow(b.do("POST", address, query, header{"Content-Type", plain}, header{"Accept", "text/html"}, header{"Sec-Fetch-Mode", "navigate"}, header{"Sec-Fetch-Site", "cross-site"}))
	if a.answer(posted).Get("code") == "" {
		t.Errorf("a request by POST is answered with %v", posted.Request.URL)
	}

	var asked page
	eventually(t, "a proof that is older than a second", func() bool {
		asked = b.open(a.asks("max_age", "1"))
		return asked.Request.URL.Path == "/.gate/confirm"
	})
	form := hiddenOf(asked)
	form.Set("password", w.customer.Password)
	later := a.claimsOf(a.redeems(a.answer(b.follow(b.post(w.portal+"/.gate/confirm", form))).Get("code")).ID)
	if later["auth_time"].(float64) <= was["auth_time"].(float64) {
		t.Errorf("after another proof auth_time is %v, as before %v", later["auth_time"], was["auth_time"])
	}
}

// What the modules of the sign-out plan look at.
func TestConformanceLogout(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	a := w.service("Shop", nil)
	found := object(t, a.program.fetch(w.portal+"/.well-known/openid-configuration"))
	says(t, "discovery", found, map[string]any{"end_session_endpoint": w.portal + "/.gate/oauth/end_session", "backchannel_logout_supported": true, "backchannel_logout_session_supported": true})
	bye := w.shop + "/bye"
	for what, c := range map[string]struct {
		send  url.Values // "hint" in id_token_hint stands for the token of the sign-in
		asks  bool       // whether the user is asked first
		leads string     // where it ends; empty: on a page of the portal
	}{
		"all that there is":             {url.Values{"id_token_hint": {"hint"}, "post_logout_redirect_uri": {bye}, "state": {"s&t"}}, false, bye + "?state=s%26t"},
		"no state":                      {url.Values{"id_token_hint": {"hint"}, "post_logout_redirect_uri": {bye}}, false, bye},
		"only a state":                  {url.Values{"state": {"st"}}, true, ""},
		"nothing":                       {url.Values{}, true, ""},
		"no hint":                       {url.Values{"post_logout_redirect_uri": {bye}}, true, ""},
		"a hint that is none":           {url.Values{"id_token_hint": {"x.y.z"}, "post_logout_redirect_uri": {bye}}, true, ""},
		"a hint that was changed":       {url.Values{"id_token_hint": {"changed"}, "post_logout_redirect_uri": {bye}}, true, ""},
		"an address that is not known":  {url.Values{"id_token_hint": {"hint"}, "post_logout_redirect_uri": {"https://evil.example/"}}, false, ""},
		"an address with a query added": {url.Values{"id_token_hint": {"hint"}, "post_logout_redirect_uri": {bye + "?foo=bar"}}, false, ""},
	} {
		t.Run(what, func(t *testing.T) {
			b := w.Client(t)
			i := a.redeems(a.enter(b, w.customer))
			switch c.send.Get("id_token_hint") {
			case "hint":
				c.send.Set("id_token_hint", i.ID)
			case "changed":
				head, rest, _ := strings.Cut(i.ID, ".")
				_, signature, _ := strings.Cut(rest, ".")
				c.send.Set("id_token_hint", head+"."+"eyJzdWIiOiJ4In0"+"."+signature)
			}
			got := b.open(w.portal + "/.gate/oauth/end_session?" + c.send.Encode())
			if asked := strings.Contains(got.Body, "Sign out?"); asked != c.asks {
				t.Fatalf("asked first: %v, at %s\n%.600s", asked, got.Request.URL, got.Body)
			}
			if c.asks {
				if !a.active(i.Refresh) {
					t.Error("signed out before the user was asked")
				}
				got = b.follow(b.post(w.portal+"/.gate/oauth/end_session/confirm", hiddenOf(got)))
			}
			switch to := got.Request.URL; {
			case c.leads == "" && (to.Host != strings.TrimPrefix(w.portal, "https://") || got.StatusCode != http.StatusOK):
				t.Errorf("it leads to %s, %s", to, got.Status)
			case c.leads != "" && to.String() != c.leads:
				t.Errorf("it leads to %s, not %s", to, c.leads)
			}
			if a.active(i.Refresh) {
				t.Error("the sign-in goes on")
			}
		})
	}
}

var (
	moduleRow = regexp.MustCompile("(?m)^\\| (?:`[a-z0-9-]+`|all others) \\| (.*) \\|$")
	testName  = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
)

// Each test that docs/conformance.md names is there, and each module has one or a reason.
func TestConformanceTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "conformance.md"))
	must(t, err)
	var code strings.Builder
	must(t, filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		some, err := os.ReadFile(path)
		code.Write(some)
		return err
	}))
	rows := moduleRow.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 50 {
		t.Fatalf("%d modules", len(rows))
	}
	for _, row := range rows {
		names := testName.FindAllStringSubmatch(row[1], -1)
		for _, name := range names {
			if !strings.Contains(code.String(), "func "+name[1]+"(") {
				t.Errorf("there is no test %s: %s", name[1], row[0])
			}
		}
		if len(names) == 0 && !strings.Contains(row[1], "not supported: ") && !strings.Contains(row[1], "none yet") {
			t.Errorf("neither a test nor a reason: %s", row[0])
		}
	}
}
