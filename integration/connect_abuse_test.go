package integration

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var pendingLink = regexp.MustCompile(`name="link" value="([^"]+)"|[?&;]link=([^"&]+)`)

// linkOf finds the sealed link on the page that asks for the old way in.
func linkOf(t *testing.T, p page) string {
	t.Helper()
	m := pendingLink.FindStringSubmatch(p.Body)
	if m == nil {
		t.Fatalf("no pending link: %s\n%s", p.Status, p.Body)
	}
	return html.UnescapeString(m[1] + m[2])
}

// A link that waits is of one user and one browser: whoever is made to finish it somewhere
// else gives nobody a way into their account.
func TestPendingLinkOfAnother(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	c.corp.setClaims(t, "mallory", map[string]any{"email": "alice@example.com", "email_verified": true})
	m := c.Client(t)
	c.visit(m, "", "mallory") // has an account with the address by corp
	attacker := c.Client(t)
	link := linkOf(t, c.visit(attacker, c.portal+"/.gate/connect/mock", "alice"))
	victim := c.Client(t)
	c.visit(victim, c.portal+"/.gate/connect/corp?link="+link, "victim")
	c.signedInAs(t, victim, "victim")
	again := c.Client(t)
	c.visit(again, c.portal+"/.gate/connect/mock", "alice")
	c.signedInAs(t, again, "")
	// In the attacker's own browser another user does not get it either.
	got := c.visit(attacker, c.portal+"/.gate/connect/corp?link="+link, "someone-else")
	if got.StatusCode != http.StatusForbidden {
		t.Errorf("another user finishes the link: %s\n%s", got.Status, got.Body)
	}
	c.signedInAs(t, attacker, "")
}

// Somebody with a verified address gets an account although a user who never proved it has
// given the address as theirs.
func TestAddressOfASquatter(t *testing.T) {
	t.Parallel()
	c := startConnected(t, connectVars{"More": "register open\npolicy all {\nallow everyone\n}", "Policy": "all"})
	c.register(t, c.portal, person{Username: "squatter", Email: "boss@example.com", Name: "S", Password: "squatter-has-a-long-password"})
	b := c.Client(t)
	page := c.visit(b, "", "boss")
	to := regexp.MustCompile(`href="(/\.gate/connect/corp\?[^"]*for=new[^"]*)"`).FindStringSubmatch(page.Body)
	if to == nil {
		t.Fatalf("no way to an own account: %s\n%s", page.Status, page.Body)
	}
	c.visit(b, c.portal+html.UnescapeString(to[1]), "boss")
	if who := c.whoami(b); who["username"] != "boss" || who["email"] != "boss@example.com" || who["email_verified"] != true {
		t.Errorf("signed in as %v", who)
	}
	if n := c.count(t, "SELECT count(*) FROM users WHERE username_key = 'squatter' AND email = ''"); n != 1 {
		t.Error("the squatter keeps the address")
	}
	verified := someone("vera")
	c.addUser(t, verified)
	if page := c.visit(c.Client(t), "", "vera"); strings.Contains(page.Body, "for=new") {
		t.Error("an address that is proven can be taken")
	}
}

// Who leaves the provider loses what it gave, whatever else the account has: groups, and
// the access tokens of who has no other way in.
func TestRecheckWithoutItsSession(t *testing.T) {
	t.Parallel()
	c := startConnected(t, connectVars{"CorpBlock": "recheck 2s"})
	eng := c.URL("HTTPS", "eng.example.com") + "/"
	for _, login := range []string{"eve", "tim"} {
		c.corp.setClaims(t, login, map[string]any{"groups": []string{"eng"}})
	}
	eve := c.Client(t)
	c.visit(eve, "", "eve")
	pw := "eve-has-a-long-password"
	if got := eve.post(c.portal+"/.gate/account/password", url.Values{"new_password": {pw}}); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("a first password: %s\n%s", got.Status, got.Body)
	}
	eve.post(c.portal+"/.gate/logout", url.Values{"everywhere": {"1"}})
	eve.signIn(c.portal, person{Username: "eve", Password: pw})
	if got := eve.open(eng); got.StatusCode != http.StatusOK {
		t.Fatalf("eve: %s", got.Status)
	}
	tim := c.Client(t)
	c.visit(tim, "", "tim")
	c.must(t, "", "token", "add", "long", "--user", "tim")
	tim.post(c.portal+"/.gate/logout", url.Values{})
	c.corp.remove(t, "eve")
	c.corp.remove(t, "tim")
	eventually(t, "eve is out of the group", func() bool { return eve.fetch(eng).StatusCode == http.StatusForbidden })
	c.signedInAs(t, eve, "eve")
	eventually(t, "tim has no token", func() bool { return c.count(t, "SELECT count(*) FROM access_tokens") == 0 })

	// Unlinking keeps the session, which is not the provider's any more.
	una := c.Client(t)
	c.visit(una, "", "una")
	corpSite := c.URL("HTTPS", "corp.example.com") + "/"
	if got := una.open(corpSite); got.StatusCode != http.StatusOK {
		t.Fatalf("una: %s", got.Status)
	}
	una.post(c.portal+"/.gate/account/password", url.Values{"new_password": {pw}})
	id := regexp.MustCompile(`name="id" value="([^"]+)">\s*<button class="plain">Unlink`).FindStringSubmatch(una.get(c.portal + "/.gate/account").Body)
	if id == nil {
		t.Fatal("nothing to unlink")
	}
	mustGo(t, una.post(c.portal+"/.gate/account/providers/unlink", url.Values{"id": {id[1]}}))
	c.signedInAs(t, una, "una")
	if got := una.fetch(corpSite); got.StatusCode != http.StatusForbidden {
		t.Errorf("after unlinking, the provider's site: %s", got.Status)
	}
}

// What a provider was asked for goes through the browser: who takes offline_access out is
// not signed in, because nobody could ask about them again.
func TestRenewableOrNot(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	b := c.Client(t)
	to, err := url.Parse(b.get(c.portal + "/.gate/connect/corp").location())
	must(t, err)
	c.corp.register(t, openIDClient{ID: "gate", Secret: "corp-secret", Redirects: []string{c.portal + "/.gate/connect/corp/callback"}, GrantTypes: []string{"authorization_code"}})
	got := b.handOver(b.atProvider(redirectTo(to.String()), "nora"))
	if got.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a refresh token: %s\n%s", got.Status, got.Body)
	}
	c.signedInAs(t, b, "")
	eventually(t, "the log says why", func() bool {
		return strings.Contains(strings.Join(c.audit(t, "user.login"), "\n"), "it gave no refresh token")
	})
}

// Who knows nothing can make neither rows nor visits to a provider without limit.
func TestConnectFlood(t *testing.T) {
	t.Parallel()
	corp, mock := startOpenID(t, oidcProvider, openIDSettings{}), startOpenID(t, mockProvider, openIDSettings{})
	s := start(t, strings.Replace(connectFile, "address off", "address 5 1h", 1), func(s *server) { connectVars{"CorpBlock": "form_post"}.fill(s, corp, mock) })
	c := &connected{server: s, corp: corp, mock: mock, portal: s.URL("HTTPS", "auth.example.org")}
	c.introduce(t)
	withOwner(t, s)
	b := c.Client(t)
	at := c.portal + "/.gate/connect/corp/"
	b.get(c.portal + "/.gate/connect/corp")
	keys := corp.count(t, "jwks")
	last := 0
	for n := range 40 {
		token := fmt.Sprintf("e30.%s.x", strings.TrimRight("eyJpc3MiOiJ4In0", "="))
		last = b.do("POST", at+"backchannel-logout", url.Values{"logout_token": {token}}.Encode(), header{"Content-Type", "application/x-www-form-urlencoded"}).StatusCode
		b.do("POST", at+"callback", url.Values{"state": {fmt.Sprint(n)}, "code": {"x"}}.Encode(), header{"Content-Type", "application/x-www-form-urlencoded"})
		b.get(at + fmt.Sprintf("callback?state=%d&code=x", n))
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the last of many logout tokens: %d", last)
	}
	if n := corp.count(t, "jwks"); n != keys {
		t.Errorf("the keys were fetched %d times for what cannot be meant for us", n-keys)
	}
	if n := len(c.audit(t, "user.login")); n > 12 {
		t.Errorf("%d events", n)
	}
	big := b.do("POST", at+"callback", url.Values{"state": {strings.Repeat("a", 20000)}}.Encode(), header{"Content-Type", "application/x-www-form-urlencoded"})
	if big.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("an answer of 20 kB: %s", big.Status)
	}
	if got := b.do("POST", c.portal+"/.gate/connect/mock/callback", "state=x", header{"Content-Type", "application/x-www-form-urlencoded"}); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a form of a provider that sends none: %s", got.Status)
	}
}

// An app reads no token of the provider on the way out, and a provider that the
// configuration names no more keeps nobody signed in.
func TestProviderGone(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	b := c.Client(t)
	c.visit(b, "", "rita")
	if got := b.open(c.app + "/"); got.StatusCode != http.StatusOK {
		t.Fatalf("%s", got.Status)
	}
	without := regexp.MustCompile(`(?s)\n\t\toidc corp .*?\n\t\t}`).ReplaceAllString(strings.Replace(connectFile, "allow provider:corp", "allow everyone", 1), "")
	must(t, c.Reload(t, without))
	eventually(t, "out with the provider", func() bool { return b.fetch(c.app+"/").StatusCode == http.StatusUnauthorized })
	if got := b.get(c.portal + "/.gate/connect/corp"); got.StatusCode != http.StatusNotFound {
		t.Errorf("its button: %s", got.Status)
	}
	must(t, c.Reload(t, connectFile))
	c.visit(b, "", "rita")
	b.open(c.app + "/")
	out := b.post(c.app+"/.gate/logout", url.Values{})
	page := b.get(out.location())
	if strings.Contains(page.Body, "id_token_hint") || strings.Contains(page.Body, c.corp.Issuer) || !strings.Contains(page.Body, "/.gate/logout/end?then=") {
		t.Errorf("the page after a sign-out: %s\n%s", page.Status, page.Body)
	}
	end := regexp.MustCompile(`0;url=([^"]+)"`).FindStringSubmatch(page.Body)
	if end == nil || !strings.Contains(b.get(c.app+html.UnescapeString(end[1])).location(), "id_token_hint=") {
		t.Errorf("it leads on to %v", end)
	}
}
