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

// What matters is told: an account at a provider that was linked, and unlinked.
func TestMailTellsOfProviders(t *testing.T) {
	t.Parallel()
	box := newLetterbox(t, nil)
	c := startConnected(t, connectVars{"More": fmt.Sprintf("mail {\n\t\t\tsmtp 127.0.0.1:%d\n\t\t\ttls off\n\t\t\tfrom gate@example.org\n\t\t}", box.port)})
	yael := someone("yael")
	c.addUser(t, yael)
	b := c.Client(t)
	b.signIn(c.portal, yael)
	got := b.post(c.portal+"/.gate/account/providers/link", url.Values{"provider": {"corp"}})
	to := refresh.FindStringSubmatch(got.Body)
	if to == nil {
		t.Fatalf("linking leads nowhere: %s\n%s", got.Status, got.Body)
	}
	b.follow(b.handOver(b.atProvider(redirectTo(html.UnescapeString(to[1])), "yael-at-corp")))
	linked := box.next(t, yael.Email, 1)
	if linked.Subject != "A sign-in provider was linked to your account" || !strings.Contains(linked.Text, "corp was linked") {
		t.Errorf("%+v", linked)
	}
	id := regexp.MustCompile(`providers/unlink">\s*<input type="hidden" name="id" value="([^"]+)"`).FindStringSubmatch(b.get(c.portal + "/.gate/account").Body)
	if id == nil {
		t.Fatal("nothing to unlink")
	}
	if got := b.post(c.portal+"/.gate/account/providers/unlink", url.Values{"id": {id[1]}}); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s\n%s", got.Status, got.Body)
	}
	if told := box.next(t, yael.Email, 2); told.Subject != "A sign-in provider was unlinked from your account" {
		t.Errorf("%+v", told)
	}
	if got := b.post(c.portal+"/.gate/account/providers/unlink", url.Values{"id": {id[1]}}); got.StatusCode != http.StatusNotFound {
		t.Errorf("a second time: %s", got.Status)
	}
}

// And so is a second factor that was set up, and one that an operator took away.
func TestMailTellsOfSecondFactors(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	xena := someone("xena")
	m.addUser(t, xena)
	b := m.Client(t)
	b.signIn(m.portal, xena)
	b.enrol(m.portal)
	if told := m.box.next(t, xena.Email, 1); told.Subject != "A second factor was set up" || !strings.Contains(told.Text, "tell whoever runs the site") || !strings.HasPrefix(told.link(t), m.portal+"/.gate/not-me?token=") {
		t.Errorf("%+v", told)
	}
	m.must(t, "", "user", "reset-factor", "xena")
	if told := m.box.next(t, xena.Email, 2); told.Subject != "Your second factor was removed" {
		t.Errorf("%+v", told)
	}
}

// An invitation that comes by mail verifies the address that it was sent to, and no
// other.
func TestMailInvitation(t *testing.T) {
	t.Parallel()
	box := newLetterbox(t, nil)
	s := start(t, strings.Replace(mailedFile, "register open", "register invite", 1), func(s *server) { s.Vars["SMTP"] = box.port })
	withOwner(t, s)
	m := &mailed{server: s, box: box, portal: s.URL("HTTP", "auth.localhost")}
	zoe, other := someone("zoe"), someone("other")
	for n, p := range []person{zoe, other} {
		out := m.must(t, "", "user", "invite", "--mail", zoe.Email)
		if !strings.Contains(out, "on its way to zoe@example.com") || strings.Contains(out, "invite=") {
			t.Errorf("user invite: %s", out)
		}
		l := box.next(t, zoe.Email, n+1)
		link := l.link(t)
		if l.Subject != "You are invited to "+strings.TrimPrefix(m.portal, "http://") || !strings.HasPrefix(link, m.portal+"/.gate/register?invite=") {
			t.Errorf("%+v", l)
		}
		w := newBrowser(t)
		w.open(link)
		w.open(link)
		if email := w.value("#email"); email != zoe.Email {
			t.Errorf("the form holds %q", email)
		}
		w.fill("#name", p.Name)
		w.fillAccount(p)
		w.press("Create account")
		w.at(m.portal + "/.gate/account")
		if email, verified := m.email(t, p.Username); email != p.Email || verified != (p == zoe) {
			t.Errorf("%s has %s %v", p.Username, email, verified)
		}
		w.open(link)
		w.says("invitation")
	}
	box.next(t, other.Email, 1).link(t) // which verifies the other address
	if n := len(box.all(zoe.Email)); n != 2 {
		t.Errorf("%d letters to who was invited", n)
	}
	for _, c := range []struct {
		s         *server
		args, say string
	}{{m.server, "nobody", "does not look like"}, {inviteGate.get(t), "zoe@example.com", "needs a \"mail\" block"}} {
		if _, errs, exit := c.s.CLI(t, "", "user", "invite", "--mail", c.args); exit == 0 || !strings.Contains(errs, c.say) {
			t.Errorf("user invite --mail %s: exit %d\n%s", c.args, exit, errs)
		}
	}
}

// A sign-in in a browser that is new is told, and "it wasn't me" ends all of it with one
// click and leads to a new password.
func TestMailNewDevice(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		m := startMailed(t, c.gate)
		ivy := someone("ivy")
		m.addUser(t, ivy)
		early := someone("eve")
		m.addUser(t, early)
		m.Client(t).signIn(m.portal, early) // whose account is young: all of her browsers are new
		m.edit(t, "UPDATE users SET created_at = created_at - 7200000000 WHERE username = ?", "ivy")
		b := m.Client(t)
		b.signIn(m.portal, ivy)
		m.box.next(t, ivy.Email, 1)
		b.post(m.portal+"/.gate/logout", url.Values{})
		b.signIn(m.portal, ivy) // in a browser that knows her
		token := strings.TrimSpace(m.must(t, "", "token", "add", "script", "--user", "ivy"))
		thief := m.Client(t)
		thief.signIn(m.portal, ivy)
		m.box.next(t, ivy.Email, 3)
		told := m.box.about(t, ivy.Email, "A new sign-in to your account", 2)
		if !strings.Contains(told.Text, "127.0.0.1") || token == "" {
			t.Fatalf("%+v", told)
		}
		if n, m := len(m.box.all(ivy.Email)), len(m.box.all(early.Email)); n != 3 || m != 0 { // one about the token
			t.Errorf("%d letters, and %d to whose account is young", n, m)
		}
		w := newBrowser(t)
		link := told.link(t)
		for range 3 {
			if got := m.Client(t).get(link); got.StatusCode != http.StatusOK {
				t.Fatalf("the link: %s\n%s", got.Status, got.Body)
			}
		}
		if got := thief.fetch(m.portal + "/.gate/whoami"); got.StatusCode != http.StatusOK {
			t.Fatalf("looking at the link ended something: %s", got.Status)
		}
		w.open(link)
		w.says("It wasn't you?", "ivy")
		w.look("not-me")
		w.press("Sign everybody out")
		w.atPage(m.portal + "/.gate/recover/password")
		for who, b := range map[string]*browser{"the thief": thief, "she": b} {
			if got := b.fetch(m.portal + "/.gate/whoami"); got.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s is signed in: %s", who, got.Status)
			}
		}
		if left := m.must(t, "", "token", "list"); strings.Contains(left, "script") {
			t.Errorf("an access token is left: %s", left)
		}
		ivy.Password = "ivy-has-another-long-password"
		w.fill("#new-password", ivy.Password)
		w.press("Set the password")
		w.at(m.portal + "/.gate/login?notice=recovered")
		w.signIn(ivy)
		w.at(m.portal + "/.gate/account")
		w.open(link)
		w.says("used already")
	})
}

// And an access token that was made, on the page or by an operator; the link in the message
// ends it.
func TestMailTellsOfTokens(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	zoe := someone("zoe")
	m.addUser(t, zoe)
	b := m.Client(t)
	b.signIn(m.portal, zoe)
	if got := b.follow(b.post(m.portal+"/.gate/account/tokens", url.Values{"token_name": {"Back.up"}, "days": {"30"}, "current_password": {zoe.Password}})); got.StatusCode != http.StatusOK {
		t.Fatalf("making a token: %s\n%s", got.Status, got.Body)
	}
	told := m.box.next(t, zoe.Email, 1)
	if told.Subject != "An access token was made" || !strings.Contains(told.Text, "Back\u2060.\u2060up") {
		t.Errorf("%+v", told)
	}
	m.must(t, "", "token", "add", "Second", "--user", "zoe")
	if second := m.box.next(t, zoe.Email, 2); second.Subject != told.Subject || !strings.Contains(second.Text, "“Second”") {
		t.Errorf("%+v", second)
	}
	if got := m.must(t, "", "token", "list", "--user", "zoe"); !strings.Contains(got, "Second") {
		t.Errorf("the tokens: %s", got)
	}
	stranger := m.Client(t)
	_, link, _ := strings.Cut(told.link(t), "token=")
	after := stranger.follow(stranger.post(m.portal+"/.gate/not-me", url.Values{"token": {link}}))
	if got := m.must(t, "", "token", "list", "--user", "zoe"); strings.Contains(got, "Second") || strings.Contains(got, "Back.up") {
		t.Errorf("after it was not her: %s\n%s %s", got, after.Status, after.Body)
	}
}
