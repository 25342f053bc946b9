package integration

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// askFor asks for a recovery link, and gives the page that says so.
func (m *mailed) askFor(t testing.TB, email string, headers ...header) page {
	t.Helper()
	b := m.Client(t)
	return b.follow(b.post(m.portal+"/.gate/recover", url.Values{"email": {email}}, headers...))
}

// recovers sends the form of a recovery link.
func (b *browser) recovers(link, password string) page {
	b.t.Helper()
	page, token, _ := strings.Cut(link, "?token=")
	return b.post(page, url.Values{"token": {token}, "new_password": {password}})
}

// Somebody who has forgotten the password gets a link by mail, chooses another one and
// signs in with it; sessions of before are over, and the user is told.
func TestRecoverPassword(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		m, ida := startMailed(t, c.gate), someone("ida")
		m.addUser(t, ida)
		elsewhere := m.Client(t)
		elsewhere.signIn(m.portal, ida)
		w := newBrowser(t)
		w.open(m.portal + "/.gate/login")
		w.look("login-with-recovery")
		w.press("Forgot your password?")
		w.at(m.portal + "/.gate/recover")
		w.look("recover")
		w.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#email").form.noValidate = true`))
		w.fill("#email", "ida")
		w.press("Send the link")
		w.wrong("#email", "does not look like")
		w.look("recover-wrong-address")
		w.fill("#email", "IDA@Example.com")
		w.press("Send the link")
		w.at(m.portal + "/.gate/recover?done=sent")
		w.says("If there is an account")
		w.look("recover-sent")

		l := m.box.next(t, ida.Email, 1)
		link := l.link(t)
		if l.Subject != "Choose a new password" || !strings.HasPrefix(link, m.portal+"/.gate/recover/password?token=") || !strings.Contains(l.Text, "Hello ida,") {
			t.Errorf("%+v", l)
		}
		scanner := m.Client(t) // which opens what it finds in a mail (L8)
		for range 3 {
			if got := scanner.get(link); got.StatusCode != http.StatusOK {
				t.Fatalf("the link: %s\n%s", got.Status, got.Body)
			}
			scanner.do("HEAD", link, "")
		}
		w.open(link)
		w.says("for the account ida")
		w.look("new-password")
		w.fill("#new-password", "short")
		w.press("Set the password")
		w.wrong("#new-password", "15 characters")
		w.look("new-password-weak")
		ida.Password = "ida-has-another-long-password"
		w.fill("#new-password", ida.Password)
		w.press("Set the password")
		w.at(m.portal + "/.gate/login?notice=recovered")
		w.look("login-recovered")
		w.signIn(ida)
		w.at(m.portal + "/.gate/account")
		if got := elsewhere.fetch(m.portal + "/.gate/whoami"); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("a session of before: %s", got.Status)
		}
		if told := m.box.next(t, ida.Email, 2); told.Subject != "Your password was changed" {
			t.Errorf("%+v", told)
		}
		w.open(link)
		w.says("used already")
		w.look("new-password-used")
		if n := m.count(t, "SELECT count(*) FROM mails"); n != 0 {
			t.Errorf("%d mails are still there", n)
		}
		if log := m.Log(); strings.Contains(log, strings.Split(link, "token=")[1]) {
			t.Error("the link is in the log")
		}
		if got := m.audit(t, "password.recover"); len(got) != 1 {
			t.Errorf("events: %q", got)
		}
	})
}

// The answer is the same for an address that somebody has and for those that get
// nothing (abuse case L2), and is none of what a client can choose (P2).
func TestRecoverTellsNothing(t *testing.T) {
	t.Parallel()
	m, jim := startMailed(t), someone("jim")
	m.addUser(t, jim)
	m.register(t, m.portal, someone("kim")) // whose address nobody has verified
	m.addUser(t, someone("lea"))
	m.must(t, "", "user", "disable", "lea")
	type said struct {
		status, body string
		headers      []string
	}
	ask := func(email string, more ...header) said {
		b := m.Client(t)
		got := b.post(m.portal+"/.gate/recover", url.Values{"email": {email}}, more...)
		page := b.follow(got)
		var headers []string
		for name, values := range got.Header {
			if name != "Date" {
				headers = append(headers, name+": "+strings.Join(values, ", "))
			}
		}
		slices.Sort(headers)
		return said{got.Status, page.Body, headers}
	}
	want := ask(jim.Email)
	for _, email := range []string{"nobody@example.com", "kim@example.com", "lea@example.com"} {
		if got := ask(email); got.status != want.status || got.body != want.body || !slices.Equal(got.headers, want.headers) {
			t.Errorf("%s: %+v\nwant %+v", email, got, want)
		}
	}
	evil := []header{{"X-Forwarded-Host", "evil.example"}, {"Forwarded", "host=evil.example"}, {"X-Forwarded-Proto", "https"}}
	if got := ask(jim.Email, evil...); got.body != want.body {
		t.Errorf("with headers of a proxy: %+v", got)
	}
	for n := 1; n <= 2; n++ {
		if link := m.box.next(t, jim.Email, n).link(t); !strings.HasPrefix(link, m.portal+"/") {
			t.Errorf("the link leads to %s", link)
		}
	}
	b := m.Client(t)
	if got := b.post(m.portal+"/.gate/recover", url.Values{"email": {jim.Email}}, header{"Host", "evil.example"}); got.StatusCode < 400 && got.Body != "" { // Caddy answers nothing
		t.Errorf("for another host: %s", got.Status)
	}
	for _, email := range []string{jim.Email, "nobody@example.com"} { // the limits count both
		status := 0
		for range 4 {
			got := m.askFor(t, email)
			status = got.StatusCode
			if status == http.StatusTooManyRequests && got.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		if status != http.StatusTooManyRequests {
			t.Errorf("%s asked for often: %d", email, status)
		}
	}
	if all := m.box.all(""); slices.ContainsFunc(all, func(l letter) bool { return l.To != jim.Email && l.Subject != "Verify your address" }) {
		t.Errorf("letters: %+v", all)
	}
}

// A link that was used, or whose neighbour was, has a bit changed, or is tried by many at
// once (abuse case L9).
func TestRecoverLinkOnce(t *testing.T) {
	t.Parallel()
	m, max := startMailed(t), someone("max")
	m.addUser(t, max)
	m.askFor(t, max.Email)
	first := m.box.next(t, max.Email, 1).link(t)
	m.askFor(t, max.Email)
	second := m.box.next(t, max.Email, 2).link(t)
	b := m.Client(t)
	refused := func(what, link string) {
		t.Helper()
		if got := b.recovers(link, "max-has-no-such-password"); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "used already, or is too old") {
			t.Errorf("%s: %s\n%s", what, got.Status, got.Body)
		}
	}
	last := second[len(second)-2]
	refused("another bit", second[:len(second)-2]+map[bool]string{true: "B", false: "A"}[last == 'A']+second[len(second)-1:])
	refused("none", m.portal+"/.gate/recover/password?token=")
	b.signIn(m.portal, max)

	var mu sync.Mutex
	var ended sync.WaitGroup
	statuses := make(map[int]int)
	for range 20 {
		c := m.Client(t)
		ended.Go(func() {
			got := c.recovers(second, "max-has-another-password")
			mu.Lock()
			statuses[got.StatusCode]++
			mu.Unlock()
		})
	}
	ended.Wait()
	if statuses[http.StatusSeeOther] != 1 || statuses[http.StatusForbidden] != 19 {
		t.Errorf("at once: %v", statuses)
	}
	refused("a used link", second)
	refused("the link beside it", first)
	max.Password = "max-has-another-password"
	b.signIn(m.portal, max)

	// A password that was changed otherwise makes a link useless, too.
	m.askFor(t, max.Email)
	third := m.box.next(t, max.Email, 4).link(t) // the one before told of the new password
	m.must(t, "max-has-a-third-password\n", "user", "password", "max", "--password-stdin")
	refused("a link of before", third)
	m.box.next(t, max.Email, 5)
	out := m.must(t, "", "user", "recover", "max")
	link, _, _ := strings.Cut(out, "\n")
	if got := b.recovers(link, "max-has-a-fourth-password"); got.StatusCode != http.StatusSeeOther {
		t.Errorf("a link of the operator's: %s\n%s", got.Status, got.Body)
	}
	for _, cross := range []string{"cross-site", "same-site"} {
		r := b.do("POST", m.portal+"/.gate/recover", "email=max%40example.com", header{"Sec-Fetch-Site", cross}, header{"Origin", "https://evil.example"}, header{"Content-Type", "application/x-www-form-urlencoded"})
		if r.StatusCode != http.StatusForbidden {
			t.Errorf("from another site: %s", r.Status)
		}
	}
}

// While the mail server is away nothing is lost, also not by a kill of Caddy; each
// message arrives once. A recipient that the server refuses is told of. With
// GATE_OUTAGE=60 it is away for so many seconds more.
func TestMailOutage(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	people := []person{someone("ann"), someone("ben"), someone("cyd")}
	m.box.close()
	for _, p := range people {
		m.addUser(t, p)
		began := time.Now()
		m.askFor(t, p.Email)
		inTime(t, "an answer while the mail server is away", time.Second, time.Since(began))
	}
	eventually(t, "the messages to wait", func() bool { return m.count(t, "SELECT count(*) FROM mails") == len(people) })
	eventually(t, "a complaint", func() bool { return strings.Contains(m.Log(), "mail waits: it cannot be sent") })
	var sealed string
	must(t, m.database(t).QueryRow("SELECT sealed FROM mails LIMIT 1").Scan(&sealed))
	if strings.Contains(sealed, "example.com") || strings.Contains(sealed, "token") {
		t.Errorf("what a message says can be read: %s", sealed)
	}
	m.Kill(t)
	must(t, m.run())
	if seconds := times(t, "GATE_OUTAGE", 0); seconds > 0 {
		time.Sleep(time.Duration(seconds) * time.Second)
		if n := m.count(t, "SELECT count(*) FROM mails"); n != len(people) {
			t.Errorf("%d letters wait after %d s, for %d people", n, seconds, len(people))
		}
	}
	m.box.open(t)
	for _, p := range people {
		m.box.next(t, p.Email, 1).link(t)
	}
	eventually(t, "the queue to be empty", func() bool { return m.count(t, "SELECT count(*) FROM mails") == 0 })
	if n := len(m.box.all("")); n != len(people) {
		t.Errorf("%d letters for %d people", n, len(people))
	}
}

// Without mail, nothing is offered that cannot be done; an operator's link works.
func TestRecoverWithoutMail(t *testing.T) {
	t.Parallel()
	s, nell := openGate.get(t), someone("nell")
	s.addUser(t, nell)
	portal, b := s.URL("HTTP", "auth.localhost"), s.Client(t)
	if got := b.get(portal + "/.gate/login"); strings.Contains(got.Body, "Forgot") {
		t.Errorf("the sign-in page offers it:\n%s", got.Body)
	}
	for _, got := range []page{b.get(portal + "/.gate/recover"), b.post(portal+"/.gate/recover", url.Values{"email": {nell.Email}})} {
		if got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "cannot be recovered by mail") {
			t.Errorf("%s\n%s", got.Status, got.Body)
		}
	}
	link, _, _ := strings.Cut(s.must(t, "", "user", "recover", "nell"), "\n")
	nell.Password = "nell-has-another-password"
	if got := b.recovers(link, nell.Password); got.StatusCode != http.StatusSeeOther {
		t.Errorf("%s\n%s", got.Status, got.Body)
	}
	b.signIn(portal, nell)
}
