package integration

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/authcore/totp"
)

// factorGate has a portal, an app, and a site that asks for a second factor.
const factorGate = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.org:{{.HTTPS}}
		limits {
			address off
			account off
		}
		policy safe {
			allow everyone
			require 2fa
		}
	}
}
https://auth.example.org:{{.HTTPS}} {
	gate_portal
}
https://app.example.com:{{.HTTPS}} {
	gate
	reverse_proxy {{.Upstream}}
}
https://safe.example.com:{{.HTTPS}} {
	gate safe
	reverse_proxy {{.Upstream}}
}
`

// phone is an authenticator app. It never gives a code twice, as a person waits for the
// next one: it takes those of the steps around now, the oldest first.
type phone struct {
	secret totp.Secret
	last   int64
}

// code is one that was not used yet.
func (p *phone) code(t testing.TB) string {
	t.Helper()
	var step int64
	eventually(t, "the next code", func() bool {
		now := p.secret.Step(time.Now())
		step = max(p.last+1, now-1)
		return step <= now+1
	})
	p.last = step
	return p.secret.Code(step)
}

// newPhone reads the secret that the page of the setup shows.
func newPhone(t testing.TB, text string) *phone {
	t.Helper()
	m := regexp.MustCompile(`(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}`).FindString(text)
	s, err := totp.ParseSecret(m)
	if err != nil {
		t.Fatalf("no secret on the page: %v\n%s", err, text)
	}
	return &phone{secret: s}
}

var hiddenField = regexp.MustCompile(`name="(enrol|factor|flow|asked|return_to|resume|query|user_code)" value="([^"]*)"`)

func hiddenOf(p page) url.Values {
	form := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(p.Body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	return form
}

// enrol sets a second factor up for who is signed in, and gives the recovery codes.
func (b *browser) enrol(portal string) (*phone, []string) {
	b.t.Helper()
	page := b.get(portal + "/.gate/account/factor")
	app := newPhone(b.t, page.Body)
	form := hiddenOf(page)
	form.Set("code", app.code(b.t))
	got := b.post(portal+"/.gate/account/factor", form)
	var codes []string
	for _, m := range regexp.MustCompile(`<li><code>([^<]+)</code>`).FindAllStringSubmatch(got.Body, -1) {
		codes = append(codes, m[1])
	}
	if got.StatusCode != http.StatusOK || len(codes) != 10 {
		b.t.Fatalf("setting it up: %s\n%s", got.Status, got.Body)
	}
	return app, codes
}

// first proves the password, and gives what comes then.
func (b *browser) first(portal string, p person) (page, url.Values) {
	b.t.Helper()
	got := b.login(portal, p)
	return got, hiddenOf(got)
}

// TestSecondFactor: set up in Chromium, asked for at the next sign-in, with a code of the
// app or one of recovery, each once; and a site that asks for one leads through all of it.
func TestSecondFactor(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		s := start(t, factorGate, c.gate)
		withOwner(t, s)
		ada := someone("ada")
		s.addUser(t, ada)
		portal, safe := s.URL("HTTPS", "auth.example.org"), s.URL("HTTPS", "safe.example.com")+"/page?x=1"
		w := newBrowser(t)
		w.open(safe)
		w.signIn(ada)
		w.atPage(portal + "/.gate/confirm")
		w.says("you need a second factor")
		w.look("confirm-enrol")
		w.press("Set up an app")
		w.atPage(portal + "/.gate/account/factor")
		w.look("factor-enrol")
		app := newPhone(t, w.text())
		w.fill("#code", "000000")
		w.press("Switch it on")
		w.wrong("#code", "not right")
		if again := newPhone(t, w.text()); again.secret != app.secret {
			t.Error("a wrong code changes the secret that was scanned")
		}
		w.fill("#code", app.code(t))
		w.press("Switch it on")
		w.says("Keep these recovery codes")
		w.look("factor-codes")
		codes := eval[[]string](w, `[...document.querySelectorAll("li code")].map(e => e.textContent)`)
		w.press("I have kept them")
		w.at(safe)

		w.open(portal + "/.gate/account")
		w.says("Second factor", "10 recovery codes left")
		w.look("account-factor")
		w.open(portal + "/.gate/logout")
		w.press("Sign out")
		w.open(safe)
		w.signIn(ada)
		w.at(portal + "/.gate/login")
		w.says("One more step", "to continue to safe.example.com")
		w.look("factor-ask")
		w.fill("#code", "12 34 56")
		w.press("Sign in")
		w.wrong("#code", "not right")
		w.look("factor-wrong")
		w.fill("#code", app.code(t))
		w.press("Sign in")
		w.at(safe)

		// A recovery code stands in once.
		w.open(portal + "/.gate/logout")
		w.press("Sign out")
		w.open(portal + "/.gate/account")
		w.signIn(ada)
		w.fill("#code", strings.ToUpper(codes[3]))
		w.press("Sign in")
		w.at(portal + "/.gate/account")
		w.says("9 recovery codes left")
		w.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("form[action$=remove]").closest("details").open = true`))
		w.fill("form[action$=remove] [name=current_password]", ada.Password)
		w.fill("#remove-code", codes[3])
		w.press("Remove the second factor")
		w.says("not right, or was used already")
		w.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("form[action$=remove]").closest("details").open = true`))
		w.fill("form[action$=remove] [name=current_password]", ada.Password)
		w.fill("#remove-code", codes[4])
		w.press("Remove the second factor")
		w.says("The second factor was removed.")
	})
}

// What is typed counts once, for one user, in one browser, for a while.
func TestSecondFactorRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, factorGate)
	withOwner(t, s)
	portal := s.URL("HTTPS", "auth.example.org")
	ben, cleo := someone("ben"), someone("cleo")
	s.addUser(t, ben)
	s.addUser(t, cleo)
	b, c := s.Client(t), s.Client(t)
	b.signIn(portal, ben)
	c.signIn(portal, cleo)
	bens, bensCodes := b.enrol(portal)
	cleos, cleosCodes := c.enrol(portal)

	// Before the second factor there is no session.
	fresh := s.Client(t)
	got, form := fresh.first(portal, ben)
	if got.StatusCode != http.StatusOK || form.Get("factor") == "" || fresh.cookie(portal+"/", "__Host-gate") != "" {
		t.Fatalf("the first factor alone: %s\n%s", got.Status, got.Body)
	}
	try := func(b *browser, code string, want int) {
		t.Helper()
		form.Set("code", code)
		if got := b.post(portal+"/.gate/factor", form); got.StatusCode != want {
			t.Errorf("code %q: %s, want %d\n%.900s", code, got.Status, want, got.Body)
		}
	}
	try(fresh, cleos.code(t), http.StatusUnauthorized)
	try(fresh, cleosCodes[0], http.StatusUnauthorized)
	try(fresh, strings.Repeat("1", 5000), http.StatusUnauthorized)
	try(fresh, "", http.StatusUnauthorized)
	other := s.Client(t)
	other.get(portal + "/.gate/connect/none")
	form.Set("code", bensCodes[9])
	if got := other.post(portal+"/.gate/factor", form); got.StatusCode != http.StatusSeeOther || !strings.Contains(got.location(), "notice=again") {
		t.Errorf("in another browser: %s to %s", got.Status, got.location())
	}
	code := bens.code(t)
	try(fresh, code, http.StatusSeeOther)
	again := s.Client(t)
	_, form = again.first(portal, ben)
	try(again, code, http.StatusUnauthorized) // a replay

	// One code in many hands at once makes one session.
	finn := someone("finn")
	s.addUser(t, finn)
	f := s.Client(t)
	f.signIn(portal, finn)
	_, finnsCodes := f.enrol(portal)
	n := s.count(t, "SELECT count(*) FROM sessions")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			b := s.Client(t)
			_, form := b.first(portal, finn)
			form.Set("code", finnsCodes[1])
			b.post(portal+"/.gate/factor", form)
		})
	}
	all.Wait()
	if after := s.count(t, "SELECT count(*) FROM sessions"); after != n+1 {
		t.Errorf("one recovery code made %d sessions", after-n)
	}

	// A password that was changed meanwhile is no first factor any more.
	late := s.Client(t)
	_, form = late.first(portal, cleo)
	s.must(t, "another-long-password-of-cleo\n", "user", "password", "cleo", "--password-stdin")
	try(late, cleosCodes[2], http.StatusUnauthorized)

	// A program is told what to send.
	p := s.Client(t)
	answer := p.do("POST", portal+"/.gate/login", `{"username":"ben","password":"`+ben.Password+`"}`, header{"Content-Type", "application/json"}, header{"Origin", portal})
	var asked struct {
		Factor string
		Error  struct{ Code string }
	}
	if err := json.Unmarshal([]byte(answer.Body), &asked); err != nil || answer.StatusCode != http.StatusUnauthorized || asked.Error.Code != "factor_required" || asked.Factor == "" {
		t.Fatalf("a program: %s\n%s", answer.Status, answer.Body)
	}
	body, _ := json.Marshal(map[string]string{"factor": asked.Factor, "code": bensCodes[5]})
	if got := p.do("POST", portal+"/.gate/factor", string(body), header{"Content-Type", "application/json"}, header{"Origin", portal}); got.StatusCode != http.StatusOK {
		t.Errorf("a program with the code: %s\n%s", got.Status, got.Body)
	}
	if got := p.fetch(portal + "/.gate/whoami"); !strings.Contains(got.Body, `"mfa"`) {
		t.Errorf("whoami: %s", got.Body)
	}

	// Who has lost both asks an owner.
	s.must(t, "", "user", "reset-factor", "ben")
	last := s.Client(t)
	last.signIn(portal, ben)
	if got := last.get(portal + "/.gate/account"); !strings.Contains(got.Body, "Whoever knows how you sign in") {
		t.Errorf("after the reset: %s", got.Status)
	}
	if events := s.audit(t, "factor.*"); len(events) < 4 {
		t.Errorf("events: %q", events)
	}
}

// 100 guesses from 100 browsers at once: one cap for the account, a notice, and the events.
func TestSecondFactorGuessed(t *testing.T) {
	t.Parallel()
	s := start(t, factorGate)
	withOwner(t, s)
	portal := s.URL("HTTPS", "auth.example.org")
	dan := someone("dan")
	s.addUser(t, dan)
	b := s.Client(t)
	b.signIn(portal, dan)
	b.enrol(portal)
	answers := make(map[int]int)
	var mu sync.Mutex
	var all sync.WaitGroup
	for n := range 100 {
		all.Go(func() {
			b := s.Client(t)
			_, form := b.first(portal, dan)
			form.Set("code", fmt.Sprintf("%06d", n))
			got := b.post(portal+"/.gate/factor", form)
			mu.Lock()
			defer mu.Unlock()
			answers[got.StatusCode]++
		})
	}
	all.Wait()
	if answers[http.StatusUnauthorized] > 10 || answers[http.StatusUnauthorized]+answers[http.StatusTooManyRequests] != 100 {
		t.Errorf("the answers: %v", answers)
	}
	eventually(t, "the notice", func() bool { return len(s.audit(t, "factor.alarm")) >= 1 })
	wrong := strings.Count(strings.Join(s.audit(t, "user.login"), "\n"), "second factor: factor_wrong")
	if wrong != answers[http.StatusUnauthorized] {
		t.Errorf("%d events of %d wrong codes", wrong, answers[http.StatusUnauthorized])
	}
	if got := b.fetch(portal + "/.gate/whoami"); got.StatusCode != http.StatusOK {
		t.Errorf("who is signed in: %s", got.Status)
	}
}

// Who comes by a provider has the second factor asked for as well, unless the provider is
// believed to have asked for one.
func TestSecondFactorAfterProvider(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	b := c.Client(t)
	c.visit(b, "", "emil")
	app, _ := b.enrol(c.portal)
	again := c.Client(t)
	page := c.visit(again, "", "emil")
	form := hiddenOf(page)
	if form.Get("factor") == "" {
		t.Fatalf("after the provider: %s\n%s", page.Status, page.Body)
	}
	c.signedInAs(t, again, "")
	form.Set("code", app.code(t))
	mustGo(t, again.post(c.portal+"/.gate/factor", form))
	c.signedInAs(t, again, "emil")
	if got := again.open(c.URL("HTTPS", "corp.example.com") + "/"); got.StatusCode != http.StatusOK {
		t.Errorf("the provider's site: %s", got.Status)
	}
}

// A second factor stays the only way: sessions of before end, it is not replaced without
// a code, and nobody keeps its user out.
func TestSecondFactorHolds(t *testing.T) {
	t.Parallel()
	s := start(t, factorGate)
	withOwner(t, s)
	portal := s.URL("HTTPS", "auth.example.org")
	gus := someone("gus")
	s.addUser(t, gus)
	alive := func(b *browser) bool { return b.fetch(portal+"/.gate/whoami").StatusCode == http.StatusOK }

	// Two set one up at the same time: one has it, and the other is signed out.
	both := []*browser{s.Client(t), s.Client(t)}
	forms := make([]url.Values, 2)
	for n, b := range both {
		b.signIn(portal, gus)
		page := b.get(portal + "/.gate/account/factor")
		forms[n] = hiddenOf(page)
		forms[n].Set("code", newPhone(t, page.Body).code(t))
	}
	won := make([]bool, 2)
	var all sync.WaitGroup
	for n, b := range both {
		all.Go(func() {
			won[n] = strings.Contains(b.post(portal+"/.gate/account/factor", forms[n]).Body, "Keep these recovery codes")
		})
	}
	all.Wait()
	if won[0] == won[1] || alive(both[0]) != won[0] || alive(both[1]) != won[1] {
		t.Fatalf("who has set it up: %v, who is signed in: %v %v", won, alive(both[0]), alive(both[1]))
	}

	// An operator takes it away: what was proven with it is over.
	s.must(t, "", "user", "reset-factor", "gus")
	if alive(both[0]) || alive(both[1]) {
		t.Error("a session outlives the second factor that it was proven with")
	}

	// Somebody with the password uses up the guesses; the user comes in with a browser of
	// before, and with a recovery code from anywhere.
	b := s.Client(t)
	b.signIn(portal, gus)
	app, codes := b.enrol(portal)
	mallory := s.Client(t)
	_, form := mallory.first(portal, gus)
	refused := false
	for n := 0; n < 20 && !refused; n++ {
		form.Set("code", fmt.Sprintf("%06d", n))
		refused = mallory.post(portal+"/.gate/factor", form).StatusCode == http.StatusTooManyRequests
	}
	if !refused {
		t.Error("20 wrong codes are taken")
	}
	enter := func(what string, b *browser, code string, want int) {
		t.Helper()
		_, form := b.first(portal, gus)
		form.Set("code", code)
		if got := b.post(portal+"/.gate/factor", form); got.StatusCode != want {
			t.Errorf("%s: %s", what, got.Status)
		}
	}
	b.post(portal+"/.gate/account/factor/remove", url.Values{"current_password": {gus.Password}, "code": {"000000"}})
	eventually(t, "the event of a wrong code at a change", func() bool {
		return strings.Contains(strings.Join(s.audit(t, "user.confirm"), "\n"), "second factor: factor_wrong")
	})
	enter("a code from elsewhere", s.Client(t), app.code(t), http.StatusTooManyRequests)
	b.post(portal+"/.gate/logout", url.Values{})
	enter("a code in a known browser", b, app.code(t), http.StatusSeeOther)
	enter("a recovery code from elsewhere", s.Client(t), codes[0], http.StatusSeeOther)

	// Spaces within a code are none of it.
	code := app.code(t)
	enter("with spaces", b, strings.Join(strings.Split(code, ""), " "), http.StatusSeeOther)
}
