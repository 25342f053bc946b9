package integration

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

var sixDigits = regexp.MustCompile(`(?m)^    (\d{6})$`)

// code is the code in a letter, the same in both forms.
func (l letter) code(t testing.TB) string {
	t.Helper()
	m := sixDigits.FindStringSubmatch(l.Text)
	if m == nil || !strings.Contains(l.HTML, ">"+m[1]+"<") || !strings.Contains(l.Subject, m[1]) {
		t.Fatalf("no code in %q:\n%s\n%s", l.Subject, l.Text, l.HTML)
	}
	return m[1]
}

// asksByMail asks to sign in by mail, and gives the form that takes the code.
func (m *mailed) asksByMail(b *browser, email string, way ...string) url.Values {
	b.t.Helper()
	form := url.Values{"email": {email}}
	if len(way) > 0 {
		form.Set("return_to", way[0])
	}
	got := b.follow(b.post(m.portal+"/.gate/mail", form))
	if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "Look into your mailbox") {
		b.t.Fatalf("asking: %s\n%s", got.Status, got.Body)
	}
	return hiddenOf(got)
}

// Somebody signs in with six digits, and another time with the link beside them, to
// where they wanted to go.
func TestMailSignIn(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		m, zoe := startMailed(t, c.gate), someone("zoe")
		m.addUser(t, zoe)
		page := m.URL("HTTP", "app.localhost") + "/page?x=1"
		w := newBrowser(t)
		w.open(page)
		w.atPage(m.portal + "/.gate/login")
		w.look("login-with-mail")
		w.press("Sign in by mail")
		w.look("mail")
		w.says("to continue to app.localhost")
		w.fill("#email", zoe.Email)
		w.press("Send the code")
		w.atPage(m.portal + "/.gate/mail")
		w.look("mail-code")
		code := m.box.next(t, zoe.Email, 1).code(t)
		w.fill("#code", wrongCode(code))
		w.press("Sign in")
		w.wrong("#code", "not right, or too old")
		w.look("mail-code-wrong")
		w.fill("#code", code[:3]+" "+code[3:])
		w.press("Sign in")
		w.at(page)

		w.open(m.portal + "/.gate/logout")
		w.press("Sign out")
		w.open(page)
		w.press("Sign in by mail")
		w.fill("#email", strings.ToUpper(zoe.Email))
		w.press("Send the code")
		link := m.box.next(t, zoe.Email, 2).link(t)
		if !strings.HasPrefix(link, m.portal+"/.gate/mail/enter?token=") {
			t.Errorf("the link leads to %s", link)
		}
		for range 3 { // a scanner uses nothing up, nor does another browser
			other := m.Client(t)
			got := other.get(link)
			if got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "in the browser in which you asked") {
				t.Fatalf("the link elsewhere: %s\n%s", got.Status, got.Body)
			}
			if got := other.post(m.portal+"/.gate/mail/enter", url.Values{"token": {link[strings.Index(link, "=")+1:]}}); got.StatusCode != http.StatusForbidden {
				t.Fatalf("its form elsewhere: %s\n%s", got.Status, got.Body)
			}
		}
		w.open(link)
		w.says("You asked to sign in to the account zoe")
		w.look("mail-enter")
		w.press("Sign in as zoe")
		w.at(page)
		w.open(link)
		w.says("used already")
		if log := m.Log(); strings.Contains(log, code) || strings.Contains(log, link[strings.Index(link, "=")+1:]) {
			t.Error("the link or the code is in the log")
		}
	})
}

// wrongCode is another code than one.
func wrongCode(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// A code counts once, for a while, where it was asked for (abuse cases L8, L9 and their
// neighbours); the second factor is asked for after it; guesses are few.
func TestMailSignInRefuses(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	amy, bea := someone("amy"), someone("bea")
	m.addUser(t, amy)
	m.addUser(t, bea)
	b := m.Client(t)
	enter := func(b *browser, form url.Values, code string) page {
		form.Set("code", code)
		return b.post(m.portal+"/.gate/mail/code", form)
	}
	refused := func(what string, got page, status int, says string) {
		t.Helper()
		if got.StatusCode != status || !strings.Contains(html.UnescapeString(got.Body), says) {
			t.Errorf("%s: %s\n%s", what, got.Status, got.Body)
		}
	}
	const wrong = "not right, or too old"
	form := m.asksByMail(b, amy.Email)
	code := m.box.next(t, amy.Email, 1).code(t)
	other := m.Client(t)
	theirs := m.asksByMail(other, amy.Email)
	theirCode := m.box.next(t, amy.Email, 2).code(t)
	if theirCode != code {
		refused("the code of another asking", enter(b, form, theirCode), http.StatusUnauthorized, wrong)
	}
	refused("in another browser", enter(m.Client(t), form, code), http.StatusUnauthorized, wrong)
	bent := url.Values{"asked": {form.Get("asked") + "A"}}
	refused("another asking", enter(b, bent, code), http.StatusUnauthorized, wrong)
	refused("nothing", enter(b, form, ""), http.StatusUnauthorized, wrong)

	// Many at once: one wins, and the link beside it is used up.
	link := m.box.next(t, amy.Email, 2).link(t)
	token := link[strings.Index(link, "=")+1:]
	got := make([]page, 8)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			if i%2 == 0 {
				got[i] = other.post(m.portal+"/.gate/mail/enter", url.Values{"token": {token}})
			} else {
				form := url.Values{"asked": theirs["asked"], "code": {theirCode}}
				got[i] = other.post(m.portal+"/.gate/mail/code", form)
			}
		})
	}
	all.Wait()
	won := 0
	for _, p := range got {
		if p.StatusCode == http.StatusSeeOther {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}

	// Who has a second factor is asked for it.
	c := m.Client(t)
	c.signIn(m.portal, bea)
	app, _ := c.enrol(m.portal)
	c.post(m.portal+"/.gate/logout", url.Values{})
	c = m.Client(t)
	form = m.asksByMail(c, bea.Email, "/.gate/account")
	asked := enter(c, form, m.box.next(t, bea.Email, 2).code(t)) // the first tells of the app
	hidden := hiddenOf(asked)
	if asked.StatusCode != http.StatusOK || hidden.Get("factor") == "" {
		t.Fatalf("the second factor: %s\n%s", asked.Status, asked.Body)
	}
	if got := c.fetch(m.portal + "/.gate/whoami"); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("signed in by mail alone: %s", got.Status)
	}
	hidden.Set("code", app.code(t))
	if got := c.post(m.portal+"/.gate/factor", hidden); got.StatusCode != http.StatusSeeOther {
		t.Errorf("with both: %s\n%s", got.Status, got.Body)
	}

	// Guesses at an address are counted, whether somebody has it or not, from wherever.
	for _, email := range []string{amy.Email, "nobody@example.com"} {
		stopped := 0
		for range 12 {
			d := m.Client(t)
			sealed := url.Values{"asked": {m.sealedFor(d, email)}}
			if sealed.Get("asked") == "" {
				break // no more messages to this address for now
			}
			for range 4 {
				if got := enter(d, sealed, "123456"); got.StatusCode == http.StatusTooManyRequests {
					stopped++
				}
			}
		}
		if stopped < 3 {
			t.Errorf("%s: %d guesses were stopped", email, stopped)
		}
	}
}

// sealedFor asks for a code, and gives what a page needs to take it; empty where too many
// were asked for.
func (m *mailed) sealedFor(b *browser, email string) string {
	got := b.post(m.portal+"/.gate/mail", url.Values{"email": {email}})
	to, err := url.Parse(got.location())
	if got.StatusCode != http.StatusSeeOther || err != nil {
		return ""
	}
	return to.Query().Get("asked")
}

// The answer is the same for whoever asks for whatever address (abuse case L2).
func TestMailSignInTellsNothing(t *testing.T) {
	t.Parallel()
	m, cat := startMailed(t), someone("cat")
	m.addUser(t, cat)
	m.register(t, m.portal, someone("dan")) // whose address nobody has verified
	m.addUser(t, someone("eve"))
	m.must(t, "", "user", "disable", "eve")
	sealed := regexp.MustCompile(`value="[\w-]{40,}"`)
	var first string
	for _, name := range []string{"cat", "dan", "eve", "nobody"} {
		b := m.Client(t)
		got := b.follow(b.post(m.portal+"/.gate/mail", url.Values{"email": {name + "@example.com"}}))
		said := fmt.Sprint(got.StatusCode, sealed.ReplaceAllString(strings.ReplaceAll(got.Body, name+"@", "x@"), ""))
		if first == "" {
			first = said
		}
		if said != first {
			t.Errorf("%s: %s\nothers: %s", name, said, first)
		}
	}
	m.box.next(t, cat.Email, 1).code(t)
	if got := m.box.all("eve@example.com"); len(got) != 0 {
		t.Errorf("mail to a disabled user: %+v", got)
	}
	for _, l := range m.box.all("dan@example.com") {
		if sixDigits.MatchString(l.Text) {
			t.Errorf("a code to an address that is not verified: %+v", l)
		}
	}
}
