package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// verifies sends the form of a link that verifies an address.
func (b *browser) verifies(link string) page {
	b.t.Helper()
	page, token, _ := strings.Cut(link, "?token=")
	return b.post(page, url.Values{"token": {token}})
}

// email is the address of a user, and whether it is verified.
func (m *mailed) email(t testing.TB, username string) (email string, verified bool) {
	t.Helper()
	must(t, m.database(t).QueryRow(m.in("SELECT email, email_verified FROM users WHERE username_key = ?"), authcore.UsernameKey(username)).Scan(&email, &verified))
	return email, verified
}

// Who registers gets a link, and is let in by the address once it is verified; a change
// of the address counts when the new one is verified, and both are told.
func TestVerifyEmail(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		m, una := startMailed(t, c.gate), someone("una")
		staff := m.URL("HTTP", "staff.localhost") + "/"
		w := newBrowser(t)
		w.open(m.portal + "/.gate/register")
		w.fill("#name", una.Name)
		w.fillAccount(una)
		w.press("Create account")
		w.at(m.portal + "/.gate/account")
		w.says("not verified")
		w.look("account-to-verify")
		w.open(staff)
		w.says("Not allowed")

		first := m.box.next(t, una.Email, 1)
		if first.Subject != "Verify your address" || !strings.Contains(first.Text, "una") {
			t.Errorf("%+v", first)
		}
		w.open(m.portal + "/.gate/account")
		w.press("Send a link to verify the address")
		w.at(m.portal + "/.gate/account?done=asked")
		w.says("A link is on its way")
		link := m.box.next(t, una.Email, 2).link(t)
		if !strings.HasPrefix(link, m.portal+"/.gate/verify-email?token=") {
			t.Errorf("the link leads to %s", link)
		}
		stranger := m.Client(t) // a scanner, or somebody whose address was given by another
		for range 3 {
			if got := stranger.get(link); got.StatusCode != http.StatusOK || strings.Contains(got.Body, "Yes, verify") {
				t.Fatalf("the link: %s\n%s", got.Status, got.Body)
			}
		}
		if got := stranger.verifies(link); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("by nobody: %s", got.Status)
		}
		stranger.signIn(m.portal, m.addSomeone(t, "vic"))
		if got := stranger.verifies(link); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "another account") {
			t.Errorf("by another: %s\n%s", got.Status, got.Body)
		}
		other := newBrowser(t)
		other.open(link)
		other.look("verify-signed-out")
		other.press("Sign in")
		other.signIn(person{Username: "vic", Password: "vic-has-a-long-password"})
		other.open(link)
		other.says("belongs to another account than vic")
		other.look("verify-other")
		if _, verified := m.email(t, "una"); verified {
			t.Fatal("looking at the link has verified the address")
		}
		w.open(first.link(t))
		w.says("used already")
		w.open(link)
		w.look("verify")
		w.press("Yes, verify it")
		w.at(m.portal + "/.gate/account?done=verified")
		w.says("Your address is verified.", "This address is verified.")
		w.look("account-verified")
		w.open(staff)
		w.at(staff)
		w.open(link)
		w.says("used already")

		// Another address, which counts when it is verified.
		w.open(m.portal + "/.gate/account")
		w.fill("#email", "una@elsewhere.example")
		w.press("Save profile")
		w.at(m.portal + "/.gate/account?done=asked")
		w.says("una@elsewhere.example takes its place once it is verified", "This address is verified.")
		w.look("account-pending")
		if email, verified := m.email(t, "una"); email != una.Email || !verified {
			t.Errorf("before it is verified: %s %v", email, verified)
		}
		asked := m.box.next(t, una.Email, 3)
		if asked.Subject != "Another address for your account" || anyLink.MatchString(asked.Text) {
			t.Errorf("%+v", asked)
		}
		link = m.box.next(t, "una@elsewhere.example", 1).link(t)
		w.open(link)
		w.says("una@elsewhere.example")
		w.press("Yes, verify it")
		if email, verified := m.email(t, "una"); email != "una@elsewhere.example" || !verified {
			t.Errorf("afterwards: %s %v", email, verified)
		}
		if told := m.box.next(t, una.Email, 4); told.Subject != "The address of your account was changed" {
			t.Errorf("%+v", told)
		}
		w.open(staff)
		w.says("Not allowed") // the domain is another one
		if got := m.audit(t, "email.verify"); len(got) != 2 {
			t.Errorf("events: %q", got)
		}
		if log := m.Log(); strings.Contains(log, strings.Split(link, "token=")[1]) {
			t.Error("the link is in the log")
		}
	})
}

func (m *mailed) addSomeone(t testing.TB, username string) person {
	t.Helper()
	p := someone(username)
	m.addUser(t, p)
	return p
}

// An address that somebody has given without proving it belongs to whoever does; one that
// is proven is nobody else's. A link is good once, and for the newest address.
func TestVerifyEmailOfSquatters(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	squatter := someone("squatter")
	squatter.Email = "wanda@example.net"
	m.register(t, m.portal, squatter)
	wanda, xena := m.addSomeone(t, "wanda"), m.addSomeone(t, "xena")
	ask := func(p person, email string) (*browser, page) {
		t.Helper()
		b := m.Client(t)
		b.signIn(m.portal, p)
		return b, b.post(m.portal+"/.gate/account/profile", url.Values{"name": {p.Name}, "email": {email}})
	}
	b, got := ask(wanda, "wanda@example.net")
	if got.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s\n%s", got.Status, got.Body)
	}
	xb, got := ask(xena, "Wanda@Example.net")
	if got.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s\n%s", got.Status, got.Body)
	}
	m.box.next(t, "wanda@example.net", 2)
	hers := m.linkFor(t, "wanda@example.net", "Hello wanda,")
	if got := b.verifies(hers); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s\n%s", got.Status, got.Body)
	}
	if got := b.verifies(hers); got.StatusCode != http.StatusForbidden {
		t.Errorf("a second time: %s", got.Status)
	}
	if email, _ := m.email(t, "squatter"); email != "" {
		t.Errorf("who never proved it has %s", email)
	}
	if email, verified := m.email(t, "wanda"); email != "wanda@example.net" || !verified {
		t.Errorf("wanda has %s %v", email, verified)
	}
	m.box.next(t, "Wanda@Example.net", 1)
	if got := xb.verifies(m.linkFor(t, "Wanda@Example.net", "Hello xena,")); got.StatusCode != http.StatusConflict || !strings.Contains(got.Body, "another account") {
		t.Errorf("an address that another has proven: %s\n%s", got.Status, got.Body)
	}
	if email, verified := m.email(t, "xena"); email != xena.Email || !verified {
		t.Errorf("xena has %s %v", email, verified)
	}
	m.must(t, "", "user", "email", "xena", "xena@example.net") // which ends what waited
	if got := xb.verifies(m.linkFor(t, "Wanda@Example.net", "Hello xena,")); got.StatusCode != http.StatusForbidden {
		t.Errorf("after the operator gave another one: %s", got.Status)
	}
	if told := m.box.next(t, xena.Email, 2); told.Subject != "The address of your account was changed" {
		t.Errorf("%+v", told)
	}
	for n := range 4 { // anybody can type any address: not any number of messages goes there
		_, got := ask(xena, "victim@example.net")
		if want := n == 3; (got.StatusCode == http.StatusTooManyRequests) != want {
			t.Errorf("time %d: %s", n+1, got.Status)
		}
	}
	if got := m.Client(t).post(m.portal+"/.gate/account/verify", nil); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a link for nobody: %s", got.Status)
	}
	if got := b.post(m.portal+"/.gate/account/verify", nil); got.StatusCode != http.StatusConflict {
		t.Errorf("a link for what is verified: %s", got.Status)
	}
}

// linkFor waits for a letter that says something, and gives the link in the newest.
func (m *mailed) linkFor(t testing.TB, to, says string) (link string) {
	t.Helper()
	eventually(t, "a letter that says "+says, func() bool {
		for _, l := range m.box.all(to) {
			if strings.Contains(l.Text, says) && anyLink.MatchString(l.Text) {
				link = l.link(t)
			}
		}
		return link != ""
	})
	return link
}

// Another address can be taken back while it waits: its link is good for nothing then.
func TestCancelEmail(t *testing.T) {
	t.Parallel()
	m, amy := startMailed(t), someone("amy")
	m.addUser(t, amy)
	b := m.Client(t)
	b.signIn(m.portal, amy)
	account := m.portal + "/.gate/account"
	b.post(account+"/profile", url.Values{"name": {"Amy"}, "email": {"amy@elsewhere.example"}})
	link := m.box.next(t, "amy@elsewhere.example", 1).link(t)
	if got := b.get(account); !strings.Contains(got.Body, "Keep the address that is in force") {
		t.Errorf("it cannot be taken back:\n%s", got.Body)
	}
	got := b.follow(b.post(account+"/verify/cancel", url.Values{}))
	if got.StatusCode != http.StatusOK || strings.Contains(got.Body, "elsewhere") || !strings.Contains(got.Body, "stays as it is") {
		t.Errorf("taken back: %s\n%s", got.Status, got.Body)
	}
	if got := b.get(link); got.StatusCode != http.StatusForbidden {
		t.Errorf("its link: %s", got.Status)
	}
}
