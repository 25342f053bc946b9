package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// The pages of the provider in Chromium: a user lets an app in, comes back to it, sees it on
// the account page, is refused by another, and signs out of it.
func TestProviderPages(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	told := startLogoutReceiver(t)
	a := w.service("Shop", map[string]any{"scopes": []string{"orders.read"}, "backchannel_logout_uri": told.URL})
	b := newBrowser(t)
	b.open(a.asks("login_hint", "carol", "scope", "openid profile email groups offline_access orders.read"))
	b.atPage(w.portal + "/.gate/login")
	b.says("to continue to Shop")
	b.look("provider-login")
	b.fill("#password", w.customer.Password)
	b.press("Sign in")
	b.atPage(w.portal + "/.gate/oauth/consent")
	b.says("Let Shop in?", "Carol", "Acme Inc.", "see your email address", "do what it calls “orders.read”", "shop.example.net")
	b.look("provider-consent")
	b.press("Refuse")
	b.atPage(a.callback)
	if !strings.Contains(b.address(), "error=access_denied") {
		t.Errorf("refused, and at %s", b.address())
	}
	b.open(a.asks("scope", "openid offline_access"))
	b.press("Allow")
	b.atPage(a.callback)
	at, err := url.Parse(b.address())
	must(t, err)
	first := a.redeems(at.Query().Get("code"))

	// As a form, with a script and without.
	letGo := b.stayBefore(a.callback + "*")
	b.do(devtools(cdppage.Navigate, cdppage.NavigateParams{URL: a.asks("scope", "openid", "response_mode", "form_post")})) // it leaves before it has loaded
	b.says("Continuing to shop.example.net")
	b.look("provider-form")
	letGo()
	b.open(a.asks("scope", "openid", "response_mode", "form_post"))
	b.at(a.callback)
	if text := b.text(); !strings.Contains(text, `"Method":"POST"`) || !strings.Contains(text, "code=") {
		t.Errorf("a form brings %s", text)
	}
	mute := newBrowser(t, withoutScripts())
	mute.open(a.asks("scope", "openid", "response_mode", "form_post"))
	mute.signIn(w.customer)
	mute.atPage(w.portal + "/.gate/oauth/authorize")
	mute.press("Continue")
	mute.at(a.callback)

	// A newer proof, with another account at hand.
	b.open(a.asks("scope", "openid", "prompt", "login"))
	b.atPage(w.portal + "/.gate/confirm")
	b.says("to go on to Shop")
	b.look("provider-confirm")
	b.fill("#password", w.customer.Password)
	b.press("Go on")
	b.atPage(a.callback)
	b.open(a.asks("prompt", "select_account"))
	b.press("Use another account")
	b.look("provider-logout")
	b.press("Sign out")
	b.atPage(w.portal + "/.gate/login")
	b.signIn(w.ann)
	b.says("Let Shop in?", "Ann")
	b.press("Allow")
	b.atPage(a.callback)
	b.open(a.asks("scope", "openid", "id_token_hint", first.ID))
	b.says("You cannot go on to Shop", "expects somebody else")
	b.look("provider-other-user")
	b.press("Back to Shop")
	b.atPage(a.callback)
	if !strings.Contains(b.address(), "error=login_required") {
		t.Errorf("somebody else is expected, and at %s", b.address())
	}

	// An app that is not for everybody.
	staff := w.service("Staff", map[string]any{"access": "members"})
	other := newBrowser(t)
	other.open(staff.asks())
	other.signIn(w.customer)
	other.says("You cannot go on to Staff", "You may not use this service")
	other.look("provider-refused")
	other.press("Back to Staff")
	other.atPage(staff.callback)
	if !strings.Contains(other.address(), "error=access_denied") {
		t.Errorf("not allowed, and at %s", other.address())
	}
	other.open(staff.asks("response_mode", "form_post"))
	other.press("Back to Staff")
	other.at(staff.callback)

	other.open(w.portal + "/.gate/account")
	other.says("Apps you let in", "Shop", "go on after you have signed out")
	other.look("provider-account")
	other.press("Withdraw Shop")
	other.says("That app is let in no more")
	if got := a.refreshes(first.Refresh); !strings.Contains(got.Body, "invalid_grant") {
		t.Errorf("withdrawn, and refreshed: %s\n%s", got.Status, got.Body)
	}

	// A sign-out that the app wants, which it is told of too.
	b.open(w.portal + "/.gate/oauth/end_session?" + url.Values{"client_id": {a.ClientID}, "post_logout_redirect_uri": {w.shop + "/bye"}}.Encode())
	b.says("Shop asks you to sign out")
	b.look("provider-end-session")
	b.press("Sign out")
	b.at(w.shop + "/bye")
	b.open(w.portal + "/.gate/account")
	b.atPage(w.portal + "/.gate/login")
	eventually(t, "the service to be told", func() bool { return len(told.all()) > 0 })
	claims := a.claimsOf(told.all()[0])
	says(t, "the logout token", claims, map[string]any{"iss": w.portal, "aud": a.ClientID, "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})

	// Who acts as somebody lets nothing in.
	run := newBrowser(t)
	run.open(w.portal + "/.gate/admin/users?q=carol")
	run.signIn(someone("owner"))
	run.press("carol")
	run.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("form:has([value=act])").closest("details").open = true`))
	run.fill("input[name=reason]", "ticket 12")
	run.press("Sign in as carol")
	run.open(a.asks())
	run.says("You act as Carol", "Only Carol can let an app in")
	run.look("provider-consent-acting")
	if strings.Contains(run.text(), "Allow\n") {
		t.Error("who acts as somebody can allow")
	}
	run.open(a.asks("prompt", "login"))
	run.says("You cannot go on to Shop", "You act as somebody else")
}

// logoutReceiver is a service that is told of sign-outs.
type logoutReceiver struct {
	*httptest.Server
	mu   sync.Mutex
	told []string
}

func startLogoutReceiver(t testing.TB) *logoutReceiver {
	r := new(logoutReceiver)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, req.PostFormValue("logout_token"))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *logoutReceiver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.told...)
}

const grantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// A device is let in, and one is refused; the command line asks for a second factor of who
// has one.
func TestDevicePages(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	tv := w.service("Living room", map[string]any{"type": "desktop", "device": true, "redirect_uris": []string{}, "logout_uris": []string{}})
	ask := func() (user, device, link string) {
		o := object(t, tv.sends("device", "scope", "openid profile"))
		return o["user_code"].(string), o["device_code"].(string), o["verification_uri_complete"].(string)
	}
	poll := func(device string) page { return tv.sends("token", "grant_type", grantDevice, "device_code", device) }
	user, device, link := ask()
	picture := tv.program.fetch(w.portal + "/.gate/oauth/device/qr?user_code=" + user)
	if picture.StatusCode != http.StatusOK || picture.Header.Get("Content-Type") != "image/svg+xml" || len(picture.Header["Set-Cookie"]) > 0 {
		t.Errorf("the picture: %s %v", picture.Status, picture.Header)
	}
	b := newBrowser(t)
	b.open(link)
	b.atPage(w.portal + "/.gate/login")
	b.signIn(w.customer)
	b.at(link)
	b.look("device-code")
	b.press("Continue")
	b.says("Sign in Living room?", user, "Acme Inc.", "127.0.0.1", "see your name and your username")
	b.look("device-waits")
	b.press("Approve")
	b.says("Your device is signed in")
	b.look("device-approved")
	says(t, "the ID token", tv.claimsOf(tv.gets(poll(device)).ID), map[string]any{"preferred_username": "carol", "aud": tv.ClientID})

	b.open(w.portal + "/.gate/device")
	b.fill("#user_code", "hello")
	b.press("Continue")
	b.says("A code has eight letters")
	b.look("device-malformed")
	b.fill("#user_code", strings.ToLower(strings.ReplaceAll(user, "-", " ")))
	b.press("Continue")
	b.says("not valid, or not any more")
	user, device, _ = ask()
	b.fill("#user_code", strings.ToLower(strings.ReplaceAll(user, "-", "")))
	b.press("Continue")
	b.press("Refuse")
	b.says("The device is not signed in")
	if got := poll(device); !strings.Contains(got.Body, "access_denied") {
		t.Errorf("refused: %s", got.Body)
	}

	// The command line, of an owner who has set up a second factor but not shown it.
	s := w.Client(t)
	s.signIn(w.portal, someone("owner"))
	app, _ := s.enrol(w.portal)
	command := &relying{providerWorld: w, program: w.Client(t)}
	command.ClientID = "gatehouse-command-line"
	o := object(t, command.sends("device"))
	run := newBrowser(t)
	run.open(w.portal + "/.gate/login")
	run.signIn(someone("owner"))
	run.fill("#code", app.code(t))
	run.press("Sign in")
	run.open(fmt.Sprint(o["verification_uri_complete"]))
	run.press("Continue")
	run.says("Gatehouse on the command line", "all that you may do")
	run.look("device-command-line")
	run.press("Approve")
	run.says("Your device is signed in")
	if got := command.gets(command.sends("token", "grant_type", grantDevice, "device_code", fmt.Sprint(o["device_code"]))); !tokenText.MatchString(got.Access) {
		t.Errorf("the command line gets %+v", got)
	}
}
