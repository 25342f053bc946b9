package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A browser that its user trusts is not asked for the second factor again, until it is
// listed no more: because it was taken off, the password or the app is another one, or
// its time is over.
func TestTrustedDevice(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		s := start(t, factorGate, c.gate)
		withOwner(t, s)
		fay := someone("fay")
		s.addUser(t, fay)
		portal := s.URL("HTTPS", "auth.example.org")
		account := portal + "/.gate/account"
		b := s.Client(t)
		b.signIn(portal, fay)
		app, codes := b.enrol(portal)
		w := newBrowser(t)
		again := func() {
			t.Helper()
			w.open(portal + "/.gate/logout")
			w.press("Sign out")
			w.open(account)
			w.signIn(fay)
		}
		trust := func() {
			t.Helper()
			w.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=trust]").checked = true`))
			w.fill("#code", app.code(t))
			w.press("Sign in")
			w.at(account)
		}
		w.open(account)
		w.signIn(fay)
		w.says("Do not ask in this browser for 30 days")
		w.look("factor-trust")
		trust()
		again()
		w.at(account)
		w.open(account)
		w.says("Browsers that are not asked", "Chrome on Linux")
		w.look("account-trusted")
		w.press("Ask again on Chrome on Linux")
		w.says("asked for the second factor again")
		again()
		w.says("One more step")

		// Another user of the browser is not known by it, and a mark of another browser is
		// none of this user's.
		trust()
		guy := someone("guy")
		s.addUser(t, guy)
		d := s.Client(t)
		d.signIn(portal, guy)
		guys, _ := d.enrol(portal)
		d.post(portal+"/.gate/logout", url.Values{})
		chosen := strings.Repeat("A", 43)
		e := s.Client(t)
		page, hidden := e.first(portal, guy)
		if page.StatusCode != http.StatusOK {
			t.Fatal(page.Status)
		}
		hidden.Set("code", guys.code(t))
		hidden.Set("trust", "1")
		set := e.post(portal+"/.gate/factor", hidden, header{"Cookie", "__Host-gate-trust=" + chosen}).Header["Set-Cookie"]
		if cookies := strings.Join(set, " "); !strings.Contains(cookies, "__Host-gate-trust=") || strings.Contains(cookies, "__Host-gate-trust="+chosen+";") {
			t.Errorf("the mark is the client's own choice: %q", set)
		}
		for _, mark := range []string{"", "x", chosen} {
			got := s.Client(t).post(portal+"/.gate/login", url.Values{"username": {"guy"}, "password": {guy.Password}}, header{"Cookie", "__Host-gate-trust=" + mark})
			if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "One more step") {
				t.Errorf("the mark %q: %s", mark, got.Status)
			}
		}

		// Its time is over.
		s.edit(t, "UPDATE devices SET expires_at = ?", time.Now().UnixMicro())
		again()
		w.says("One more step")
		trust()

		// Another password takes the trust away, also where it is the user's own change.
		again()
		w.at(account)
		w.open(account)
		w.fill("#password-current", fay.Password)
		fay.Password = "fay-has-another-long-password"
		w.fill("#new-password", fay.Password)
		w.press("Change password")
		again()
		w.says("One more step")
		w.fill("#code", codes[0])
		w.press("Sign in")
		w.at(account)
	})
}

// TestFactorRequired: nothing opens to a user who needs a second factor, before it is set
// up and proven; and the pages for owners ask for one by default.
func TestFactorRequired(t *testing.T) {
	t.Parallel()
	s := start(t, factorGate)
	owner, hal := someone("owner"), someone("hal")
	s.addUser(t, owner, "--owner")
	s.addUser(t, hal)
	portal, app := s.URL("HTTPS", "auth.example.org"), s.URL("HTTPS", "app.example.com")+"/"
	b := s.Client(t)
	b.arrive(app, hal)
	if got := b.open(app); got.StatusCode != http.StatusOK || got.Request.URL.String() != app {
		t.Fatalf("before: %s %s", got.Status, got.Request.URL)
	}
	if said := s.must(t, "", "user", "require-factor", "hal"); !strings.Contains(said, "needs a second factor") {
		t.Errorf("%q", said)
	}
	if got := b.open(app); !strings.Contains(got.Request.URL.Path, "/.gate/login") { // sessions without one have ended
		t.Errorf("a session of before: %s %s", got.Status, got.Request.URL)
	}
	got := b.arrive(app, hal)
	if !strings.HasPrefix(got.Request.URL.String(), portal+"/.gate/confirm") || !strings.Contains(got.Body, "Set up an app") {
		t.Fatalf("without one: %s %s\n%s", got.Status, got.Request.URL, got.Body)
	}
	if got := b.fetch(app); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Header.Get("WWW-Authenticate"), "insufficient_user_authentication") {
		t.Errorf("a program: %s %q", got.Status, got.Header.Get("WWW-Authenticate"))
	}
	if got := b.post(portal+"/.gate/account/tokens", url.Values{"token_name": {"x"}}); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "second factor") {
		t.Errorf("an access token without one: %s\n%s", got.Status, got.Body)
	}
	key := b.newBearer(portal)
	form := key.proves(b.open(app))
	if got := b.follow(b.post(portal+"/.gate/confirm", form)); got.StatusCode != http.StatusOK {
		t.Fatalf("proven: %s", got.Status)
	}
	if got := b.open(app); got.Request.URL.String() != app {
		t.Errorf("after it: %s", got.Request.URL)
	}
	// From then on the password is not enough to be signed in.
	fresh := s.Client(t)
	page := fresh.login(portal, hal)
	if page.StatusCode != http.StatusOK || !strings.Contains(page.Body, "Use your passkey") || strings.Contains(page.Body, `name="code"`) {
		t.Fatalf("the password alone: %s\n%s", page.Status, page.Body)
	}
	form = key.proves(page)
	form.Set("factor", hiddenOf(page).Get("factor"))
	if got := fresh.post(portal+"/.gate/factor", form); got.StatusCode != http.StatusSeeOther {
		t.Errorf("with the passkey: %s\n%s", got.Status, got.Body)
	}
	s.must(t, "", "user", "require-factor", "hal", "--off")
	if got := s.Client(t).login(portal, hal); got.StatusCode != http.StatusSeeOther {
		t.Errorf("not required any more: %s", got.Status)
	}

	// An owner.
	o := s.Client(t)
	o.signIn(portal, owner)
	explain := portal + "/.gate/admin/explain"
	if got := o.open(explain); !strings.Contains(got.Request.URL.Path, "/.gate/confirm") {
		t.Errorf("the pages for owners: %s %s", got.Status, got.Request.URL)
	}
	o.enrol(portal)
	if got := o.open(explain); got.StatusCode != http.StatusOK || got.Request.URL.Path != "/.gate/admin/explain" {
		t.Errorf("with a second factor: %s %s", got.Status, got.Request.URL)
	}
}
