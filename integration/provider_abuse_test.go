package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// O1, O2: an address that is not written exactly as it is registered gets no answer, whatever
// else the request says: a page of ours says so. O13: nothing of the request is on it as
// markup.
func TestAbuseO1(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	a := w.service("Shop", nil)
	native := w.service("App", map[string]any{"type": "desktop", "redirect_uris": []string{"http://127.0.0.1/back", "com.example.app:/back"}})
	b := w.Client(t)
	b.signIn(w.portal, w.customer)
	host := strings.TrimPrefix(w.shop, "https://")
	for _, at := range []string{"", "https://ann@" + host + "/callback", w.shop + ".evil.example/callback", w.shop + "/callback/", w.shop + "/callback/..", w.shop + "/Callback", w.shop + "/callback?x=1", w.shop + "/callback#x",
		"https://shop.example.net:1/callback", "https://shop.example.net/callback", "HTTPS://" + host + "/callback", "https://SHOP.example.net" + strings.TrimPrefix(host, "shop.example.net") + "/callback", "http://" + host + "/callback",
		w.shop + "/%63allback", w.shop + "//callback", w.shop + "\\@evil.example/callback", "//" + host + "/callback", "javascript:alert(1)", "data:text/html,x", `"><script>alert(1)</script>`, "https://evil.example/"} {
		for _, more := range [][]string{{}, {"prompt", "none"}, {"response_mode", "form_post"}, {"response_type", "token"}, {"scope", "<script>alert(1)</script>"}} {
			got := b.get(a.asks(append([]string{"redirect_uri", at}, more...)...))
			if got.StatusCode != http.StatusBadRequest || got.Header.Get("Location") != "" || refresh.MatchString(got.Body) || strings.Contains(got.Body, "<script") || strings.Contains(got.Body, "evil.example") {
				t.Errorf("%q %v: %s %v\n%s", at, more, got.Status, got.Header, got.Body)
			}
		}
	}
	for at, good := range map[string]bool{"http://127.0.0.1:41234/back": true, "http://127.0.0.1/back": true, "com.example.app:/back": true,
		"http://127.0.0.1:41234/back/": false, "http://127.0.0.1:41234@evil.example/back": false, "http://localhost:41234/back": false, "http://127.0.0.2/back": false, "com.example.app://back": false, "https://127.0.0.1/back": false} {
		if got := b.get(native.asks("redirect_uri", at, "prompt", "none")); (got.StatusCode == http.StatusFound) != good || (strings.HasPrefix(got.Header.Get("Location"), at)) != good {
			t.Errorf("%q: %s %v", at, got.Status, got.Header)
		}
	}
	for _, id := range []string{"", "unknown", `"><script>alert(1)</script>`, strings.Repeat("a", 2000), "gatehouse-command-line"} {
		got := b.get(a.asks("client_id", id))
		if got.StatusCode != http.StatusBadRequest || got.Header.Get("Location") != "" || strings.Contains(got.Body, "<script") {
			t.Errorf("client %q: %s\n%s", id, got.Status, got.Body)
		}
	}
	for _, query := range []string{"&client_id=x", "&redirect_uri=https%3A%2F%2Fevil.example%2F", "&x=%zz", "&" + strings.Repeat("a=&", 100), "&state=" + strings.Repeat("x", 5000)} {
		if got := b.get(a.asks() + query); got.StatusCode != http.StatusBadRequest || got.Header.Get("Location") != "" {
			t.Errorf("%.40s: %s %v", query, got.Status, got.Header)
		}
	}
}

// O13: what a request says comes back to the service as it was, and stands on no page of ours
// as markup.
func TestAbuseO13(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	const markup = `"><script>alert(1)</script><b x='`
	a := w.service("Shop & <i>Co</i>", nil)
	b := w.Client(t)
	b.signIn(w.portal, w.customer)
	for name, more := range map[string][]string{"state": {"state", markup, "prompt", "none"}, "prompt": {"prompt", markup}, "scope": {"scope", markup}, "response_type": {"response_type", markup}, "resource": {"resource", markup},
		"max_age": {"max_age", markup}, "id_token_hint": {"id_token_hint", markup}, "code_challenge": {"code_challenge", markup}, "dpop_jkt": {"dpop_jkt", markup}, "request": {"request", markup}} {
		for _, mode := range []string{"query", "fragment", "form_post"} {
			got := b.get(a.asks(append([]string{"response_mode", mode}, more...)...))
			if strings.Contains(got.Body, "<script>alert") || strings.Contains(got.Body, "<b x") {
				t.Errorf("%s by %s:\n%s", name, mode, got.Body)
			}
			if to := got.Header.Get("Location"); mode != "form_post" && (!strings.HasPrefix(to, a.callback+map[string]string{"query": "?", "fragment": "#"}[mode]) || strings.ContainsAny(to, `<>"`)) {
				t.Errorf("%s by %s: %s, %s", name, mode, got.Status, to)
			}
			if policy := got.Header.Get("Content-Security-Policy"); mode == "form_post" && (got.StatusCode != http.StatusOK || !strings.Contains(policy, "form-action 'self' "+w.shop+";")) {
				t.Errorf("%s by a form: %s, %s", name, got.Status, policy)
			}
		}
	}
	got := b.open(a.asks("login_hint", markup))
	if got.Request.URL.Path != "/.gate/oauth/consent" || !strings.Contains(got.Body, "Shop &amp; &lt;i&gt;Co&lt;/i&gt;") || strings.Contains(got.Body, "<i>") {
		t.Errorf("%s\n%s", got.Request.URL, got.Body)
	}
	if got := w.Client(t).open(a.asks("login_hint", markup)); got.Request.URL.Path != "/.gate/login" || strings.Contains(got.Body, "<script>alert") || strings.Contains(got.Body, "<i>") {
		t.Errorf("%s\n%s", got.Request.URL, got.Body)
	}
	for _, path := range []string{"device?user_code=" + url.QueryEscape(markup), "oauth/end_session?state=" + url.QueryEscape(markup) + "&client_id=" + url.QueryEscape(markup), "oauth/consent?resume=" + url.QueryEscape(markup), "oauth/authorize?resume=" + url.QueryEscape(markup)} {
		if got := b.get(w.portal + "/.gate/" + path); strings.Contains(got.Body, "<script>alert") || got.Header.Get("Location") != "" {
			t.Errorf("%s: %s\n%s", path, got.Status, got.Body)
		}
	}
}

// at once does something many times at the same time.
func atOnce[T any](n int, do func() T) []T {
	all := make([]T, n)
	var wait sync.WaitGroup
	for i := range all {
		wait.Go(func() { all[i] = do() })
	}
	wait.Wait()
	return all
}

// O4: a code is good once, and what it gave ends when it is used again.
func TestAbuseO4(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		w := providerStart(t, c.gate)
		for format, settings := range map[string]map[string]any{"jwt": nil, "opaque": {"token_format": "opaque"}} {
			a := w.service("Shop "+format, settings)
			code := a.enter(w.Client(t), w.customer)
			var first *issued
			for _, got := range atOnce(50, func() page {
				return a.sends("token", "grant_type", "authorization_code", "code", code, "redirect_uri", a.callback, "code_verifier", verifier)
			}) {
				switch {
				case got.StatusCode == http.StatusOK && first == nil:
					brought := a.gets(got)
					first = &brought
				case got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Body, "invalid_grant"):
					t.Errorf("%s: %s\n%s", format, got.Status, got.Body)
				}
			}
			if first == nil {
				t.Fatalf("%s: the code brought nothing", format)
			}
			if a.active(first.Access) || a.active(first.Refresh) || a.refreshes(first.Refresh).StatusCode != http.StatusBadRequest || a.userinfo(first.Access).StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: what a code gave that was used twice is good", format)
			}
			if n := w.count(t, "SELECT count(*) FROM events WHERE action = 'service.replay'"); n == 0 {
				t.Error("the audit log does not tell of it")
			}
		}
	})
}

// O6: however often a refresh token is used at the same time, there is one that comes after
// it; and one from before that ends all.
func TestAbuseO6(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		w := providerStart(t, c.gate)
		a := w.service("Shop", nil)
		first := a.redeems(a.enter(w.Client(t), w.customer))
		next := make(map[string]bool)
		for _, got := range atOnce(50, func() page { return a.refreshes(first.Refresh) }) {
			if got.StatusCode == http.StatusOK {
				next[a.gets(got).Refresh] = true
			} else if !strings.Contains(got.Body, "invalid_grant") {
				t.Errorf("%s\n%s", got.Status, got.Body)
			}
		}
		if len(next) != 1 {
			t.Fatalf("%d refresh tokens come after one", len(next))
		}
		var last issued
		for token := range next {
			last = a.gets(a.refreshes(token))
		}
		if got := a.refreshes(first.Refresh); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Body, "invalid_grant") {
			t.Errorf("one from before is good: %s\n%s", got.Status, got.Body)
		}
		if a.active(last.Refresh) || a.active(last.Access) {
			t.Error("what came of a refresh token that was used again is good")
		}
	})
}

// O7: a user who is disabled, or has left, is not refreshed any more.
func TestAbuseO7(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	a := w.service("Shop", map[string]any{"access": "members"})
	for name, takeAway := range map[string][]string{"disabled": {"user", "disable", "NAME"}, "left": {"org", "expel", "acme", "NAME"}, "suspended": {"org", "suspend", "acme", "--reason", "x"}} {
		p := someone(name)
		w.addUser(t, p)
		w.must(t, "", "org", "member", "acme", p.Username)
		got := a.redeems(a.enter(w.Client(t), p, "scope", "openid offline_access"))
		got = a.gets(a.refreshes(got.Refresh))
		for i, arg := range takeAway {
			if arg == "NAME" {
				takeAway[i] = p.Username
			}
		}
		w.must(t, "", takeAway...)
		want := map[string]string{"suspended": "invalid_client"}[name]
		if want == "" {
			want = "invalid_grant"
		}
		if refreshed := a.refreshes(got.Refresh); refreshed.StatusCode < 400 || refreshed.StatusCode > 499 || !strings.Contains(refreshed.Body, want) {
			t.Errorf("%s: %s\n%s", name, refreshed.Status, refreshed.Body)
		}
		if got := a.userinfo(got.Access); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s, the access token: %s", name, got.Status)
		}
		if name == "suspended" {
			w.must(t, "", "org", "activate", "acme")
		}
	}
}

// O12: another site signs nobody out without asking, and leads nobody to where it likes. X4:
// no other site answers the questions that the provider asks.
func TestAbuseO12(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	a, other := w.service("Shop", nil), w.service("Other", map[string]any{"logout_uris": []string{w.shop + "/other"}})
	b, guest := w.Client(t), w.Client(t)
	hint := a.redeems(a.enter(b, w.customer)).ID
	foreign := a.redeems(a.enter(guest, w.ann)).ID
	end := func(more ...string) string {
		q := url.Values{}
		for i := 0; i < len(more); i += 2 {
			q.Set(more[i], more[i+1])
		}
		return w.portal + "/.gate/oauth/end_session?" + q.Encode()
	}
	signedIn := func() bool { return b.fetch(w.portal+"/.gate/whoami").StatusCode == http.StatusOK }
	for name, ask := range map[string]string{"nothing": end(), "a client": end("client_id", a.ClientID, "post_logout_redirect_uri", w.shop+"/bye"), "somebody else's token": end("id_token_hint", foreign, "post_logout_redirect_uri", w.shop+"/bye"),
		"a made-up token": end("id_token_hint", hint[:len(hint)-6]+"AAAAAA", "post_logout_redirect_uri", w.shop+"/bye"), "a token of another client": end("id_token_hint", hint, "client_id", other.ClientID)} {
		for _, more := range [][]header{nil, {{"Sec-Fetch-Site", "cross-site"}}} {
			if got := b.get(ask, more...); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "Sign out?") || !signedIn() {
				t.Errorf("%s: %s, signed in: %v\n%s", name, got.Status, signedIn(), got.Body)
			}
		}
	}
	if got := b.do("GET", end("id_token_hint", hint), "", header{"Accept", "image/*"}, header{"Sec-Fetch-Mode", "no-cors"}); got.StatusCode == http.StatusFound || !signedIn() {
		t.Errorf("a picture signs out: %s", got.Status)
	}
	for _, to := range []string{"https://evil.example/", w.shop + "/bye/", w.shop + "/other", w.shop + "/bye?x", "javascript:alert(1)"} {
		got := w.Client(t).open(end("client_id", a.ClientID, "post_logout_redirect_uri", to))
		if got.Request.URL.String() != w.portal+"/.gate/logout" || !strings.Contains(got.Body, "You are signed out") {
			t.Errorf("%s leads to %s: %s", to, got.Request.URL, got.Status)
		}
	}
	for _, path := range []string{"oauth/consent", "oauth/end_session/confirm", "device", "account/consents/withdraw"} {
		for _, from := range [][]header{{{"Sec-Fetch-Site", "cross-site"}}, {{"Sec-Fetch-Site", "same-site"}}, {{"Origin", "https://evil.example"}}, {{"Origin", "null"}}} {
			got := b.do("POST", w.portal+"/.gate/"+path, "do=allow&do=approve", append(from, header{"Content-Type", "application/x-www-form-urlencoded"})...)
			if got.StatusCode != http.StatusForbidden || !signedIn() {
				t.Errorf("%s from %v: %s", path, from, got.Status)
			}
		}
	}
	// What another site may send changes nothing by itself.
	for path, form := range map[string]string{"oauth/authorize": strings.SplitN(a.asks(), "?", 2)[1], "oauth/end_session": "client_id=" + a.ClientID} {
		got := b.do("POST", w.portal+"/.gate/"+path, form, header{"Content-Type", "application/x-www-form-urlencoded"}, header{"Sec-Fetch-Site", "cross-site"})
		if got.StatusCode != http.StatusSeeOther || !strings.HasPrefix(got.location(), w.portal+"/.gate/"+path+"?") || len(got.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %s %v", path, got.Status, got.Header)
		}
	}
	if got := b.do("POST", w.portal+"/.gate/oauth/authorize", "state="+strings.Repeat("x", 6000), header{"Content-Type", "application/x-www-form-urlencoded"}); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a request that is too long: %s", got.Status)
	}
	// The service that knows the session ends it, and gets the user back.
	got := b.get(end("id_token_hint", hint, "post_logout_redirect_uri", w.shop+"/bye", "state", "s&t"))
	if to := got.location(); got.StatusCode != http.StatusFound || to != w.shop+"/bye?state=s%26t" || signedIn() {
		t.Errorf("%s %s, signed in: %v", got.Status, to, signedIn())
	}
}

// D2: codes of devices are not guessed, and whoever asks too early is told so.
func TestAbuseD2(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	a := w.service("TV", map[string]any{"type": "desktop", "device": true, "redirect_uris": []string{}, "logout_uris": []string{}})
	b := w.Client(t)
	b.signIn(w.portal, w.customer)
	waits := object(t, a.sends("device", "scope", "openid profile"))
	refused := 0
	for range 20 {
		got := b.post(w.portal+"/.gate/device", url.Values{"user_code": {"BCDF-GHJK"}})
		switch {
		case got.StatusCode == http.StatusTooManyRequests && got.Header.Get("Retry-After") != "":
			refused++
		case got.StatusCode != http.StatusNotFound:
			t.Fatalf("%s\n%s", got.Status, got.Body)
		}
	}
	if refused != 15 {
		t.Errorf("of 20 guesses %d were refused", refused)
	}
	if got := b.post(w.portal+"/.gate/device", url.Values{"user_code": {waits["user_code"].(string)}, "do": {"approve"}}); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right code then: %s", got.Status)
	}
	poll := func() string {
		return object(t, a.sends("token", "grant_type", "urn:ietf:params:oauth:grant-type:device_code", "device_code", waits["device_code"].(string)))["error"].(string)
	}
	if got := []string{poll(), poll()}; got[0] != "authorization_pending" || got[1] != "slow_down" {
		t.Errorf("it asks: %v", got)
	}
	// A link alone does nothing.
	if got := b.get(waits["verification_uri_complete"].(string)); got.StatusCode != http.StatusOK || strings.Contains(got.Body, "Approve") {
		t.Errorf("the link: %s\n%s", got.Status, got.Body)
	}
}

// update changes the settings of a service by the API, as somebody who is signed in.
func (a *relying) update(by *browser, settings map[string]any) page {
	a.t.Helper()
	at := a.portal + "/.gate/api/v1/organizations/acme/services/" + string(a.ID)
	body := object(a.t, by.fetch(at)) // with all that it tells
	maps.Copy(body, settings)
	text, err := json.Marshal(body)
	must(a.t, err)
	return by.do("PUT", at, string(text), header{"Content-Type", "application/json"}, header{"Sec-Fetch-Site", "same-origin"})
}

// A service has no more than it may have now, whatever was granted once.
func TestProviderNoMoreThanNow(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	site := w.URL("HTTPS", "api.example.com")
	a := w.service("Shop", map[string]any{"scopes": []string{"orders.read"}})
	i := a.redeems(a.enter(w.Client(t), w.ann, "scope", "openid orders.read"))
	many := a.gets(a.sends("token", "grant_type", "refresh_token", "refresh_token", i.Refresh, "scope", strings.Repeat("openid ", 2000)))
	if many.Scope != "openid" {
		t.Errorf("a scope that is asked for again and again: %.100q", many.Scope)
	}
	if got := a.update(w.boss, map[string]any{"scopes": []string{}}); got.StatusCode != http.StatusOK {
		t.Fatalf("taking the scope away: %s\n%s", got.Status, got.Body)
	}
	next := a.gets(a.refreshes(many.Refresh))
	if next.Scope != "openid" {
		t.Errorf("after its scope was taken away the service has %q", next.Scope)
	}
	says(t, "introspection without profile", object(t, a.sends("introspect", "token", next.Access)), map[string]any{"active": true, "username": nil})
	says(t, "introspection of the refresh token", object(t, a.sends("introspect", "token", next.Refresh)), map[string]any{"active": true, "username": nil})

	forSite := a.redeems(a.enter(w.Client(t), w.ann, "resource", site))
	if got := a.userinfo(forSite.Access); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("userinfo by a token for a site: %s\n%s", got.Status, got.Body)
	}
	if got := a.userinfo(next.Access); got.StatusCode != http.StatusOK {
		t.Errorf("userinfo: %s\n%s", got.Status, got.Body)
	}
	for _, form := range []url.Values{{"redirect_uri": {"https://evil.example.com/"}, "response_type": {"code"}}, {"response_type": {"code"}}} {
		got := a.sends("par", "redirect_uri", form.Get("redirect_uri"), "response_type", "code", "code_challenge", s256(verifier), "code_challenge_method", "S256")
		if got.StatusCode != http.StatusBadRequest || object(t, got)["error"] != "invalid_request" {
			t.Errorf("a pushed request with the address %q: %s\n%s", form.Get("redirect_uri"), got.Status, got.Body)
		}
	}
	if got := w.Client(t).open(w.portal + "/.gate/oauth/end_session?" + url.Values{"client_id": {a.ClientID}, "post_logout_redirect_uri": {w.shop + "/bye"}}.Encode()); got.StatusCode != http.StatusOK || got.Request.URL.Host != hostOf(t, w.portal) || strings.Contains(got.Body, "http-equiv") || !strings.Contains(got.Body, w.shop+"/bye") {
		t.Errorf("a sign-out of anybody: %s at %s\n%s", got.Status, got.Request.URL, got.Body)
	}
	if found := w.logged(`"a request to the provider was refused"`); len(found) == 0 || strings.Contains(strings.Join(w.logged(`"level":"error"`), "\n"), "provider") {
		t.Errorf("the log says %q, and of errors %q", found, w.logged(`"level":"error"`))
	}
}

func hostOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Host
}

// What is the platform's own is changed by platform owners alone, and when it is that no more
// all have to be asked.
func TestPlatformsOwnService(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	a := w.service("Portal", map[string]any{"scopes": []string{"orders.read"}})
	owner := w.Client(t)
	owner.signIn(w.portal, someone("owner"))
	trust := func(on bool) {
		t.Helper()
		got := owner.do("PUT", w.portal+"/.gate/api/v1/platform/organizations/acme/services/"+string(a.ID)+"/first-party", fmt.Sprintf(`{"first_party":%v}`, on), header{"Content-Type", "application/json"}, header{"Sec-Fetch-Site", "same-origin"})
		if got.StatusCode/100 != 2 {
			t.Fatalf("first party %v: %s\n%s", on, got.Status, got.Body)
		}
	}
	trust(true)
	for name, settings := range map[string]map[string]any{"name": {"name": "Account check"}, "device": {"device": true}, "logout_uris": {"logout_uris": []string{"https://evil.example.com/"}}, "no_pkce": {"no_pkce": true},
		"backchannel_logout_uri": {"backchannel_logout_uri": "https://evil.example.com/"}, "access": {"access": "members"}} {
		if got := a.update(w.boss, settings); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "service_trusted") {
			t.Errorf("%s by the organization's owner: %s\n%s", name, got.Status, got.Body)
		}
	}
	if got := w.boss.do("POST", w.portal+"/.gate/api/v1/organizations/acme/services/"+string(a.ID)+"/secret", `{}`, header{"Content-Type", "application/json"}, header{"Sec-Fetch-Site", "same-origin"}); got.StatusCode != http.StatusForbidden {
		t.Errorf("another secret: %s\n%s", got.Status, got.Body)
	}
	for _, status := range []string{"disabled", "active"} {
		if got := a.update(w.boss, map[string]any{"status": status}); got.StatusCode != http.StatusOK {
			t.Errorf("%s by the organization's owner: %s\n%s", status, got.Status, got.Body)
		}
	}
	if got := a.update(owner, map[string]any{"device": true}); got.StatusCode != http.StatusOK {
		t.Errorf("by a platform owner: %s\n%s", got.Status, got.Body)
	}
	b := w.Client(t)
	i := a.redeems(a.enter(b, w.customer, "scope", "openid offline_access"))
	if got := b.open(w.portal + "/.gate/account"); !strings.Contains(got.Body, ">Portal<") || !strings.Contains(got.Body, "go on after you have signed out") {
		t.Errorf("the account page does not tell of what nobody was asked about:\n%s", got.Body)
	}
	trust(false)
	if got := a.refreshes(i.Refresh); got.StatusCode != http.StatusBadRequest {
		t.Errorf("refreshed after the trust was withdrawn: %s\n%s", got.Status, got.Body)
	}
}

// A device whose service asks for nothing is seen, and ended; one that its user may not let in
// leaves no consent.
func TestDeviceGrantsAreSeen(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	settings := func(access string) map[string]any {
		return map[string]any{"type": "desktop", "device": true, "access": access, "redirect_uris": []string{}, "logout_uris": []string{}}
	}
	tv, members := w.service("Living room", settings("everyone")), w.service("Members", settings("members"))
	b := w.Client(t)
	b.signIn(w.portal, w.customer)
	approve := func(a *relying, says string, form ...string) string {
		t.Helper()
		o := object(t, a.sends("device", form...))
		fields := url.Values{"user_code": {o["user_code"].(string)}}
		if got := b.post(w.portal+"/.gate/device", fields); !strings.Contains(got.Body, "go on after you have signed out") {
			t.Errorf("the page does not say that it lasts:\n%s", got.Body)
		}
		fields.Set("do", "approve")
		if got := b.post(w.portal+"/.gate/device", fields); !strings.Contains(got.Body, says) {
			t.Errorf("approved: %s\n%s", got.Status, got.Body)
		}
		return o["device_code"].(string)
	}
	code := approve(tv, "Your device is signed in")
	i := tv.gets(tv.sends("token", "grant_type", grantDevice, "device_code", code))
	approve(members, "You may not use this service", "scope", "openid")
	account := b.open(w.portal + "/.gate/account")
	if !strings.Contains(account.Body, ">Living room<") || strings.Contains(account.Body, ">Members<") {
		t.Errorf("the account page tells:\n%s", account.Body)
	}
	eventually(t, "the refusal in the audit log", func() bool {
		return strings.Contains(w.must(t, "", "audit", "--outcome", "refused"), "service.login")
	})
	if got := b.follow(b.post(w.portal+"/.gate/account/consents/withdraw", url.Values{"id": {string(tv.ID)}})); got.StatusCode != http.StatusOK {
		t.Errorf("withdrawn: %s\n%s", got.Status, got.Body)
	}
	if got := tv.refreshes(i.Refresh); got.StatusCode != http.StatusBadRequest {
		t.Errorf("refreshed after it was withdrawn: %s\n%s", got.Status, got.Body)
	}
}
