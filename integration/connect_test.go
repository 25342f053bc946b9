package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// connected is a gate with two real providers: corp has pages to sign in on, mock signs
// in whoever comes as alice.
type connected struct {
	*server
	corp, mock  *openIDProvider
	portal, app string
}

// connectFile is its Caddyfile; what stands in the blocks of the providers and of the
// gate of app.example.com are Vars.
const connectFile = `{
	{{.Global}}
	gate {
		{{.Database}}
		portal https://auth.example.org:{{.HTTPS}}
		limits {
			address off
			account off
		}
		oidc corp {{.CorpIssuer}} gate corp-secret {
			label "Example Corp"
			scopes openid profile email groups offline_access
			groups_from groups
			{{.CorpBlock}}
		}
		oidc mock {{.MockIssuer}} gate mock-secret {
			label Mock
			{{.MockBlock}}
		}
		policy corp {
			allow provider:corp
		}
		policy fresh {
			allow everyone
			require fresh 5m
		}
		policy eng {
			allow group:corp/eng
		}
		{{.More}}
	}
}
https://auth.example.org:{{.HTTPS}} {
	gate_portal
}
https://app.example.com:{{.HTTPS}} {
	gate {{.Policy}} {
		{{.Gates}}
	}
	reverse_proxy {{.Upstream}}
}
https://corp.example.com:{{.HTTPS}} {
	gate corp
	reverse_proxy {{.Upstream}}
}
https://fresh.example.com:{{.HTTPS}} {
	gate fresh
	reverse_proxy {{.Upstream}}
}
https://eng.example.com:{{.HTTPS}} {
	gate eng
	reverse_proxy {{.Upstream}}
}
`

// connectVars are what stands in the places that a test leaves alone.
type connectVars map[string]string

func (v connectVars) fill(s *server, corp, mock *openIDProvider) {
	s.Vars["Database"] = s.Vars["Gate"]
	s.Vars["CorpIssuer"], s.Vars["MockIssuer"] = corp.Issuer, mock.Issuer
	for _, name := range []string{"CorpBlock", "MockBlock", "More", "Gates", "Policy"} {
		s.Vars[name] = v[name]
	}
	if v["Database"] != "" {
		s.Vars["Database"] = v["Database"]
	}
}

// startConnected starts the two providers, and a gate that knows them.
func startConnected(t testing.TB, vars connectVars) *connected {
	t.Helper()
	return connectTo(t, vars, startOpenID(t, oidcProvider, openIDSettings{Rotate: true}), startOpenID(t, mockProvider, openIDSettings{}))
}

func connectTo(t testing.TB, vars connectVars, corp, mock *openIDProvider) *connected {
	t.Helper()
	s := start(t, connectFile, func(s *server) { vars.fill(s, corp, mock) })
	c := &connected{server: s, corp: corp, mock: mock, portal: s.URL("HTTPS", "auth.example.org"), app: s.URL("HTTPS", "app.example.com")}
	c.introduce(t)
	withOwner(t, s)
	return c
}

// introduce registers the gate as a client at the providers.
func (c *connected) introduce(t testing.TB) {
	t.Helper()
	for name, p := range map[string]*openIDProvider{"corp": c.corp, "mock": c.mock} {
		p.register(t, openIDClient{ID: "gate", Secret: name + "-secret", Redirects: []string{c.portal + "/.gate/connect/" + name + "/callback"},
			AfterLogout: []string{c.portal + "/.gate/logout"}, BackChannel: c.portal + "/.gate/connect/" + name + "/backchannel-logout", BackChannelSession: true})
	}
}

// visit goes from a page to a provider and back, and comes to rest. to is the address
// that leads there; empty is the portal's own way to corp.
func (c *connected) visit(b *browser, to, login string) page {
	b.t.Helper()
	if to == "" {
		to = c.portal + "/.gate/connect/corp"
	}
	return b.follow(b.handOver(b.atProvider(b.get(to), login)))
}

// whoami is what the portal says of who is signed in.
func (c *connected) whoami(b *browser) map[string]any {
	b.t.Helper()
	var who map[string]any
	got := b.fetch(c.portal + "/.gate/whoami")
	if err := json.Unmarshal([]byte(got.Body), &who); err != nil {
		b.t.Fatalf("whoami: %s\n%s", got.Status, got.Body)
	}
	return who
}

// signedInAs checks who is signed in on the portal; nobody for "".
func (c *connected) signedInAs(t testing.TB, b *browser, username string) {
	t.Helper()
	who := c.whoami(b)
	if got, _ := who["username"].(string); got != username {
		t.Errorf("signed in as %q, want %q: %v", got, username, who)
	}
}

// audit gives the events of an action, as "outcome details".
func (s *server) audit(t testing.TB, action string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(s.must(t, "", "audit", "--json", "--action", action)) {
		var e struct{ Outcome, Details string }
		if json.Unmarshal([]byte(line), &e) == nil {
			all = append(all, e.Outcome+" "+e.Details)
		}
	}
	return all
}

// TestConnect: two providers at once, in Chromium. Whoever is sent to sign in comes back to
// the page that was asked for, in each of two tabs; links the second provider, signs in
// with it, unlinks it; and signs out at the gate and at the provider.
func TestConnect(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	w := newBrowser(t)
	w.open(c.app + "/deep/link?x=1&y=2")
	w.atPage(c.portal + "/.gate/login")
	w.says("Continue with Example Corp", "Continue with Mock")
	other := w.another()
	other.open(c.app + "/other?z=3")
	other.atPage(c.portal + "/.gate/login")
	w.press("Continue with Example Corp")
	other.press("Continue with Example Corp")
	w.signInAtProvider("carol")
	w.at(c.app + "/deep/link?x=1&y=2")
	other.signInAtProvider("carol")
	other.at(c.app + "/other?z=3")

	account := c.portal + "/.gate/account"
	w.open(account)
	w.at(account)
	w.says("carol", "Example Corp", "carol@example.com")
	w.press("Link Mock")
	w.at(account + "?done=linked")
	w.says("The sign-in provider is linked")
	w.press("Unlink Example Corp")
	w.at(account + "?done=provider")
	w.press("Unlink Mock")
	w.says("This is the only way to sign in")
	w.press("Link Example Corp")
	w.at(account + "?done=linked")

	w.press("Sign out everywhere")
	w.atPage(c.portal + "/.gate/logout")
	w.open(account)
	w.press("Continue with Mock")
	w.at(account)
	w.says("carol")
	w.open(c.portal + "/.gate/logout")
	w.press("Sign out")
	w.says("You are signed out")

	w.open(account)
	w.press("Continue with Example Corp")
	w.at(account)
	w.open(c.portal + "/.gate/logout")
	w.press("Sign out")
	w.signOutAtProvider()
	w.at(c.portal + "/.gate/logout")
	w.says("You are signed out")
	w.open(account)
	w.press("Continue with Example Corp")
	w.arrives("the provider asks again", func(to string) bool { return strings.Contains(to, "/interaction/") })
}

// A provider that is down when Caddy starts keeps nobody out, says so on its button, and
// works when it is back, without a restart.
func TestProviderDownAtStart(t *testing.T) {
	t.Parallel()
	corp, mock := startOpenID(t, oidcProvider, openIDSettings{}), startOpenID(t, mockProvider, openIDSettings{})
	corp.stop(t)
	s := start(t, connectFile, func(s *server) { connectVars{}.fill(s, corp, mock) })
	c := &connected{server: s, corp: corp, mock: mock, portal: s.URL("HTTPS", "auth.example.org"), app: s.URL("HTTPS", "app.example.com")}
	withOwner(t, s)
	b := c.Client(t)
	eventually(t, "the button says so", func() bool {
		return strings.Contains(b.get(c.portal+"/.gate/login").Body, "cannot be reached just now")
	})
	if got := b.get(c.portal + "/.gate/connect/corp"); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.Body, "This provider cannot be reached just now.") || !strings.Contains(got.Body, `name="password"`) {
		t.Errorf("a visit to a provider that is down: %s\n%s", got.Status, got.Body)
	}
	corp.restart(t)
	c.introduce(t)
	eventually(t, "it works again", func() bool { return b.get(c.portal+"/.gate/connect/corp").StatusCode == http.StatusFound })
	c.visit(b, "", "dora")
	c.signedInAs(t, b, "dora")
	if strings.Contains(b.get(c.portal+"/.gate/login").Body, "cannot be reached") {
		t.Error("the button still says that it is down")
	}
}

// Who leaves a group at the provider, or is removed there, is out within the interval; and
// who comes into a group is in.
func TestRecheck(t *testing.T) {
	t.Parallel()
	c := startConnected(t, connectVars{"CorpBlock": "recheck 2s\nallow group:staff"})
	c.corp.setClaims(t, "erin", map[string]any{"groups": []string{"staff", "Eng"}})
	c.corp.setClaims(t, "frank", map[string]any{"groups": []string{"staff"}})
	c.corp.setClaims(t, "gail", map[string]any{"groups": []string{"staff"}})
	c.corp.setClaims(t, "harry", map[string]any{"groups": []string{"guests"}})
	b, other, third := c.Client(t), c.Client(t), c.Client(t)
	if got := c.visit(c.Client(t), "", "harry"); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "may not sign in here") {
		t.Errorf("of a group that no rule lets in: %s\n%s", got.Status, got.Body)
	}
	c.visit(b, "", "erin")
	c.visit(other, "", "frank")
	c.visit(third, "", "gail")
	eng := c.URL("HTTPS", "eng.example.com") + "/"
	if got := b.open(eng); got.StatusCode != http.StatusOK {
		t.Fatalf("by the group: %s\n%s", got.Status, got.Body)
	}
	if got := other.open(eng); got.StatusCode != http.StatusForbidden {
		t.Fatalf("without the group: %s", got.Status)
	}
	began := time.Now()
	c.corp.setClaims(t, "erin", map[string]any{"groups": []string{"staff"}})
	c.corp.setClaims(t, "frank", map[string]any{"groups": []string{"guests"}})
	c.corp.remove(t, "gail")
	eventually(t, "out of the group", func() bool { return b.fetch(eng).StatusCode == http.StatusForbidden })
	eventually(t, "out of what lets in", func() bool { return other.fetch(c.app+"/").StatusCode == http.StatusUnauthorized })
	eventually(t, "removed", func() bool { return third.fetch(c.portal+"/.gate/whoami").StatusCode == http.StatusUnauthorized })
	inTime(t, "out at the provider, out here", 2*time.Second, time.Since(began))
	c.signedInAs(t, b, "erin")
	c.corp.setClaims(t, "erin", map[string]any{"groups": []string{"staff", "Eng"}})
	eventually(t, "in the group again", func() bool { return b.fetch(eng).StatusCode == http.StatusOK })
	if got := c.audit(t, "identity.expel"); len(got) != 2 {
		t.Errorf("events: %q", got)
	}
}

// Of 200 requests that come with a token that has expired, one renews it, and each app
// gets the new one. The broker gives the same to a service.
func TestOneRefresh(t *testing.T) {
	t.Parallel()
	c := startConnected(t, connectVars{"CorpBlock": "broker", "Gates": "pass_token corp"})
	c.corp.set(t, "accessTokenLife", 29) // less than what a token must have left
	b := c.Client(t)
	c.visit(b, "", "ivan")
	got := b.open(c.app + "/?mark=first")
	if got.StatusCode != http.StatusOK || len(c.Upstream.received("mark=first")) != 1 {
		t.Fatalf("%s\n%s", got.Status, got.Body)
	}
	old := c.Upstream.received("mark=first")[0].get("X-Forwarded-Access-Token")
	c.corp.set(t, "accessTokenLife", 3600)
	before := c.corp.count(t, "token")
	cookie := b.cookie(c.app+"/", "__Host-gate")
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			got := c.Client(t).fetch(fmt.Sprintf("%s/?mark=many-%d", c.app, n), header{"Cookie", "__Host-gate=" + cookie})
			if got.StatusCode != http.StatusOK {
				t.Errorf("%s\n%s", got.Status, got.Body)
			}
		})
	}
	all.Wait()
	if n := c.corp.count(t, "token") - before; n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	seen := make(map[string]int)
	for n := range 200 {
		for _, e := range c.Upstream.received(fmt.Sprintf("mark=many-%d", n)) {
			seen[e.get("X-Forwarded-Access-Token")]++
		}
	}
	if len(seen) != 1 || seen[""] != 0 || seen[old] != 0 || old == "" {
		t.Errorf("the apps got %d tokens, none %d times, the old one %d times", len(seen), seen[""], seen[old])
	}

	text := strings.TrimSpace(c.must(t, "", "token", "add", "service", "--user", "ivan", "--scope", "provider:corp"))
	at := c.portal + "/.gate/api/v1/providers/corp/token"
	var fresh string
	for token := range seen {
		fresh = token
	}
	got = c.Client(t).fetch(at, header{"Authorization", "Bearer " + tokenIn(text)})
	if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"access_token":"`+fresh+`"`) || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the broker: %s\n%s", got.Status, got.Body)
	}
	if got := b.fetch(at); got.StatusCode != http.StatusUnauthorized || strings.Contains(got.Body, fresh) {
		t.Errorf("the broker, asked with a session: %s\n%s", got.Status, got.Body)
	}
	plain := tokenIn(c.must(t, "", "token", "add", "plain", "--user", "ivan"))
	if got := c.Client(t).fetch(at, header{"Authorization", "Bearer " + plain}); got.StatusCode != http.StatusForbidden {
		t.Errorf("the broker, asked without the scope: %s\n%s", got.Status, got.Body)
	}
	other := tokenIn(c.must(t, "", "token", "add", "owner's", "--user", "owner", "--scope", "provider:corp"))
	if got := c.Client(t).fetch(at, header{"Authorization", "Bearer " + other}); got.StatusCode != http.StatusConflict || !strings.Contains(got.Body, `"code":"action_required"`) || !strings.Contains(got.Body, c.portal+"/.gate/connect/corp") {
		t.Errorf("the broker, for somebody without that provider: %s\n%s", got.Status, got.Body)
	}
	if got := c.Client(t).fetch(c.portal+"/.gate/api/v1/providers/mock/token", header{"Authorization", "Bearer " + tokenIn(text)}); got.StatusCode != http.StatusNotFound {
		t.Errorf("the broker of a provider that has none: %s\n%s", got.Status, got.Body)
	}

	// Who took the consent back has to sign in again.
	c.corp.set(t, "accessTokenLife", 29)
	c.visit(b, "", "ivan")
	c.corp.revoke(t, "ivan")
	if got := c.Client(t).fetch(at, header{"Authorization", "Bearer " + tokenIn(text)}); got.StatusCode != http.StatusConflict {
		t.Errorf("the broker, after the consent was taken back: %s\n%s", got.Status, got.Body)
	}
}

// tokenIn finds the access token in what a command printed.
func tokenIn(text string) string {
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, "gate_") {
			return word
		}
	}
	return ""
}

// What comes back to the wrong browser, twice, late or changed signs nobody in, and begins
// anew instead of ending in an error.
func TestConnectAnswers(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	answer := func(b *browser) string {
		got := b.atProvider(b.get(c.portal+"/.gate/connect/corp?return_to=%2F.gate%2Faccount"), "judy").location()
		if !strings.Contains(got, "/callback?code=") {
			t.Fatalf("the provider sends to %s", got)
		}
		return got
	}
	anew := func(what string, b *browser, to string) {
		t.Helper()
		got := b.get(to)
		if !strings.HasPrefix(got.location(), c.portal+"/.gate/login?") || !strings.Contains(got.location(), "notice=again") {
			t.Errorf("%s: %s to %s\n%s", what, got.Status, got.location(), got.Body)
		}
		if page := b.follow(got); !strings.Contains(page.Body, "Please sign in again.") {
			t.Errorf("%s: the page does not say so:\n%s", what, page.Body)
		}
		c.signedInAs(t, b, "")
	}
	b := c.Client(t)
	to := answer(b)
	anew("another browser", c.Client(t), to)
	with := c.Client(t)
	with.get(c.portal + "/.gate/connect/corp")
	anew("a browser with a visit of its own", with, to)
	u, _ := url.Parse(to)
	q := u.Query()
	state := q.Get("state")
	for what, changed := range map[string]string{"no state": "", "cut": state[:len(state)-1], "changed": "A" + state[1:], "of something else": "nonsense"} {
		q.Set("state", changed)
		u.RawQuery = q.Encode()
		anew(what, b, u.String())
	}
	q.Set("state", state)
	anew("at another provider", b, strings.Replace(to, "/connect/corp/", "/connect/mock/", 1))

	if got := b.get(to); got.location() != c.portal+"/.gate/account" {
		t.Errorf("the right one: %s to %s\n%s", got.Status, got.location(), got.Body)
	}
	c.signedInAs(t, b, "judy")
	if got := b.get(to); got.location() != c.portal+"/.gate/login?return_to=%2F.gate%2Faccount" {
		t.Errorf("again, by who is signed in: %s to %s\n%s", got.Status, got.location(), got.Body)
	}
	thief := c.Client(t)
	thief.Jar = b.Jar
	n := c.count(t, "SELECT count(*) FROM sessions")
	thief.get(to)
	if after := c.count(t, "SELECT count(*) FROM sessions"); after != n {
		t.Errorf("a code that was used makes a session")
	}
	q = url.Values{"error": {"access_denied"}, "error_description": {"<script>alert(1)</script>"}, "iss": {c.corp.Issuer}}
	fresh := c.Client(t)
	started, _ := url.Parse(fresh.get(c.portal + "/.gate/connect/corp").location())
	q.Set("state", started.Query().Get("state"))
	if got := fresh.get(c.portal + "/.gate/connect/corp/callback?" + q.Encode()); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Body, "The provider did not sign you in.") || strings.Contains(got.Body, "<script>alert") {
		t.Errorf("cancelled: %s\n%s", got.Status, got.Body)
	}
	if got := fresh.get(c.portal + "/.gate/connect/nobody"); got.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown provider: %s", got.Status)
	}
	eventually(t, "the event", func() bool {
		return strings.Contains(strings.Join(c.audit(t, "user.login"), "\n"), `failure provider corp: provider_refused: it says "access_denied"`)
	})
}
