package integration

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/descope/virtualwebauthn"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// passkeyGate has a portal, two apps, and one that asks for a second factor.
const passkeyGate = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.org:{{.HTTPS}}
		register invite
		limits {
			address off
			account off
		}
		policy safe {
			allow everyone
			require 2fa
			require fresh 5m
		}
	}
}
https://auth.example.org:{{.HTTPS}} {
	gate_portal
}
https://app.example.com:{{.HTTPS}}, https://wiki.example.net:{{.HTTPS}} {
	gate
	reverse_proxy {{.Upstream}}
}
https://safe.example.com:{{.HTTPS}} {
	gate safe
	reverse_proxy {{.Upstream}}
}
`

// keyed is passkeyGate with more in its block.
func keyed(more string) string {
	return strings.Replace(passkeyGate, "{{.Gate}}", "{{.Gate}}\n\t\t"+more, 1)
}

// lock is the authenticator of a device in Chromium, whose person is verified at once.
// A request that only offers passkeys is answered at once too, while it holds one.
type lock struct {
	w  *tab
	id webauthn.AuthenticatorID
}

// withLock gives a tab's browser an authenticator.
func (w *tab) withLock() *lock {
	w.t.Helper()
	l := &lock{w: w}
	w.do(devtools(webauthn.Enable, webauthn.EnableParams{}), func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		got, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true, DefaultBackupEligibility: true, DefaultBackupState: true}})
		l.id = got.AuthenticatorID
		return chromedp.Void{}, err
	})
	return l
}

// verifies says whether the person is verified from now on.
func (l *lock) verifies(yes bool) {
	l.w.t.Helper()
	l.w.do(devtools(webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: l.id, IsUserVerified: yes}))
}

// empty takes the passkeys out of it.
func (l *lock) empty() {
	l.w.t.Helper()
	l.w.do(devtools(webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: l.id}))
}

// TestPasskeyOnly is a person who never has a password: from an invitation by a passkey
// to a first site, and later to a second one, without typing a name.
func TestPasskeyOnly(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		s := start(t, passkeyGate, c.gate)
		withOwner(t, s)
		portal, app, wiki := s.URL("HTTPS", "auth.example.org"), s.URL("HTTPS", "app.example.com")+"/", s.URL("HTTPS", "wiki.example.net")+"/page?x=1"
		invite := strings.TrimSpace(s.must(t, "", "user", "invite"))
		link := regexp.MustCompile(`https://\S+`).FindString(invite)
		w := newBrowser(t)
		key := w.withLock()
		w.open(link)
		w.says("Use a passkey instead of a password")
		w.look("register-passkey")
		w.click("Use a passkey instead of a password") // with nothing filled in
		if at := w.focus(); at != "Email" {
			t.Errorf("what is missing has no focus, but %q", at)
		}
		w.fill("#name", "Nora")
		w.fill("#email", "nora@example.com")
		w.fill("#username", "owner")
		w.press("Use a passkey instead of a password")
		w.wrong("#username", "taken")
		w.fill("#username", "nora")
		w.press("Use a passkey instead of a password")
		w.at(portal + "/.gate/account")
		w.says("Nora", "Passkeys", "Synced")
		w.look("account-passkey")
		w.open(app)
		w.at(app)
		w.open(portal + "/.gate/logout")
		w.press("Sign out")

		// The list under the name offers it; here it is chosen at once.
		w.open(wiki)
		w.at(wiki)
		w.open(portal + "/.gate/logout")
		w.press("Sign out")

		// The button, where nobody may be verified first.
		key.verifies(false)
		w.do(devtools(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `
			const get = navigator.credentials.get.bind(navigator.credentials);
			let answered = 0;
			navigator.credentials.get = options => get(options).finally(() => answered++);`}))
		w.open(portal + "/.gate/login")
		w.look("login-passkey")
		w.click("Sign in with a passkey")
		w.says("No passkey was used")
		eventually(t, "an end of the offers before and after that", func() bool { return eval[int](w, "answered") == 3 })
		w.look("login-passkey-none")
		key.verifies(true)
		w.press("Sign in with a passkey")
		w.at(portal + "/.gate/account")

		// A site that wants two factors and a young proof has both.
		w.open(s.URL("HTTPS", "safe.example.com") + "/")
		w.at(s.URL("HTTPS", "safe.example.com") + "/")
	})
}

// TestPasskeyBesidePassword: set up, named, used to prove it again, and in place of a
// second factor; then the password goes.
func TestPasskeyBesidePassword(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		s := start(t, passkeyGate, c.gate)
		withOwner(t, s)
		otto := someone("otto")
		s.addUser(t, otto)
		portal, safe := s.URL("HTTPS", "auth.example.org"), s.URL("HTTPS", "safe.example.com")+"/"
		account := portal + "/.gate/account"
		w := newBrowser(t)
		key := w.withLock()
		w.open(safe)
		w.signIn(otto)
		w.atPage(portal + "/.gate/confirm")
		w.says("a passkey, or an app")
		w.look("confirm-enrol-passkey")
		w.press("Set up a passkey")
		w.atPage(account + "/passkey")
		w.look("passkey-new")
		w.fill("#name", "Otto's laptop")
		w.press("Set it up")
		w.atPage(portal + "/.gate/confirm")
		w.look("confirm-passkey")
		w.press("Use your passkey")
		w.at(safe)
		w.open(account)
		w.says("Otto's laptop")
		w.press("Set up a passkey…")
		w.click("Set it up")
		w.says("has a passkey for this account already")
		w.look("passkey-again")

		// It confirms changes, when the sign-in is long ago.
		s.older(t, "otto", 20*time.Minute)
		w.open(account)
		w.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach(d => d.open = true)`))
		w.look("account-passkey-and-password")
		w.press("Confirm with your passkey")
		w.atPage(account)
		w.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach(d => d.open = true)`))
		w.fill(`[id^="name-"]`, "The laptop")
		w.press("Save the name")
		w.says("Your passkey has its new name", "The laptop")
		w.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach(d => d.open = true)`))
		w.press("Remove my password")
		w.says("Your password was removed")
		w.look("account-without-password")
		if got := s.Client(t).login(portal, otto); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("the password that was removed: %s", got.Status)
		}
		w.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach(d => d.open = true)`))
		w.press("Remove The laptop")
		w.says("This is the only way to sign in")
		w.open(portal + "/.gate/logout")
		w.press("Sign out")
		w.open(account)
		w.at(account)
		key.empty()
		w.press("Sign out")
		w.open(portal + "/.gate/login")
		w.says("Sign in with a passkey")
		for action, want := range map[string]int{"passkey.add": 1, "passkey.rename": 1, "password.remove": 1} {
			if got := s.audit(t, action); len(got) != want {
				t.Errorf("%s: %q", action, got)
			}
		}
	})
}

// bearer is a client with a passkey, by another implementation than Chromium's.
type bearer struct {
	*browser
	portal string
	rp     virtualwebauthn.RelyingParty
	auth   virtualwebauthn.Authenticator
	cred   virtualwebauthn.Credential
}

var (
	optionsIn  = regexp.MustCompile(`data-options="([^"]+)"`)
	ceremonyIn = regexp.MustCompile(`name="ceremony" value="([^"]+)"`)
)

// asked is what a page wants of a passkey.
func asked(p page) (options, ceremony string) {
	o, c := optionsIn.FindStringSubmatch(p.Body), ceremonyIn.FindStringSubmatch(p.Body)
	if o == nil || c == nil {
		return "", ""
	}
	return html.UnescapeString(o[1]), html.UnescapeString(c[1])
}

// newCredential makes a key pair. The library writes a coordinate that begins with a zero byte
// one byte too short (RFC 9053 section 7.1.1), once in 128 times: such a pair is left.
func newCredential() virtualwebauthn.Credential {
	for {
		c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		if _, err := webauthncose.ParsePublicKey(c.Key.AttestationData()); err == nil {
			return c
		}
	}
}

// newBearer sets up a passkey for who is signed in.
func (b *browser) newBearer(portal string) *bearer {
	b.t.Helper()
	k := &bearer{browser: b, portal: portal, auth: virtualwebauthn.NewAuthenticator(), cred: newCredential()}
	form := k.makes(b.get(portal + "/.gate/account/passkey"))
	if got := b.post(portal+"/.gate/account/passkey", form); got.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("setting it up: %s\n%s", got.Status, got.Body)
	}
	return k
}

// makes answers a page that asks for a new passkey.
func (k *bearer) makes(p page) url.Values {
	k.t.Helper()
	options, ceremony := asked(p)
	o, err := virtualwebauthn.ParseAttestationOptions(options)
	must(k.t, err)
	k.rp = virtualwebauthn.RelyingParty{ID: o.RelyingPartyID, Origin: k.portal}
	k.auth.Options.UserHandle = []byte(o.UserID)
	return url.Values{"ceremony": {ceremony}, "passkey": {virtualwebauthn.CreateAttestationResponse(k.rp, k.auth, k.cred, *o)}, "name": {"Key"}}
}

// proves answers a page that asks for a passkey.
func (k *bearer) proves(p page) url.Values {
	k.t.Helper()
	options, ceremony := asked(p)
	o, err := virtualwebauthn.ParseAssertionOptions(options)
	if err != nil {
		k.t.Fatalf("%v\n%s", err, p.Body)
	}
	k.cred.Counter++
	return url.Values{"ceremony": {ceremony}, "passkey": {virtualwebauthn.CreateAssertionResponse(k.rp, k.auth, k.cred, *o)}}
}

// An answer counts once, in the browser that asked, for what it was asked for.
func TestPasskeyRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, passkeyGate)
	withOwner(t, s)
	portal := s.URL("HTTPS", "auth.example.org")
	pia, quin := someone("pia"), someone("quin")
	s.addUser(t, pia)
	s.addUser(t, quin)
	b, c := s.Client(t), s.Client(t)
	b.signIn(portal, pia)
	c.signIn(portal, quin)
	pias, quins := b.newBearer(portal), c.newBearer(portal)
	login := portal + "/.gate/login"
	signIn := func(who *browser, form url.Values) page { return who.post(portal+"/.gate/passkey", form) }
	refused := func(what string, got page, status int, says string) {
		t.Helper()
		if got.StatusCode != status || !strings.Contains(html.UnescapeString(got.Body), says) {
			t.Errorf("%s: %s\n%s", what, got.Status, got.Body)
		}
	}
	const old, wrong = "too long, or was used already", "did not sign you in"

	// The good one, and then again; and many at once.
	fresh := s.Client(t)
	form := pias.proves(fresh.get(login))
	if got := signIn(fresh, form); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("signing in: %s\n%s", got.Status, got.Body)
	}
	refused("the same answer again", signIn(fresh, form), http.StatusUnauthorized, old)
	other := s.Client(t)
	other.get(login)
	form = pias.proves(s.Client(t).get(login))
	refused("in another browser", signIn(other, form), http.StatusUnauthorized, old)
	form = pias.proves(other.get(login))
	many := make([]page, 12)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() { many[i] = signIn(other, form) })
	}
	all.Wait()
	won := 0
	for _, got := range many {
		if got.StatusCode == http.StatusSeeOther {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d of 12 won with one answer", won)
	}

	// The counter goes back: it may be a copy.
	fresh = s.Client(t)
	pias.cred.Counter = 0
	refused("a counter that went back", signIn(fresh, pias.proves(fresh.get(login))), http.StatusUnauthorized, wrong)
	pias.cred.Counter = 100

	// What was asked for one thing is good for that alone.
	form = pias.proves(fresh.get(login))
	form.Set("for", "change")
	refused("a sign-in as confirmation", b.post(portal+"/.gate/confirm", form), http.StatusUnauthorized, old)
	form = pias.proves(b.get(portal + "/.gate/account"))
	refused("a confirmation as sign-in", signIn(b, form), http.StatusUnauthorized, old)
	made := &bearer{browser: b, portal: portal, auth: virtualwebauthn.NewAuthenticator(), cred: newCredential()}
	form = made.makes(b.get(portal + "/.gate/account/passkey"))
	refused("a new one as sign-in", signIn(b, form), http.StatusUnauthorized, old)
	refused("of another", c.post(portal+"/.gate/account/passkey", form), http.StatusUnauthorized, old)
	form.Set("ceremony", form.Get("ceremony")+"A")
	refused("a ceremony with a bit changed", b.post(portal+"/.gate/account/passkey", form), http.StatusUnauthorized, old)
	form = made.makes(b.get(portal + "/.gate/account/passkey"))
	if got := b.post(portal+"/.gate/account/passkey", form); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("another: %s\n%s", got.Status, got.Body)
	}
	refused("the same again", b.post(portal+"/.gate/account/passkey", form), http.StatusUnauthorized, old)
	quin2 := *quins
	quin2.cred = made.cred // the credential of another person
	refused("one that somebody has", c.post(portal+"/.gate/account/passkey", quin2.makes(c.get(portal+"/.gate/account/passkey"))), http.StatusConflict, "set up already")

	// Another person's passkey proves nothing here.
	form = pias.proves(b.get(portal + "/.gate/account"))
	quins.cred.Counter = 100
	form.Set("passkey", quins.proves(b.get(portal+"/.gate/account")).Get("passkey"))
	refused("confirmed by another's", b.post(portal+"/.gate/confirm", form), http.StatusUnauthorized, wrong)

	// Nobody else's ids.
	all2 := regexp.MustCompile(`account/passkey/remove">(?s:.*?)name="id" value="([0-9a-f]{64})"`).FindStringSubmatch(b.get(portal + "/.gate/account").Body)
	if all2 == nil {
		t.Fatal("no passkey on the account page")
	}
	for _, path := range []string{"rename", "remove"} {
		got := c.post(portal+"/.gate/account/passkey/"+path, url.Values{"id": {all2[1]}, "name": {"x"}})
		refused(path+" of another's", got, http.StatusNotFound, "no such passkey")
	}

	// Another proof is none of a passkey, whatever a form says it is for.
	s.older(t, "pia", 20*time.Minute)
	sly := b.post(portal+"/.gate/confirm", url.Values{"for": {"change"}, "password": {pia.Password}})
	to, err := url.Parse(sly.location())
	must(t, err)
	if proof := to.Query().Get("proof"); proof != "" {
		t.Errorf("a password gives a proof by passkey: %s", to)
	}
	if got := b.post(portal+"/.gate/account/password/remove", url.Values{"proof": {to.Query().Get("proof")}, "current_password": {pia.Password}}); got.StatusCode != http.StatusForbidden {
		t.Errorf("the password removed without a passkey: %s", got.Status)
	}

	// A disabled user, and one whose passkey was removed, are like nobody.
	s.must(t, "", "user", "disable", "quin")
	fresh = s.Client(t)
	refused("disabled", signIn(fresh, quins.proves(fresh.get(login))), http.StatusUnauthorized, wrong)
	if got := b.post(portal+"/.gate/account/passkey/remove", url.Values{"id": {all2[1]}}); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("removing: %s\n%s", got.Status, got.Body)
	}
	refused("removed", signIn(fresh, pias.proves(fresh.get(login))), http.StatusUnauthorized, wrong)
	if fresh.fetch(portal+"/.gate/whoami").StatusCode != http.StatusUnauthorized {
		t.Error("somebody is signed in")
	}
}

// The options of a sign-in say nothing of anybody (abuse case M7): a program and a page
// get the same ones, whoever asks.
func TestPasskeyOptionsTellNothing(t *testing.T) {
	t.Parallel()
	s := start(t, passkeyGate)
	withOwner(t, s)
	rea := someone("rea")
	s.addUser(t, rea)
	portal := s.URL("HTTPS", "auth.example.org")
	b := s.Client(t)
	b.signIn(portal, rea)
	b.newBearer(portal)
	challenge := regexp.MustCompile(`"challenge":"[^"]+"`)
	var first string
	for _, name := range []string{"rea", "nobody", "owner", ""} {
		got := s.Client(t).get(portal + "/.gate/passkey?username=" + name)
		var answer struct {
			Options  json.RawMessage
			Ceremony string
		}
		if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || answer.Ceremony == "" {
			t.Fatalf("%v: %s", err, got.Body)
		}
		options := challenge.ReplaceAllString(string(answer.Options), "")
		if first == "" {
			first = options
		}
		failed := s.Client(t).post(portal+"/.gate/login", url.Values{"username": {name}, "password": {"wrong"}})
		shown, _ := asked(failed)
		for _, o := range []string{options, challenge.ReplaceAllString(shown, "")} {
			if o != first || strings.Contains(o, "allowCredentials") {
				t.Errorf("%q: %s, for others %s", name, o, first)
			}
		}
	}
}

// TestPasskeyAsSecondFactor: whoever has an app may show a passkey in its place, and
// change the app with it.
func TestPasskeyAsSecondFactor(t *testing.T) {
	t.Parallel()
	s := start(t, passkeyGate)
	withOwner(t, s)
	sue := someone("sue")
	s.addUser(t, sue)
	portal := s.URL("HTTPS", "auth.example.org")
	b := s.Client(t)
	b.signIn(portal, sue)
	key := b.newBearer(portal)
	_, codes := b.enrol(portal)
	fresh := s.Client(t)
	page, hidden := fresh.first(portal, sue)
	form := key.proves(page)
	form.Set("factor", hidden.Get("factor"))
	bent := url.Values{"factor": form["factor"], "ceremony": form["ceremony"], "passkey": {strings.Replace(form.Get("passkey"), `"signature":"M`, `"signature":"N`, 1)}}
	if got := fresh.post(portal+"/.gate/factor", bent); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Body, "did not sign you in") {
		t.Errorf("a signature with a bit changed: %s\n%s", got.Status, got.Body)
	}
	if got := fresh.post(portal+"/.gate/factor", form); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("with the passkey: %s\n%s", got.Status, got.Body)
	}
	var who struct{ AMR []string }
	must(t, json.Unmarshal([]byte(fresh.get(portal+"/.gate/whoami").Body), &who))
	// Another passkey would do in the app's place, so that it takes a code of the app.
	only := s.Client(t)
	_, hidden = only.first(portal, sue)
	hidden.Set("code", codes[0])
	if got := only.post(portal+"/.gate/factor", hidden); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("by a recovery code: %s", got.Status)
	}
	more := &bearer{browser: only, portal: portal, auth: virtualwebauthn.NewAuthenticator(), cred: newCredential()}
	if got := only.post(portal+"/.gate/account/passkey", more.makes(only.get(portal+"/.gate/account/passkey"))); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Body, `name="code"`) {
		t.Errorf("without a code of the app: %s\n%s", got.Status, got.Body)
	}
	form = more.makes(only.get(portal + "/.gate/account/passkey"))
	form.Set("code", codes[1])
	if got := only.post(portal+"/.gate/account/passkey", form); got.StatusCode != http.StatusSeeOther {
		t.Errorf("with one: %s\n%s", got.Status, got.Body)
	}
	// The app is gone: the passkey of this sign-in is enough to take it away.
	if got := fresh.post(portal+"/.gate/account/factor/remove", url.Values{"current_password": {sue.Password}}); got.StatusCode != http.StatusSeeOther {
		t.Errorf("removing the app: %s\n%s", got.Status, got.Body)
	}
	// A session that a password began needs a code; so does one that only had a passkey
	// once, long ago.
	fresh.enrol(portal)
	s.older(t, "sue", 20*time.Minute)
	if got := fresh.post(portal+"/.gate/account/factor/remove", url.Values{"current_password": {sue.Password}}); got.StatusCode == http.StatusSeeOther {
		t.Error("an old passkey takes the app away")
	}
}

// TestPasskeyHosts: where passkeys are good.
func TestPasskeyHosts(t *testing.T) {
	t.Parallel()
	s := start(t, keyed("passkeys auth.example.org https://login.example.net"))
	withOwner(t, s)
	portal := s.URL("HTTPS", "auth.example.org")
	got := s.Client(t).get(portal + "/.well-known/webauthn")
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/json" || strings.TrimSpace(got.Body) != `{"origins":["https://login.example.net"]}` {
		t.Errorf("related origins: %s %s", got.Status, got.Body)
	}
	must(t, s.Reload(t, keyed("passkeys off")))
	b := s.Client(t)
	if got := b.get(portal + "/.gate/login"); strings.Contains(got.Body, "passkey") {
		t.Errorf("passkeys are offered where they are off:\n%s", got.Body)
	}
	for path, got := range map[string]page{"options": b.get(portal + "/.gate/passkey"), "sign-in": b.post(portal+"/.gate/passkey", url.Values{"passkey": {"{}"}})} {
		if got.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s\n%s", path, got.Status, got.Body)
		}
	}
}

// Where nobody may make an account, no passkey is looked at, and none is asked for: what
// costs comes after what is asked first.
func TestPasskeyOfNobody(t *testing.T) {
	t.Parallel()
	s := start(t, passkeyGate)
	withOwner(t, s)
	portal := s.URL("HTTPS", "auth.example.org")
	for _, path := range []string{"register", "setup"} {
		got := s.Client(t).post(portal+"/.gate/"+path, url.Values{"passkey": {"{}"}, "username": {"x"}, "email": {"x@example.com"}, "invite": {"x"}, "token": {"x"}})
		if _, ceremony := asked(got); got.StatusCode != http.StatusForbidden || ceremony != "" {
			t.Errorf("%s: %s, a ceremony: %t", path, got.Status, ceremony != "")
		}
	}
	link := regexp.MustCompile(`https://\S+`).FindString(s.must(t, "", "user", "invite"))
	b := s.Client(t)
	b.signIn(portal, someone("owner"))
	_, ceremony := asked(b.get(portal + "/.gate/account/passkey"))
	form := someone("eva").form()
	form.Set("invite", link[strings.Index(link, "invite=")+7:])
	form.Set("ceremony", ceremony)
	form.Set("passkey", "{}")
	if got := b.post(portal+"/.gate/register", form); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Body, "too long, or was used already") {
		t.Errorf("the ceremony of somebody who has an account: %s\n%s", got.Status, got.Body)
	}
}
