package integration

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Somebody whose address a user has already proves to be that user the old way, and both
// belong together from then on. An address that the provider does not vouch for links
// nothing and is not taken over.
func TestConnectLinksByAddress(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	kate := someone("kate")
	c.addUser(t, kate)
	c.corp.setClaims(t, "kate-at-corp", map[string]any{"email": "Kate@Example.com", "email_verified": true})
	c.corp.setClaims(t, "mallory", map[string]any{"email": "kate@example.com", "email_verified": false})

	m := c.Client(t)
	c.visit(m, "", "mallory")
	c.signedInAs(t, m, "mallory")
	if who := c.whoami(m); who["email"] != "" {
		t.Errorf("an address that nobody vouches for was taken: %v", who)
	}

	w := newBrowser(t)
	w.open(c.app + "/from/here")
	w.press("Continue with Example Corp")
	w.signInAtProvider("kate-at-corp")
	w.atPage(c.portal + "/.gate/connect/corp/callback")
	w.says("You have an account here already", "Kate@Example.com")
	w.look("link")
	w.fill("#password", "wrong")
	w.press("Sign in and link Example Corp")
	w.wrong("#password", "not right")
	w.look("link-wrong")
	w.fill("#password", kate.Password)
	w.press("Sign in and link Example Corp")
	w.at(c.app + "/from/here")
	b := c.Client(t)
	c.visit(b, "", "kate-at-corp")
	c.signedInAs(t, b, "kate")
	if n := c.count(t, "SELECT count(*) FROM users WHERE username_key LIKE 'kate%'"); n != 1 {
		t.Errorf("there are %d kates", n)
	}

	// Somebody without a password proves it with the provider that the account came from.
	c.corp.setClaims(t, "zoe", map[string]any{"email": "alice@example.com", "email_verified": true})
	z := c.Client(t)
	c.visit(z, c.portal+"/.gate/connect/mock", "alice")
	c.signedInAs(t, z, "alice")
	z = c.Client(t)
	page := c.visit(z, c.portal+"/.gate/connect/corp?return_to=%2F.gate%2Faccount", "zoe")
	to := regexp.MustCompile(`href="(/\.gate/connect/mock\?[^"]*link=[^"]+)"`).FindStringSubmatch(page.Body)
	if to == nil || strings.Contains(page.Body, `name="password"`) {
		t.Fatalf("the way of before: %s\n%s", page.Status, page.Body)
	}
	c.visit(z, c.portal+html.UnescapeString(to[1]), "alice")
	c.signedInAs(t, z, "alice")
	z = c.Client(t)
	c.visit(z, "", "zoe")
	c.signedInAs(t, z, "alice")

	// The account at the provider belongs to kate: nobody else can link it.
	leo := someone("leo")
	c.addUser(t, leo)
	l := c.Client(t)
	l.signIn(c.portal, leo)
	got := l.post(c.portal+"/.gate/account/providers/link", url.Values{"provider": {"corp"}})
	if to = refresh.FindStringSubmatch(got.Body); to == nil {
		t.Fatalf("linking leads nowhere: %s\n%s", got.Status, got.Body)
	}
	answer := l.handOver(l.atProvider(redirectTo(html.UnescapeString(to[1])), "kate-at-corp"))
	if answer.StatusCode != http.StatusConflict || !strings.Contains(answer.Body, "belongs to another user") {
		t.Errorf("the account of another: %s\n%s", answer.Status, answer.Body)
	}
	c.signedInAs(t, l, "leo")
	if got := c.audit(t, "identity.link"); len(got) != 2 {
		t.Errorf("events: %q", got)
	}
}

// New accounts come as the provider's block says: by invitation, or when an owner says so.
func TestConnectNewUsers(t *testing.T) {
	t.Parallel()
	c := startConnected(t, connectVars{"CorpBlock": "new_users invite", "MockBlock": "new_users ask"})
	b := c.Client(t)
	if got := c.visit(b, "", "nina"); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "new ones are made by invitation") {
		t.Errorf("without invitation: %s\n%s", got.Status, got.Body)
	}
	link, _, _ := strings.Cut(c.must(t, "", "user", "invite"), "\n")
	page := b.get(link)
	to := regexp.MustCompile(`href="(/\.gate/connect/corp\?invite=[^"]+)"`).FindStringSubmatch(page.Body)
	if to == nil || strings.Contains(page.Body, `name="password"`) {
		t.Fatalf("the invitation's page: %s\n%s", page.Status, page.Body)
	}
	c.visit(b, c.portal+to[1], "nina")
	c.signedInAs(t, b, "nina")
	again := c.Client(t)
	if got := c.visit(again, c.portal+to[1], "otto"); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "invitation") {
		t.Errorf("an invitation that was used: %s\n%s", got.Status, got.Body)
	}

	a := c.Client(t)
	mock := c.portal + "/.gate/connect/mock"
	for range 2 {
		if got := c.visit(a, mock, "alice"); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "An owner of this site has to let you in") {
			t.Errorf("who has to wait: %s\n%s", got.Status, got.Body)
		}
	}
	c.signedInAs(t, a, "")
	c.must(t, "", "user", "enable", "alice")
	c.visit(a, mock, "alice")
	c.signedInAs(t, a, "alice")
	c.must(t, "", "user", "disable", "alice")
	c.signedInAs(t, a, "")
	if got := c.visit(a, mock, "alice"); got.StatusCode != http.StatusForbidden {
		t.Errorf("a disabled user: %s\n%s", got.Status, got.Body)
	}
}

// With passwords off nobody signs in with one, whatever is sent; the first owner comes
// by a provider, and a page that asks for a fresh proof asks the provider for it.
func TestConnectWithoutPasswords(t *testing.T) {
	t.Parallel()
	corp, mock := startOpenID(t, oidcProvider, openIDSettings{}), startOpenID(t, mockProvider, openIDSettings{})
	s := start(t, connectFile, func(s *server) {
		connectVars{"More": "password off\nregister invite"}.fill(s, corp, mock)
	})
	c := &connected{server: s, corp: corp, mock: mock, portal: s.URL("HTTPS", "auth.example.org"), app: s.URL("HTTPS", "app.example.com")}
	c.introduce(t)
	w := newBrowser(t)
	w.open(c.SetupLink(t))
	w.says("Continue with Example Corp", "Addresses for the providers")
	w.look("setup-providers")
	if eval[bool](w, `document.querySelector("[type=password]") !== null`) {
		t.Error("the setup asks for a password")
	}
	w.press("Continue with Example Corp")
	w.signInAtProvider("olga")
	w.arrives("a page", func(to string) bool { return strings.HasPrefix(to, c.portal+"/.gate/account") })
	w.open(c.portal + "/.gate/account")
	w.says("Owner")
	w.look("account-provider")
	s.older(t, "olga", 20*time.Minute)
	w.open(c.portal + "/.gate/account")
	w.says("Is it still you?", "Confirm with Example Corp")
	w.look("account-confirm-first")
	w.open(c.URL("HTTPS", "fresh.example.com") + "/")
	w.atPage(c.portal + "/.gate/confirm")
	w.look("confirm-provider")
	w.open(c.portal + "/.gate/logout")
	w.press("Sign out")
	w.arrives("the provider, where the session ends too", func(to string) bool { return strings.Contains(to, "/session/end") })
	w.open(c.portal + "/.gate/login")
	w.look("login-providers")

	b := c.Client(t)
	pat := someone("pat")
	s.addUser(t, pat)
	for path, form := range map[string]url.Values{"login": {"username": {"pat"}, "password": {pat.Password}}, "register": someone("x").form(), "setup": someone("y").form()} {
		if got := b.post(c.portal+"/.gate/"+path, form); got.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s\n%s", path, got.Status, got.Body)
		}
	}
	c.signedInAs(t, b, "")

	// A proof of today is fresh enough; one that the provider remembers from before is not.
	c.visit(b, "", "quentin")
	fresh := c.URL("HTTPS", "fresh.example.com") + "/page"
	if got := b.open(fresh); got.StatusCode != http.StatusOK || got.Request.URL.String() != fresh {
		t.Fatalf("right after the sign-in: %s %s\n%s", got.Status, got.Request.URL, got.Body)
	}
	s.older(t, "quentin", 10*time.Minute)
	got := b.open(fresh)
	to := regexp.MustCompile(`href="(/\.gate/connect/corp\?[^"]*for=confirm[^"]*)"`).FindStringSubmatch(got.Body)
	if !strings.Contains(got.Request.URL.Path, "/.gate/confirm") || to == nil {
		t.Fatalf("later: %s %s\n%s", got.Status, got.Request.URL, got.Body)
	}
	way := c.portal + html.UnescapeString(to[1])
	if asked := b.get(way).location(); !strings.Contains(asked, "prompt=login") || !strings.Contains(asked, "max_age=0") {
		t.Errorf("the provider is not asked for a new proof: %s", asked)
	}
	elsewhere := c.Client(t) // in b the provider would sign quentin out, and tell
	wrong := b.handOver(elsewhere.atProvider(b.get(way), "rosa"))
	if wrong.StatusCode != http.StatusForbidden || !strings.Contains(wrong.Body, "as somebody else") {
		t.Errorf("confirmed as another: %s\n%s", wrong.Status, wrong.Body)
	}
	if got := c.visit(b, way, "quentin"); got.StatusCode != http.StatusOK || got.Request.URL.String() != fresh {
		t.Errorf("confirmed: %s %s\n%s", got.Status, got.Request.URL, got.Body)
	}

	// The account page asks the same, for who has no password and no young proof.
	s.older(t, "quentin", 20*time.Minute)
	account := c.portal + "/.gate/account"
	if got := b.post(account+"/profile", url.Values{"name": {"Q"}, "email": {"q@example.com"}}); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "confirm that it is you") {
		t.Errorf("a change without proof: %s\n%s", got.Status, got.Body)
	}
	page := b.get(account)
	to = regexp.MustCompile(`href="(/\.gate/connect/corp\?for=change)"`).FindStringSubmatch(page.Body)
	if to == nil {
		t.Fatalf("the account page offers no way to confirm:\n%s", page.Body)
	}
	page = c.visit(b, c.portal+to[1], "quentin")
	proof := regexp.MustCompile(`name="proof" value="([^"]+)"`).FindStringSubmatch(page.Body)
	if proof == nil {
		t.Fatalf("confirmed, but: %s\n%s", page.Status, page.Body)
	}
	s.older(t, "quentin", 20*time.Minute)
	if got := b.post(account+"/profile", url.Values{"name": {"Quentin E"}, "email": {"q@example.com"}, "proof": {proof[1]}}); got.StatusCode != http.StatusSeeOther {
		t.Errorf("a change with proof: %s\n%s", got.Status, got.Body)
	}
	other := c.Client(t)
	c.visit(other, "", "rosa")
	s.older(t, "rosa", 20*time.Minute)
	if got := other.post(account+"/profile", url.Values{"name": {"R"}, "email": {"r@example.com"}, "proof": {proof[1]}}); got.StatusCode != http.StatusForbidden {
		t.Errorf("a change with the proof of another: %s\n%s", got.Status, got.Body)
	}

	const shut = "no platform owner can sign in"
	if out, _, _ := s.CLI(t, "", "doctor"); strings.Contains(out, shut) || !strings.Contains(out, "an active platform owner") {
		t.Errorf("the doctor: %s", out)
	}
	s.must(t, "", "user", "owner", "pat")
	s.must(t, "", "user", "owner", "olga", "--remove")
	if out, _, _ := s.CLI(t, "", "doctor"); !strings.Contains(out, shut) {
		t.Errorf("the doctor, of an owner who has a password alone: %s", out)
	}
	if _, errs, exit := s.CLI(t, "", "user", "unlink", "olga", linkedAs(t, s, "olga").ID); exit == 0 || !strings.Contains(errs, "only way to sign in") {
		t.Errorf("unlink the last way in: exit %d %s", exit, errs)
	}
}

// linked is what the command line says of an account at a provider.
type linked struct{ ID, Provider, Username string }

// linkedAs gives the only account that a user has linked.
func linkedAs(t testing.TB, s *server, user string) linked {
	t.Helper()
	var shown struct{ Identities []linked }
	if err := json.Unmarshal([]byte(s.must(t, "", "user", "show", user, "--json")), &shown); err != nil || len(shown.Identities) != 1 {
		t.Fatalf("%s has %v, %v", user, shown.Identities, err)
	}
	return shown.Identities[0]
}

// An operator sees what is linked, and takes it away.
func TestUnlinkCommand(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	b := c.Client(t)
	c.visit(b, "", "una")
	c.signedInAs(t, b, "una")
	if out := c.must(t, "", "user", "show", "una"); !regexp.MustCompile(`(?m)^Second factor: +none\n(.*\n)*  corp +una `).MatchString(out) {
		t.Errorf("user show: %s", out)
	}
	c.must(t, "another long password\n", "user", "password", "una", "--password-stdin")
	c.visit(b, "", "una")
	c.signedInAs(t, b, "una")
	c.must(t, "", "user", "unlink", "una", linkedAs(t, c.server, "una").ID)
	c.signedInAs(t, b, "")
	if out := c.must(t, "", "user", "show", "una"); !regexp.MustCompile(`Linked accounts: +none`).MatchString(out) {
		t.Errorf("user show: %s", out)
	}
	if _, errs, exit := c.CLI(t, "", "user", "unlink", "una", "x"); exit == 0 || !strings.Contains(errs, "no account with the ID") {
		t.Errorf("unlink what is not there: exit %d %s", exit, errs)
	}
	if got := c.Client(t).get(c.portal + "/.well-known/change-password"); got.StatusCode != http.StatusFound || !strings.HasSuffix(got.location(), "/.gate/account") {
		t.Errorf("where passwords are changed: %s %s", got.Status, got.location())
	}
}

// older is age, and has the server read the user again at once.
func (s *server) older(t testing.TB, username string, by time.Duration) {
	t.Helper()
	s.age(t, person{Username: username}, by)
	s.must(t, "", "user", "group", username, "--add", "older")
	s.must(t, "", "user", "group", username, "--remove", "older")
}

// An answer that comes as a form of another site works too, in a browser that sends no
// cookie along with it.
func TestConnectFormPost(t *testing.T) {
	t.Parallel()
	c := startConnected(t, connectVars{"CorpBlock": "form_post"})
	w := newBrowser(t)
	w.open(c.app + "/deep?x=1")
	w.press("Continue with Example Corp")
	w.signInAtProvider("sam")
	w.at(c.app + "/deep?x=1")
	account := c.portal + "/.gate/account"
	w.open(account)
	w.says("sam")
	if strings.Contains(c.Log(), "code=") || strings.Contains(c.Log(), "answer=") {
		t.Error("the answer is in the log")
	}
}

// A provider that says that somebody signed out there ends their sessions here, each word
// once; what is no such word ends nothing.
func TestBackChannelLogout(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	b, other := c.Client(t), c.Client(t)
	c.visit(b, "", "tina")
	c.visit(other, "", "udo")
	if got := b.open(c.app + "/"); got.StatusCode != http.StatusOK {
		t.Fatalf("%s", got.Status)
	}
	for _, told := range c.corp.signOut(t, "tina") {
		if told.Error != "" {
			t.Errorf("the provider was answered: %v", told)
		}
	}
	eventually(t, "signed out", func() bool {
		return b.fetch(c.app+"/").StatusCode == http.StatusUnauthorized && b.fetch(c.portal+"/.gate/whoami").StatusCode == http.StatusUnauthorized
	})
	c.signedInAs(t, other, "udo")
	at := c.portal + "/.gate/connect/corp/backchannel-logout"
	for what, token := range map[string]string{"nothing": "", "nonsense": "a.b.c", "no signature": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1ZG8ifQ."} {
		got := c.Client(t).do("POST", at, url.Values{"logout_token": {token}}.Encode(), header{"Content-Type", "application/x-www-form-urlencoded"})
		if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Body, `"error":"invalid_request"`) || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s\n%s", what, got.Status, got.Body)
		}
	}
	c.signedInAs(t, other, "udo")
	eventually(t, "the event", func() bool {
		return strings.Contains(strings.Join(c.audit(t, "user.logout"), "\n"), "told by provider corp")
	})
}

// Who signs in with a provider is told apart from who signs in otherwise.
func TestConnectPolicy(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	site := c.URL("HTTPS", "corp.example.com") + "/"
	b, vera := c.Client(t), someone("vera")
	c.addUser(t, vera)
	if got := b.arrive(site, vera); got.StatusCode != http.StatusForbidden {
		t.Errorf("with a password: %s", got.Status)
	}
	p := c.Client(t)
	c.visit(p, "", "wilma")
	if got := p.open(site); got.StatusCode != http.StatusOK {
		t.Errorf("by the provider: %s\n%s", got.Status, got.Body)
	}
	m := c.Client(t)
	c.visit(m, c.portal+"/.gate/connect/mock", "alice")
	if got := m.open(site); got.StatusCode != http.StatusForbidden {
		t.Errorf("by another provider: %s", got.Status)
	}
}
