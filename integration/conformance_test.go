package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
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
	for _, mode := range []string{"query", "form_post"} {
		for what, more := range map[string][]string{
			"nothing special":         {},
			"no nonce":                {"nonce", ""},
			"scopes in another order": {"scope", "email profile openid"},
			"display=page":            {"display", "page"},
			"display=popup":           {"display", "popup"},
			"ui_locales":              {"ui_locales", "se no"},
			"claims_locales":          {"claims_locales", "se"},
			"acr_values":              {"acr_values", "1 2"},
			"an unknown parameter":    {"extra", "foobar"},
			"the claims parameter":    {"claims", `{"userinfo":{"name":{"essential":true}}}`},
			"prompt=none, signed in":  {"prompt", "none"},
			"an old proof will do":    {"max_age", "10000"},
			"a hint of the user":      {"id_token_hint", first.ID, "prompt", "none"},
			"a hint of the name":      {"login_hint", "carol"},
		} {
			said := a.answer(b.open(a.asks(append(more, "response_mode", mode)...)))
			if said.Get("state") != "st&te" || said.Get("iss") != w.portal {
				t.Errorf("%s, %s: the answer is %v", what, mode, said)
			}
			again := a.claimsOf(a.redeems(said.Get("code")).ID)
			want := map[string]any{"sub": was["sub"], "auth_time": was["auth_time"], "nonce": "n0nce"}
			if what == "no nonce" {
				delete(want, "nonce")
				if again["nonce"] != nil {
					t.Errorf("a nonce that nobody sent: %v", again["nonce"])
				}
			}
			says(t, what+", "+mode, again, want)
		}
		for what, want := range map[string]struct {
			more []string
			code string
		}{
			"nobody is signed in":   {[]string{"prompt", "none"}, "login_required"},
			"a request object":      {[]string{"request", "e30.e30."}, "request_not_supported"},
			"another response type": {[]string{"response_type", "token"}, "unsupported_response_type"},
		} {
			said := a.answer(w.Client(t).open(a.asks(append(want.more, "response_mode", mode)...)))
			if said.Get("error") != want.code || said.Get("state") != "st&te" || said.Has("code") {
				t.Errorf("%s, %s: the answer is %v", what, mode, said)
			}
		}
		later := w.Client(t)
		code := a.enter(later, w.customer, "response_mode", mode)
		asked := later.open(a.asks("prompt", "login", "response_mode", mode))
		if asked.Request.URL.Path != "/.gate/confirm" && asked.Request.URL.Path != "/.gate/login" {
			t.Errorf("prompt=login, %s: %s", mode, asked.Request.URL)
		}

		// A code that was used is good no more, and takes with it what it brought: at once, and
		// half a minute later.
		for _, age := range []time.Duration{0, 30 * time.Second} {
			if code == "" {
				code = a.enter(later, w.customer, "response_mode", mode)
			}
			brought := a.redeems(code)
			w.edit(t, "UPDATE grant_codes SET used_at = used_at - ? WHERE used_at > 0", age.Microseconds())
			if again := a.sends("token", "grant_type", "authorization_code", "code", code, "redirect_uri", a.callback, "code_verifier", verifier); again.StatusCode != http.StatusBadRequest || !strings.Contains(again.Body, `"invalid_grant"`) {
				t.Errorf("a code again after %v: %s\n%s", age, again.Status, again.Body)
			}
			if a.active(brought.Refresh) || a.active(brought.Access) {
				t.Errorf("what the code brought is good, %v after", age)
			}
			code = ""
		}

		now := a.redeems(a.answer(b.open(a.asks("response_mode", mode))).Get("code"))
		info := w.portal + "/.gate/oauth/userinfo"
		for how, got := range map[string]page{
			"in a header":            a.program.fetch(info, header{"Authorization", "Bearer " + now.Access}),
			"in a header, with POST": a.program.do("POST", info, "", header{"Authorization", "Bearer " + now.Access}),
			"in a form":              a.program.do("POST", info, url.Values{"access_token": {now.Access}}.Encode(), header{"Content-Type", plain}),
		} {
			says(t, "userinfo, token "+how, object(t, got), map[string]any{"sub": was["sub"], "preferred_username": "carol", "email": "carol@example.com"})
		}

		address, query, _ := strings.Cut(a.asks("response_mode", mode), "?")
		posted := b.follow(b.do("POST", address, query, header{"Content-Type", plain}, header{"Accept", "text/html"}, header{"Sec-Fetch-Mode", "navigate"}, header{"Sec-Fetch-Site", "cross-site"}))
		if a.answer(posted).Get("code") == "" {
			t.Errorf("a request by POST is answered with %v", posted.Request.URL)
		}

		for what, more := range map[string][]string{"a proof that is older than a second": {"max_age", "1"}, "another sign-in": {"prompt", "login"}} {
			var asked page
			eventually(t, what, func() bool {
				asked = b.open(a.asks(append(more, "response_mode", mode)...))
				return asked.Request.URL.Path == "/.gate/confirm"
			})
			form := hiddenOf(asked)
			form.Set("password", w.customer.Password)
			later := a.claimsOf(a.redeems(a.answer(b.follow(b.post(w.portal+"/.gate/confirm", form))).Get("code")).ID)
			before, after := was["auth_time"].(float64), later["auth_time"].(float64) // in whole seconds
			if after < before || after == before && more[0] == "max_age" {
				t.Errorf("%s: auth_time is %v, before %v", what, after, before)
			}
			was["auth_time"] = later["auth_time"]
		}
	}
}

// What the module about discovery looks at: all that has to be there, at addresses of the
// issuer, and keys that are public.
func TestConformanceDiscovery(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	b := w.Client(t)
	found := object(t, b.fetch(w.portal+"/.well-known/openid-configuration"))
	says(t, "discovery", found, map[string]any{"issuer": w.portal, "claims_parameter_supported": false, "request_parameter_supported": false, "request_uri_parameter_supported": false,
		"response_types_supported": []any{"code"}, "subject_types_supported": []any{"public"}, "id_token_signing_alg_values_supported": []any{"ES256", "RS256"}})
	endpoints := 0
	for name, value := range found {
		if at, is := value.(string); is && name != "issuer" {
			endpoints++
			if !strings.HasPrefix(at, w.portal+"/") {
				t.Errorf("%s is %s", name, at)
			}
		}
	}
	if endpoints != 9 {
		t.Errorf("%d endpoints: %v", endpoints, found)
	}
	for name, needs := range map[string][]string{"scopes_supported": {"openid", "offline_access"}, "claims_supported": {"sub", "iss", "auth_time", "acr"}, "grant_types_supported": {"authorization_code", "refresh_token"},
		"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post", "private_key_jwt", "none"}, "response_modes_supported": {"query", "form_post"}, "code_challenge_methods_supported": {"S256"}} {
		all, _ := found[name].([]any)
		for _, one := range needs {
			if !slices.Contains(all, any(one)) {
				t.Errorf("%s is %v, without %s", name, all, one)
			}
		}
	}
	var keys jose.JSONWebKeySet
	eventually(t, "a key of each algorithm", func() bool {
		keys = jose.JSONWebKeySet{}
		must(t, json.Unmarshal([]byte(b.fetch(found["jwks_uri"].(string)).Body), &keys))
		return len(keys.Keys) == 2
	})
	for _, key := range keys.Keys {
		if !key.Valid() || !key.IsPublic() || key.KeyID == "" || key.Use != "sig" || key.Algorithm != "ES256" && key.Algorithm != "RS256" {
			t.Errorf("key %q, %s, %s", key.KeyID, key.Algorithm, key.Use)
		}
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
